"""How good does it sound? Opinion scores that DNSMOS predicts from the audio alone.

`dnsmos-p835@1` (OVRL overall, SIG speech, BAK background noise) and `dnsmos-p808@1`, both on a
scale of 1 to 5. The models were trained on noisy and denoised speech: they hear noise, clipping and
artefacts, not wrong words or odd prosody. Works on unfinished candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

from tts_eval import weights
from tts_eval.errors import ConfigError
from tts_eval.types import Item, Metric, Score
from verifiers.dnsmos import RATE, Dnsmos
from verifiers.judging import Judgement, clip_of, judge


def create(argument: str) -> QualityVerifier:
    """`quality` or `quality:dnsmos`.

    Raises:
        ConfigError: another argument.
        WeightsError: the models have not been fetched.
    """
    if argument not in ("", "dnsmos"):
        raise ConfigError([f"Verifier 'quality' has no model '{argument}'; write 'quality' or 'quality:dnsmos'."])
    return QualityVerifier()


class QualityVerifier:
    """DNSMOS; higher is better."""

    name = "quality"
    version = "1"
    supports_partial = True
    metrics = (
        Metric(name="ovrl", higher_is_better=True, worst=1.0, protocol="dnsmos-p835@1"),
        Metric(name="sig", higher_is_better=True, worst=1.0, protocol="dnsmos-p835@1"),
        Metric(name="bak", higher_is_better=True, worst=1.0, protocol="dnsmos-p835@1"),
        Metric(name="p808", higher_is_better=True, worst=1.0, protocol="dnsmos-p808@1"),
    )

    def __init__(self) -> None:
        asset = "dnsmos"
        self.judge = f"{asset}:{weights.fingerprint(asset)}"
        self._model = Dnsmos(weights.locate(asset))

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item."""
        return judge(self, items, self._judge)

    def _judge(self, items: Sequence[Item]) -> list[Judgement]:
        return [
            Judgement(opinion._asdict()) for opinion in self._model.rate([clip_of(item).at(RATE) for item in items])
        ]
