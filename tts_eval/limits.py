"""What a synthesizer did not do though it was asked to, in words for reports and the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from tts_eval.types import Limit, Request, Synthesizer, limits_of


def limit_notes(synthesizer: Synthesizer, requests: Sequence[Request]) -> tuple[str, ...]:
    """A sentence for each limit of the synthesizer that these requests meet."""
    limits, name = limits_of(synthesizer), synthesizer.name
    prompted = sum(request.prompt is not None and request.prompt.audio is not None for request in requests)
    notes = []
    if Limit.NO_CLONING in limits and prompted:
        count = f"the prompt audio of {prompted} of {len(requests)} requests" if len(requests) > 1 else "the prompt"
        notes.append(f"'{name}' does not clone here: it ignores {count}.")
    if Limit.DETERMINISTIC in limits:
        notes.append(f"'{name}' draws nothing: all candidates of a request are the same.")
    if Limit.NOT_REPRODUCIBLE in limits:
        notes.append(f"'{name}' is not reproducible: it is given no seed, so its candidates cannot be made again.")
    return tuple(notes)
