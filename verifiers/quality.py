"""How good does it sound? Opinion scores that a model predicts from the audio alone, on a scale of 1 to 5.

`quality` gives `dnsmos-p835@1` (OVRL overall, SIG speech, BAK background noise) and `dnsmos-p808@1`,
as everybody reports them. `quality:fast` hears everything about once, in windows that start every 9 s
instead of every second: seven times cheaper for a clip of 4 s, OVRL within 0.09 (correlation 0.999) on
34 real and synthetic clips, and another protocol name. `quality:distillmos` gives `distillmos@1`,
`quality:FILE` `utmos22-strong@1`, by the published checkpoint that FILE is.

DNSMOS was trained on noisy and denoised speech, DistillMOS learned from an XLS-R model of speech quality:
they hear noise, clipping and artefacts, not wrong words or odd prosody. UTMOS was trained on votes on synthetic
speech. All work on unfinished candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from tts_eval import weights
from tts_eval.devices import DEVICES, choose_device
from tts_eval.errors import ConfigError
from tts_eval.hub import fingerprint
from tts_eval.types import Failure, Item, Metric, Score
from verifiers.dnsmos import RATE, Dnsmos
from verifiers.judging import Judgement, clip_of, score_items
from verifiers.model_spec import parse_model_spec
from verifiers.references import too_short

HOPS = {"dnsmos": 1, "fast": 9}
"""Seconds between DNSMOS's windows by argument."""
_EXAMPLE = "quality:/models/utmos22_strong_step7459_v1.pt"


def create(argument: str) -> QualityVerifier | OpinionVerifier:
    """The verifier for `[MODEL][,device=DEVICE]`, as written after `quality:`; "" means dnsmos.

    MODEL is `dnsmos` (as the reference), `fast` (DNSMOS with a window every 9 s), `distillmos`, or the file of UTMOS22
    (strong). Only UTMOS uses a GPU.

    Raises:
        ConfigError: another argument, or the machine has no such device.
        WeightsError: the models have not been fetched, or the file is not UTMOS.
        MissingDependencyError: the package that runs UTMOS is not installed.
    """
    model, settings = parse_model_spec("quality", argument, {"device": DEVICES}, _EXAMPLE)
    model = model or "dnsmos"
    if model in (*HOPS, "distillmos") and settings.get("device", "cpu") != "cpu":
        raise ConfigError([f"quality:{argument}: {model} runs on the CPU only; drop device={settings['device']}."])
    if model in HOPS:
        folder = weights.locate("dnsmos")
        return QualityVerifier(Dnsmos(folder, hop_seconds=HOPS[model]), f"{model}:{weights.fingerprint('dnsmos')}")
    if model == "distillmos":
        from verifiers.distillmos import DistillMos

        distilled = DistillMos(weights.locate(model) / "distill_mos_v7.pt")
        return OpinionVerifier(distilled, f"{model}:{weights.fingerprint(model)}", "distillmos", "distillmos@1")
    checkpoint = Path(model).expanduser()
    if not checkpoint.is_file():
        raise ConfigError(
            [
                f"Verifier 'quality' has no model '{model}', and there is no such file; write 'quality', "
                f"'quality:fast', 'quality:distillmos', or the path of UTMOS22: {_EXAMPLE}."
            ]
        )
    from verifiers.utmos import Utmos

    rater = Utmos(checkpoint, choose_device(settings.get("device", "")))
    judge = f"utmos22:{checkpoint.name}@{fingerprint([checkpoint])}"
    return OpinionVerifier(rater, judge, "utmos", "utmos22-strong@1")


class QualityVerifier:
    """DNSMOS; higher is better."""

    name = "quality"
    version = "1"
    supports_partial = True
    gives = ()

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


class Rater(Protocol):
    """A model with one opinion."""

    shortest_seconds: float

    def rate(self, clips_16k: Sequence[np.ndarray]) -> list[float]:
        """One opinion from 1 to 5 per clip at 16 kHz of at least `shortest_seconds`."""
        ...


class OpinionVerifier:
    """One opinion score; higher is better."""

    name = "quality"
    version = "1"
    supports_partial = True
    gives = ()

    def __init__(self, model: Rater, judge: str, metric: str, protocol: str) -> None:
        self.judge = judge
        self.metrics = (Metric(name=metric, higher_is_better=True, worst=1.0, protocol=protocol),)
        self._model = model

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item; clips that are too short for the model are failures."""
        return score_items(self, items, self._judge)

    def _judge(self, items: Sequence[Item]) -> list[Judgement | Failure]:
        failures = [too_short(clip_of(item), self._model.shortest_seconds) for item in items]
        good = [clip_of(item).at(RATE) for item, failure in zip(items, failures, strict=True) if failure is None]
        opinions = iter(self._model.rate(good) if good else [])
        return [failure or Judgement({self.metrics[0].name: next(opinions)}) for failure in failures]
