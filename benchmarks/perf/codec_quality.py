"""What the codec of `llasa-nano` loses: words, voice and quality of clips that its training never heard.

    python -m benchmarks.perf.codec_quality --codec runs/codec/codec --data kokoro-speech --data LibriSpeech

Encodes and decodes clips of held-out speakers (the same number from each corpus) with the speaker
embedding of the clip itself, or with `--voice other` of another clip of the same person, as a prompt
would. Originals and reconstructions are heard by the same judges. The targets it checks: WER at most
1.3 times the originals' + 1 point, speaker cosine at least 0.80, DNSMOS OVRL within 0.5.
Prints a table; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from tts_eval import weights
from tts_eval.audio import Clip, read_audio, write_audio
from tts_eval.errors import DataError
from tts_eval.execution import batched
from tts_eval.ge2e import GE2EEncoder
from tts_eval.recipes.corpus import HELD_OUT_SPEAKERS, Utterance, read_corpus, stable_fraction
from tts_eval.synthesizers.nano_codec import RATE, NanoCodec, level
from tts_eval.text import load_protocol
from verifiers import recognition, whisper_ctranslate2
from verifiers.asr import DEFAULT_PROTOCOL
from verifiers.dnsmos import Dnsmos

SHORTEST, LONGEST = 2.0, 12.0
BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Means over some clips; WER is errors over words of all of them."""

    clips: int
    original_wer: float
    decoded_wer: float
    cosine: float
    original_ovrl: float
    decoded_ovrl: float
    codes_used: int
    times_realtime: float
    """Seconds of speech decoded a second."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A clip before and after."""

    utterance: Utterance
    original: np.ndarray
    decoded: np.ndarray
    codes: frozenset[int]
    seconds: float
    """Time of decoding."""


def held_out_clips(folder: Path, count: int) -> list[Utterance]:
    """The same `count` utterances of held-out speakers every time.

    Raises:
        DataError: the corpus has too few of them.
    """
    fitting = [
        each
        for each in read_corpus(folder)
        if each.speaker in HELD_OUT_SPEAKERS and SHORTEST <= each.seconds <= LONGEST
    ]
    if len(fitting) < count:
        raise DataError(f"{folder} has {len(fitting)} clips of held-out speakers, expected {count}; lower --clips.")
    return sorted(fitting, key=lambda each: stable_fraction(each.id))[:count]


def reconstruct(codec: NanoCodec, encoder: GE2EEncoder, clips: Sequence[Utterance], voice: str) -> list[Pair]:
    """Every clip through the codec."""
    originals = [level(read_audio(each.path).at(RATE)) for each in clips]
    embeddings = encoder.embed(originals)
    by_speaker: dict[str, list[int]] = defaultdict(list)
    for index, each in enumerate(clips):
        by_speaker[each.speaker].append(index)
    pairs = []
    for index, (each, original) in enumerate(zip(clips, originals, strict=True)):
        same = by_speaker[each.speaker]
        source = same[(same.index(index) + 1) % len(same)] if voice == "other" else index
        embedding = embeddings[source]
        if embedding is None:
            raise DataError(f"No voice is heard in {clips[source].path}; leave it out.")
        codes = codec.encode(torch.from_numpy(original)[None])
        started = time.perf_counter()
        decoded = codec.decode(codes, torch.from_numpy(embedding)[None])[0].numpy()
        elapsed = time.perf_counter() - started
        pairs.append(Pair(each, original, decoded[: len(original)], frozenset(codes[0].tolist()), elapsed))
    return pairs


def word_errors(model: recognition.Recogniser, texts: Sequence[str], audio: Sequence[np.ndarray]) -> np.ndarray:
    """Errors and words, int64 [clips, 2]."""
    protocol = load_protocol(DEFAULT_PROTOCOL)
    clips = [recognition.Utterance(audio_16k=samples, text="", language="en") for samples in audio]
    heard = model.recognise(clips)
    counts = [protocol.counts(text, each.text) for text, each in zip(texts, heard, strict=True)]
    return np.array([[count.errors, count.reference_length] for count in counts])


def measure(pairs: Sequence[Pair], errors: np.ndarray, cosines: np.ndarray, ovrl: np.ndarray) -> Quality:
    """The means over `pairs`, of errors [clips, 2 sides, 2], cosines [clips] and OVRL [clips, 2 sides]."""
    wer = errors[:, :, 0].sum(0) / errors[:, :, 1].sum(0)
    return Quality(
        clips=len(pairs),
        original_wer=float(wer[0]),
        decoded_wer=float(wer[1]),
        cosine=float(cosines.mean()),
        original_ovrl=float(ovrl[:, 0].mean()),
        decoded_ovrl=float(ovrl[:, 1].mean()),
        codes_used=len(frozenset[int]().union(*(pair.codes for pair in pairs))),
        times_realtime=sum(len(pair.decoded) for pair in pairs) / RATE / sum(pair.seconds for pair in pairs),
    )


def main() -> None:
    """Measure, print a table and the JSON line."""
    options = _parser().parse_args()
    torch.set_num_threads(options.threads)
    codec = NanoCodec.load(options.codec)
    encoder = GE2EEncoder(weights.locate("ge2e-resemblyzer") / "pretrained.pt")
    recogniser = whisper_ctranslate2.load(options.asr, threads=options.threads)
    dnsmos = Dnsmos(weights.locate("dnsmos"), hop_seconds=9, threads=options.threads)
    results: dict[str, Quality] = {}
    everything: list[tuple[list[Pair], np.ndarray, np.ndarray, np.ndarray]] = []
    for folder in options.data:
        pairs = reconstruct(codec, encoder, held_out_clips(folder, options.clips), options.voice)
        texts = [pair.utterance.text for pair in pairs]
        sides = ([pair.original for pair in pairs], [pair.decoded for pair in pairs])
        errors = np.stack([word_errors(recogniser, texts, side) for side in sides], axis=1)
        cosines = np.concatenate([_cosines(encoder, batch) for batch in batched(pairs, BATCH)])
        ovrl = np.array([[opinion.ovrl for opinion in dnsmos.rate(side)] for side in sides]).T
        everything.append((pairs, errors, cosines, ovrl))
        results[folder.name] = measure(pairs, errors, cosines, ovrl)
        if options.listen:
            _write(options.listen, pairs[: options.listen_clips])
    parts = list(zip(*everything, strict=True))
    results["all"] = measure(
        [pair for pairs in parts[0] for pair in pairs], *(np.concatenate(part) for part in parts[1:])
    )
    print(table(results))
    print(json.dumps({"judge": recogniser.judge, "voice": options.voice, **{k: asdict(v) for k, v in results.items()}}))


def table(results: dict[str, Quality]) -> str:
    """The measurements, for people."""
    lines = [f"{'':16}{'clips':>6}{'WER':>16}{'allowed':>9}{'cosine':>8}{'OVRL':>14}{'codes':>7}{'x realtime':>12}"]
    for name, quality in results.items():
        allowed = 1.3 * quality.original_wer + 0.01
        lines.append(
            f"{name:16}{quality.clips:6}{quality.original_wer:7.1%} >{quality.decoded_wer:7.1%}{allowed:9.1%}"
            f"{quality.cosine:8.3f}{quality.original_ovrl:7.2f} >{quality.decoded_ovrl:5.2f}"
            f"{quality.codes_used:7}{quality.times_realtime:12.0f}"
        )
    return "\n".join(lines)


def _cosines(encoder: GE2EEncoder, pairs: Sequence[Pair]) -> np.ndarray:
    voices = encoder.embed([side for pair in pairs for side in (pair.original, pair.decoded)])
    return np.array(
        [
            0.0 if ours is None or theirs is None else ours @ theirs
            for theirs, ours in zip(voices[::2], voices[1::2], strict=True)
        ]
    )


def _write(folder: Path, pairs: Sequence[Pair]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for pair in pairs:
        name = pair.utterance.id.replace("/", "-")
        write_audio(folder / f"{name}-original.wav", Clip(pair.original, RATE))
        write_audio(folder / f"{name}-decoded.wav", Clip(pair.decoded, RATE))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--codec", type=Path, required=True, help="folder with config.json and model.safetensors")
    add("--data", type=Path, action="append", required=True, help="a corpus with held-out speakers; may be repeated")
    add("--clips", type=int, default=50, help="from each corpus")
    add("--asr", default="base", help="Whisper model")
    add("--voice", choices=("own", "other"), default="own", help="which clip of the speaker gives the voice")
    add("--threads", type=int, default=2)
    add("--listen", type=Path, help="write some of the clips to this folder")
    add("--listen-clips", type=int, default=4, help="how many, of each corpus")
    return parser


if __name__ == "__main__":
    main()
