"""How much of a search's time is the search itself, and how many model calls it makes.

Every call of the synthesizer and of the verifiers is timed and counted; what is left of the wall time is the
overhead of beams, rules and bookkeeping. Each search runs once to warm up and then `--rounds` times; the row of
the fastest round is shown. The first line is the recipe of the Llasa paper on a small scale: partial PRM, four
beams with four expansions, guided by the voice for two seconds of a sentence of about five, then a recogniser.

    python -m benchmarks.perf.search_overhead
    python -m benchmarks.perf.search_overhead --requests 4          # calls stay, rows grow

The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.mini import PROMPT_TEXT, prompt_path
from search.budget import Budget
from search.remembering import selecting_verifier
from search.rule_text import parse_rule
from search.strategy import load_strategy
from tts_eval.synthesizers import load_synthesizer
from tts_eval.types import Prompt, Request, Sampling, Verifier
from verifiers import load_verifier

TEXT = "The committee will meet on Tuesday afternoon, and the minutes will be sent round to all of you by the weekend."
"""About five seconds of llasa-nano."""
SEARCHES = (
    ("partial-prm:expand=4,keep=4,until=2", "speaker", "asr:tiny.en"),
    ("beam:expand=4,keep=4", "speaker", "asr:tiny.en"),
    ("smc:particles=16", "speaker", "asr:tiny.en"),
    ("best-of-n", "asr:tiny.en", ""),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One search."""

    strategy: str
    wall_seconds: float
    generator_seconds: float
    generator_calls: int
    verifier_seconds: float
    verifier_calls: int
    audio_seconds: float
    """Of what was chosen, all requests together."""

    @property
    def overhead(self) -> float:
        """Share of the wall time outside models."""
        return 1.0 - (self.generator_seconds + self.verifier_seconds) / self.wall_seconds


class Clock:
    """Adds up seconds and calls by kind."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def timed(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed; a call inside another of the same kind counts once."""

        def call(*arguments: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self.seconds[kind] += time.perf_counter() - began  # type: ignore[assignment]
                self.calls[kind] += 1

        return call


class Watched:
    """Another object, of which some methods are timed."""

    def __init__(self, inner: Any, clock: Clock, kind: str, methods: Sequence[str]) -> None:
        self._inner = inner
        for name in methods:
            setattr(self, name, clock.timed(kind, getattr(inner, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class WatchedSynthesizer(Watched):
    """A synthesizer whose generations are timed as well."""

    def __init__(self, inner: Any, clock: Clock) -> None:
        super().__init__(inner, clock, "generator", ["generate"])
        self._clock = clock

    def begin(self, jobs: Sequence[Any]) -> Watched:
        """A generation that is timed."""
        generation = self._clock.timed("generator", self._inner.begin)(jobs)
        return Watched(generation, self._clock, "generator", ["advance", "select", "audio"])


def measure(
    strategy: str, guide: str, then: str, requests: Sequence[Request], synthesizer: Any, models: dict[str, Verifier]
) -> Timing:
    """One search of all requests, watched."""
    clock = Clock()
    watched: dict[str, Any] = {spec: Watched(model, clock, "verifier", ["score"]) for spec, model in models.items()}
    last = selecting_verifier(parse_rule(then), watched) if then else None
    search = load_strategy(strategy, sampling=Sampling(), run_seed=0, then=last)
    began = time.perf_counter()
    results = list(
        search.search(
            requests, WatchedSynthesizer(synthesizer, clock), selecting_verifier(parse_rule(guide), watched),
            Budget(candidates=16),
        )
    )  # fmt: skip
    wall = time.perf_counter() - began
    return Timing(
        strategy=strategy,
        wall_seconds=wall,
        generator_seconds=clock.seconds["generator"],
        generator_calls=clock.calls["generator"],
        verifier_seconds=clock.seconds["verifier"],
        verifier_calls=clock.calls["verifier"],
        audio_seconds=sum(result.chosen.clip.seconds for result in results if result.chosen.clip),
    )


def main() -> None:
    """Print a line per search, and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synth", default="llasa-nano")
    parser.add_argument("--requests", type=int, default=1, help="copies of the sentence that are searched together")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    prompt = Prompt(audio=prompt_path(), transcript=PROMPT_TEXT)
    requests = [Request(id=f"r{number}", text=TEXT, prompt=prompt) for number in range(arguments.requests)]
    synthesizer = load_synthesizer(arguments.synth)
    models = {spec: load_verifier(spec) for spec in ("speaker", "asr:tiny.en")}
    print(f"{'strategy':38}{'wall':>8}{'generator':>18}{'verifiers':>18}{'overhead':>10}{'audio':>8}")
    timings = []
    for strategy, guide, then in SEARCHES:
        rounds = [measure(strategy, guide, then, requests, synthesizer, models) for _ in range(arguments.rounds + 1)]
        best = min(rounds[1:], key=lambda timing: timing.wall_seconds)
        timings.append(best)
        print(
            f"{strategy:38}{best.wall_seconds:>7.2f}s{best.generator_seconds:>8.2f}s{best.generator_calls:>4} calls"
            f"{best.verifier_seconds:>7.2f}s{best.verifier_calls:>4} calls{best.overhead:>10.1%}"
            f"{best.audio_seconds:>7.1f}s",
            flush=True,
        )
    print(json.dumps([{**asdict(timing), "overhead": timing.overhead} for timing in timings]))


if __name__ == "__main__":
    main()
