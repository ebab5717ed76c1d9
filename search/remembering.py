"""A verifier that remembers finished candidates, so that a search may ask about whole pools again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from search.outcome import OutcomeVerifier
from search.selection import Rule
from tts_eval.types import Item, Score, Verifier

REMEMBERED = 4096
"""Clips; a search asks again about the pools that it works on, not about those of a run's first requests."""


class RememberingVerifier:
    """`verifier`, asked once about each finished clip of late; what is remembered takes no seconds."""

    def __init__(self, verifier: Verifier) -> None:
        self.name = verifier.name
        self.version = verifier.version
        self.judge = verifier.judge
        self.metrics = verifier.metrics
        self.supports_partial = verifier.supports_partial
        self._verifier = verifier
        self._known: dict[tuple[str, str], Score] = {}

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item, in order; only what is new is asked, in one call."""
        keys = [_key(item) for item in items]
        first = {key: position for position, key in reversed(list(enumerate(keys)))}
        asked = [
            position
            for position, key in enumerate(keys)
            if key is None or (key not in self._known and first[key] == position)
        ]
        scores = self._verifier.score([items[position] for position in asked]) if asked else []
        fresh = dict(zip(asked, scores, strict=True))
        for position, score in fresh.items():
            if (key := keys[position]) is not None:
                self._known[key] = replace(score, seconds=0.0)
        answers = [
            fresh[position] if position in fresh or key is None else self._known[key]
            for position, key in enumerate(keys)
        ]
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        return answers


def selecting_verifier(rule: Rule, verifiers: Mapping[str, Verifier]) -> OutcomeVerifier:
    """The rule as a verifier, behind which finished candidates are judged once."""
    return OutcomeVerifier(rule, {spec: RememberingVerifier(verifiers[spec]) for spec in rule.verifiers})


def _key(item: Item) -> tuple[str, str] | None:
    """None for what is not finished, and for a candidate without audio, which costs nothing to judge."""
    clip = item.candidate.clip
    return None if clip is None or item.partial else (item.request.id, clip.sha256)
