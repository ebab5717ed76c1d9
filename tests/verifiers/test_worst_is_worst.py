"""What nobody said is never better than what somebody did: every verifier that runs offline, with its real weights.

Silence, noise, an empty file, a broken one, a missing one and a backend that crashes get, under each metric and with
`worst` in the place of a failure, at most what the worst of a handful of real clips gets.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import verifiers.judging
from tts_eval.audio import Clip, read_audio
from tts_eval.types import Candidate, Failure, FailureKind, FinishReason, Item, Metric, Prompt, Request, Sampling, Score
from verifiers import load_verifier

pytestmark = pytest.mark.real
RATE = 16_000
VERIFIERS = (
    "asr:tiny.en",
    "likelihood:tiny.en",
    "speaker",
    "speaker:campplus",
    "emotion",
    "quality",
    "quality:fast",
    "quality:distillmos",
    "guards",
    "duration",
)
BAD = ("silence", "noise", "faded noise", "hum", "empty", "nan", "missing")
TEXT = "Kids are talking by the door."


def real_requests(data: Path) -> list[tuple[Request, Clip]]:
    """Acted clips, each asked for in its own emotion and its own actor's voice."""
    emotions = {"01": "neutral", "03": "happy", "04": "sad", "05": "angry"}
    found = []
    for actor, emotion in enumerate(emotions, start=1):
        folder = data / "RAVDESS" / f"Actor_{actor:02d}"
        clips = [next(folder.glob(f"03-01-{emotion}-01-0{take}-01-*")) for take in (1, 2)]
        request = Request(
            id=clips[0].stem,
            text=TEXT,
            prompt=Prompt(audio=clips[1]),
            metadata={"emotion": emotions[emotion]},
        )
        found.append((request, read_audio(clips[0])))
    return found


def bad_clip(name: str, like: Clip) -> Clip | None:
    """A bad clip as long as a real one."""
    count = len(like.samples)
    noise = np.random.default_rng(0).normal(0, 0.1, count).astype(np.float32)
    with_nan = like.samples.copy()
    with_nan[count // 2] = np.nan
    fade = np.minimum(1, np.linspace(20, 0, count, dtype=np.float32)) ** 3
    return {
        "silence": Clip(np.zeros(count, np.float32), like.rate),
        "noise": Clip(noise, like.rate),
        "faded noise": Clip(noise * fade, like.rate),
        "hum": Clip((0.3 * np.sin(np.arange(count) * 2 * np.pi * 100 / like.rate)).astype(np.float32), like.rate),
        "empty": Clip(np.zeros(0, np.float32), like.rate),
        "nan": Clip(with_nan, like.rate),
        "missing": None,
    }[name]


def item(request: Request, clip: Clip | None) -> Item:
    failure = Failure(FailureKind.MISSING, "no such file") if clip is None else None
    candidate = Candidate(index=0, seed=0, sampling=Sampling(), finish=FinishReason.EOS, clip=clip, failure=failure)
    return Item(request=request, candidate=candidate)


def goodness(score: Score, metric: Metric) -> float:
    """Higher is better, and `worst` where there is no value."""
    value = score.values.get(metric.name, metric.worst) if score.failure is None else metric.worst
    return value if metric.higher_is_better else -value


def check(verifier, real: list[Score], bad: dict[str, Score]) -> None:
    for metric in verifier.metrics:
        worst = min(goodness(score, metric) for score in real)
        better = {name: score.values for name, score in bad.items() if goodness(score, metric) > worst}
        assert not better, f"better than a real clip's {metric.name} of {worst:.3f}: {better}"


@pytest.mark.parametrize("name", VERIFIERS)
def test_no_bad_clip_is_better_than_the_worst_real_one(name, data, monkeypatch):
    verifier = load_verifier(name)
    requests = real_requests(data)
    real = verifier.score([item(request, clip) for request, clip in requests])
    assert all(score.failure is None for score in real)
    wanted = len(requests) if name == "emotion" else 1  # noise might have any of the wanted emotions
    pairs = [(kind, index) for kind in BAD for index in range(wanted if "noise" in kind else 1)]
    items = [item(requests[index][0], bad_clip(kind, requests[index][1])) for kind, index in pairs]
    scores = verifier.score(items)
    bad = {f"{kind} {index}": score for (kind, index), score in zip(pairs, scores, strict=True)}
    assert all(bad[f"{kind} 0"].failure for kind in ("silence", "empty", "nan", "missing"))

    def crash(*_: object) -> None:
        raise RuntimeError("the backend crashed")

    monkeypatch.setattr(verifiers.judging, "_checked", crash)
    (bad["crash"],) = verifier.score([replace(items[0], candidate=replace(items[0].candidate, clip=requests[0][1]))])
    assert bad["crash"].failure.kind is FailureKind.VERIFIER
    check(verifier, real, bad)
