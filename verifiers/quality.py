"""How good does it sound? Opinion scores that a model predicts from the audio alone, on a scale of 1 to 5.

`quality` gives `dnsmos-p835@1` (OVRL overall, SIG speech, BAK background noise) and `dnsmos-p808@1`,
as everybody reports them. `quality:fast` hears everything about once, in windows that start every 9 s
instead of every second: seven times cheaper for a clip of 4 s, OVRL within 0.09 (correlation 0.999) on
34 real and synthetic clips, and another protocol name. `quality:distillmos` gives `distillmos@1`.

DNSMOS was trained on noisy and denoised speech, DistillMOS learned from an XLS-R model of speech quality:
they hear noise, clipping and artefacts, not wrong words or odd prosody. Both work on unfinished candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tts_eval import weights
from tts_eval.errors import ConfigError
from tts_eval.types import Item, Metric, Score
from verifiers.dnsmos import RATE, Dnsmos
from verifiers.judging import Judgement, clip_of, score_items

if TYPE_CHECKING:
    from tts_eval.types import Verifier
    from verifiers.distillmos import DistillMos

HOPS = {"dnsmos": 1, "fast": 9}
"""Seconds between DNSMOS's windows by argument."""


def create(argument: str) -> Verifier:
    """`quality` or `quality:dnsmos`: as the reference; `quality:fast`: a window every 9 s; `quality:distillmos`.

    Raises:
        ConfigError: another argument.
        WeightsError: the models have not been fetched.
    """
    model = argument or "dnsmos"
    if model == "distillmos":
        folder = weights.locate("distillmos")
        from verifiers.distillmos import DistillMos

        judge = f"distillmos:{weights.fingerprint('distillmos')}"
        return DistillMosVerifier(DistillMos(folder / "distill_mos_v7.pt"), judge)
    if model not in HOPS:
        raise ConfigError(
            [f"Verifier 'quality' has no model '{argument}'; write 'quality', 'quality:fast' or 'quality:distillmos'."]
        )
    folder = weights.locate("dnsmos")
    return QualityVerifier(Dnsmos(folder, hop_seconds=HOPS[model]), f"{model}:{weights.fingerprint('dnsmos')}")


class QualityVerifier:
    """DNSMOS; higher is better."""

    name = "quality"
    version = "1"
    supports_partial = True

    def __init__(self, model: Dnsmos, judge: str) -> None:
        self.judge = judge
        suffix = "" if model.hop_seconds == 1 else f"-every-{model.hop_seconds}s"
        protocols = {"ovrl": "p835", "sig": "p835", "bak": "p835", "p808": "p808"}
        self.metrics = tuple(
            Metric(name=name, higher_is_better=True, worst=1.0, protocol=f"dnsmos-{protocol}{suffix}@1")
            for name, protocol in protocols.items()
        )
        self._model = model

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item."""
        return score_items(self, items, self._judge)

    def _judge(self, items: Sequence[Item]) -> list[Judgement]:
        return [
            Judgement(opinion._asdict()) for opinion in self._model.rate([clip_of(item).at(RATE) for item in items])
        ]


class DistillMosVerifier:
    """DistillMOS; higher is better."""

    name = "quality"
    version = "1"
    supports_partial = True
    metrics = (Metric(name="distillmos", higher_is_better=True, worst=1.0, protocol="distillmos@1"),)

    def __init__(self, model: DistillMos, judge: str) -> None:
        self.judge = judge
        self._model = model

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item."""
        return score_items(self, items, self._judge)

    def _judge(self, items: Sequence[Item]) -> list[Judgement]:
        opinions = self._model.rate([clip_of(item).at(RATE) for item in items])
        return [Judgement({"distillmos": opinion}) for opinion in opinions]
