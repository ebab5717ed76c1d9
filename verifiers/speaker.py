"""Does it sound like the prompt? Cosine similarity of speaker embeddings (SIM-o, SIM-r).

`sim-o@1`: embedding of the candidate, at full length, against that of the request's original prompt audio, or
of its ground truth where there is no prompt. With `reference=CODEC` also `sim-r@1`: against that audio
encoded and decoded by the codec, which is the most that a model speaking through the codec can reach.

The voice model (`verifiers.speaker_encoder`) is the judge: numbers of two models are never comparable. GE2E's
embedding has no negative parts, so its cosine lies in [0, 1], and two different speakers typically get
0.5-0.7: compare differences, not levels. `campplus` is another model from a wheel: choose with one, report with
the other. Works on unfinished candidates from `PARTIAL_SECONDS` on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tts_eval import ground_truth
from tts_eval.devices import DEVICES, choose_device
from tts_eval.hub import Source
from tts_eval.types import Failure, FailureKind, Item, Metric, Request, Score
from verifiers.judging import Judgement, clip_of, score_items
from verifiers.model_spec import parse_model_spec
from verifiers.references import too_short
from verifiers.sharing import shared_encoder
from verifiers.speaker_encoder import RATE, SpeakerEncoder
from verifiers.speaker_references import Resynthesise, Voices, reference_of, voice_references

PARTIAL_SECONDS = 1.5
"""Of an unfinished candidate, less than this is undecided. Beginnings of LibriSpeech utterances against whole ones,
GE2E, equal error rate: 28 % for 0.5 s, 10 % for 1 s, 3.6 % for 1.5 s, 2.7 % for 2 s, 1.9 % for 3 s. Of CAM++,
which errs a third as often, 1 % for 1.5 s (`python -m benchmarks.perf.speaker_verification`)."""

_KEYS = {"device": DEVICES, "reference": r".+"}
_EXAMPLE = "speaker:/models/wavlm_large_finetune.pth,device=cuda,reference=HKUSTAudio/xcodec2-hf"


class SpeakerOptions(NamedTuple):
    """What stands after `speaker:`; "" leaves the choice to us."""

    model: str
    device: str
    reference: str


def parse_options(argument: str) -> SpeakerOptions:
    """The options in `[MODEL][,device=DEVICE][,reference=CODEC]`.

    Raises:
        ConfigError: unknown or impossible options; all of them are listed.
    """
    model, values = parse_model_spec("speaker", argument, _KEYS, _EXAMPLE)
    return SpeakerOptions(model, values.get("device", ""), values.get("reference", ""))


def create(argument: str) -> SpeakerVerifier:
    """The verifier for `[MODEL][,device=DEVICE][,reference=CODEC]`, as written after `speaker:`; "" is GE2E.

    MODEL is a name, file, folder or hub name that `verifiers.speaker_encoder` knows, CODEC a folder or hub name that
    `codec-resynthesis` knows. The device is a GPU where there is one; GE2E runs on the CPU.

    Raises:
        ConfigError: the argument is wrong, or the machine has no such device.
        WeightsError: a model's weights are not here and cannot be had, or are of another kind.
        MissingDependencyError: the package that runs a model is not installed.
    """
    options = parse_options(argument)
    encoder = shared_encoder(options.model, options.device)
    if not options.reference:
        return SpeakerVerifier(encoder, encoder.judge)
    from tts_eval.synthesizers.codec_resynthesis import resynthesise
    from tts_eval.synthesizers.llasa import loading

    codec = loading.load_codec(Source.parse(options.reference), choose_device(options.device))
    return SpeakerVerifier(
        encoder,
        f"{encoder.judge}+codec:{codec.revision}",
        resynthesise=lambda clip: resynthesise(codec.codec, clip).clip,
    )


class SpeakerVerifier:
    """Cosine similarity to the reference voice; higher is better."""

    name = "speaker"
    version = "1"
    supports_partial = True
    gives = ("embedding",)

    def __init__(self, encoder: SpeakerEncoder, judge: str, resynthesise: Resynthesise | None = None) -> None:
        self.judge = judge
        names = {"sim": "sim-o@1", **({"sim_r": "sim-r@1"} if resynthesise else {})}
        # A clip that could not be judged must not beat one whose voice points the other way.
        self.metrics = tuple(
            Metric(name=name, higher_is_better=True, worst=encoder.lowest_cosine, protocol=protocol)
            for name, protocol in names.items()
        )
        self._encoder = encoder
        self._references = voice_references(encoder, resynthesise)

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item."""
        return score_items(self, items, self._judge, partial_seconds=PARTIAL_SECONDS)

    def lacks(self, request: Request) -> Failure | None:
        """Why there is no voice to compare with, as far as that is known without reading audio."""
        return self._references.lacks(reference_of(request))

    def _judge(self, items: Sequence[Item]) -> list[Judgement | Failure]:
        references = self._references.of([reference_of(item.request) for item in items])
        problems = [
            reference if isinstance(reference, Failure) else self._unjudgeable(item)
            for item, reference in zip(items, references, strict=True)
        ]
        # The voice of a candidate without a reference would be measured for nothing.
        asked = [index for index, problem in enumerate(problems) if problem is None]
        voices = dict(zip(asked, self._encoder.embed([clip_of(items[index]).at(RATE) for index in asked]), strict=True))
        return [
            problem or _compare(reference, voices[index])
            for index, (reference, problem) in enumerate(zip(references, problems, strict=True))
        ]

    def _unjudgeable(self, item: Item) -> Failure | None:
        prompt = item.request.prompt
        if item.candidate.index == ground_truth.INDEX and (prompt is None or prompt.audio is None):
            message = "The recording is the only reference; it is not compared with itself."
            return Failure(FailureKind.NO_REFERENCE, message)
        return too_short(clip_of(item), self._encoder.shortest_seconds)


def _compare(reference: Voices | Failure, voice: np.ndarray | None) -> Judgement | Failure:
    assert not isinstance(reference, Failure)
    if voice is None:
        return Failure(FailureKind.SILENT, "The voice detector hears no voice in the clip.")
    values = {"sim": cosine(reference.original, voice)}
    if reference.resynthesised is not None:
        values["sim_r"] = cosine(reference.resynthesised, voice)
    return Judgement(values, embedding=voice)


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Of two vectors of length 1."""
    return float(np.clip(first @ second, -1.0, 1.0))
