"""What verifiers spare each other when they share a model and what it heard.

The same clips go past each verifier twice: `alone`, when nobody else holds its model, and `together`, when all
verifiers of the list are loaded and are asked one after another, as a run asks them. The scores of both must be
the same numbers. Processor seconds of all threads count; wall seconds mislead on a busy machine.

    python -m benchmarks.perf.sharing --data-dir DATA

DATA holds LibriSpeech/ in its official layout. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.perf.asr_batching import Read, read_librispeech, sample
from tts_eval.types import Candidate, FinishReason, Item, Prompt, Request, Sampling, Score, Verifier
from verifiers import load_verifier
from verifiers.requirements import load_verifiers

SPECS = (
    "asr:tiny.en", "asr:tiny.en:seed-tts@1", "asr:tiny.en:exact", "likelihood:tiny.en:exact", "likelihood:tiny.en",
    "emotion:,target=happy", "emotion:,target=sad", "speaker", "speaker:ge2e,device=cpu",
)  # fmt: skip


class Asked(NamedTuple):
    """What a verifier said, and what it took."""

    scores: list[Score]
    seconds: float


def items_of(clips: Sequence[Read]) -> list[Item]:
    """One candidate per clip, with the clip before it as its prompt."""
    return [
        Item(
            request=Request(id=clip.name, text=clip.text, prompt=Prompt(audio=before.clip)),
            candidate=Candidate(index=0, seed=0, sampling=Sampling(), finish=FinishReason.EOS, clip=clip.clip),
        )
        for clip, before in zip(clips, [clips[-1], *clips], strict=False)
    ]


def ask(verifier: Verifier, items: Sequence[Item]) -> Asked:
    """The scores, and the processor seconds of all threads."""
    started = time.process_time()
    scores = verifier.score(items)
    return Asked(scores, time.process_time() - started)


def ask_alone(specs: Sequence[str], items: Sequence[Item]) -> dict[str, Asked]:
    """Each verifier with a model of its own, which goes with it."""
    found = {}
    for spec in specs:
        gc.collect()
        found[spec] = ask(load_verifier(spec), items)
    return found


def ask_together(specs: Sequence[str], items: Sequence[Item]) -> dict[str, Asked]:
    """All of them at once."""
    gc.collect()
    return {spec: ask(verifier, items) for spec, verifier in load_verifiers(specs).items()}


def compare(alone: Mapping[str, Asked], together: Mapping[str, Asked]) -> dict[str, Any]:
    """Seconds of both sides by verifier, and how many scores differ."""
    results = {
        spec: {
            "alone": alone[spec].seconds,
            "together": together[spec].seconds,
            "differing": sum(
                one.values != other.values or one.details != other.details
                for one, other in zip(alone[spec].scores, together[spec].scores, strict=True)
            ),
        }
        for spec in alone
    }
    sums = {side: sum(result[side] for result in results.values()) for side in ("alone", "together", "differing")}
    return {"verifiers": results, **sums, "spared": 1.0 - sums["together"] / sums["alone"]}


def main() -> None:
    """Measure, print a table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder that holds LibriSpeech/")
    parser.add_argument("--clips", type=int, default=32, help="clips of 4-8 s")
    parser.add_argument("--verifiers", nargs="+", default=list(SPECS), help="specs, in the order of asking")
    options = parser.parse_args()
    items = items_of(sample(read_librispeech(options.data_dir / "LibriSpeech", 4.0, 8.0), options.clips))
    ask_alone(options.verifiers, items[:2])  # what is imported and allocated once
    found = compare(ask_alone(options.verifiers, items), ask_together(options.verifiers, items))
    print(f"{options.clips} clips, processor seconds")
    for spec, result in found["verifiers"].items():
        differing = f"   {result['differing']} scores differ" if result["differing"] else ""
        print(f"  {spec:28}  alone {result['alone']:7.2f}   together {result['together']:7.2f}{differing}")
    print(
        f"  {'all':28}  alone {found['alone']:7.2f}   together {found['together']:7.2f}   {found['spared']:.0%} spared"
    )
    print(json.dumps({"clips": options.clips, **found}))


if __name__ == "__main__":
    main()
