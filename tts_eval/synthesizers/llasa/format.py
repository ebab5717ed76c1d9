"""Llasa's token format: text between two marks, then one token per codec frame, then the end.

    user       Convert the text to speech:<|TEXT_UNDERSTANDING_START|>TEXT<|TEXT_UNDERSTANDING_END|>
    assistant  <|SPEECH_GENERATION_START|><|s_17|><|s_65|> ... <|SPEECH_GENERATION_END|>

To clone a voice, TEXT is the prompt's transcript followed by the text to say, and the prompt's
codes stand right behind the start mark. To go on with a recording, TEXT is all that is to be heard in
the end, and the codes say its beginning. A style (Llasa's fine-tuning writes "Speaker NAME ") stands
right before the start mark. From zhenye234/LLaSA_training (train_tts.py,
finetune/online_finetune/lora_infer_example.py).
A tokenizer without a chat template gets the same marks without the turns around them.
Not handled: style as audio or images.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tts_eval.errors import MissingDependencyError, SynthesisError, WeightsError
from tts_eval.phonemes import phonemize
from tts_eval.registry import Registry

TEXT_START, TEXT_END = "<|TEXT_UNDERSTANDING_START|>", "<|TEXT_UNDERSTANDING_END|>"
SPEECH_START, SPEECH_END = "<|SPEECH_GENERATION_START|>", "<|SPEECH_GENERATION_END|>"
MARKS = (
    "<|TEXT_GENERATION_START|>", "<|TEXT_GENERATION_END|>", TEXT_START, TEXT_END,
    SPEECH_START, SPEECH_END, "<|SPEECH_UNDERSTANDING_START|>", "<|SPEECH_UNDERSTANDING_END|>",
)  # fmt: skip
"""Added to the base tokenizer in this order, before the speech tokens."""
INSTRUCTION = "Convert the text to speech:"
DATE = "26 Jul 2024"
"""Llama 3.2's template writes today's date into the prompt, but a job must say the same tomorrow: its own fallback."""

TextFrontend = Callable[[str, str], str]
"""(text, language) -> what stands between the text marks. Raises SynthesisError for text that it cannot write."""


def characters(text: str, language: str) -> str:
    """The text as it is written."""
    return text


frontends: Registry[TextFrontend] = Registry("text frontend", "frontends")
"""By the `text` of a checkpoint's tts_eval.json."""
frontends.add("characters", "tts_eval.synthesizers.llasa.format:characters", "as it is written")
frontends.add("phonemes", "tts_eval.synthesizers.llasa.format:english_phonemes", "American English phonemes")


def english_phonemes(text: str, language: str) -> str:
    """The text as American English phonemes.

    Raises:
        SynthesisError: another language, or letters of another script.
    """
    if language != "en" and not language.startswith("en-"):
        raise SynthesisError(f"The model reads English only; the text is in '{language}'. Use another checkpoint.")
    strange = sorted({mark for mark in text if mark.isalpha() and not unicodedata.name(mark, "").startswith("LATIN")})
    if strange:
        raise SynthesisError(
            f"{text!r} has letters that the model has never seen: {', '.join(strange[:10])}. Spell them out in English."
        )
    return phonemize(text)


def speech_token(code: int) -> str:
    """The token of a codec code."""
    return f"<|s_{code}|>"


class Written(NamedTuple):
    """A request as tokens."""

    ids: list[int]
    """Everything before the first frame to generate."""
    script: tuple[tuple[int, ...], ...] = ()
    """What the model hears each time that it ends, before it goes on; it is over when there is nothing left."""


class LlasaFormat:
    """A tokenizer with Llasa's tokens in it."""

    def __init__(self, tokenizer: Any, *, frontend: TextFrontend = characters, chat: bool | None = None) -> None:
        """Find the marks and the speech tokens.

        Raises:
            WeightsError: the tokenizer is not in Llasa's format.
        """
        vocabulary = tokenizer.get_vocab()
        needed = (TEXT_START, TEXT_END, SPEECH_START, SPEECH_END, speech_token(0))
        missing = [token for token in needed if token not in vocabulary]
        if missing:
            raise WeightsError(
                f"The vocabulary has no {', '.join(missing)}; expected a checkpoint in Llasa's format: the marks "
                f"{TEXT_START} ... {SPEECH_END} and a token <|s_N|> for each codec code. A plain Llama cannot speak."
            )
        self.first = int(vocabulary[speech_token(0)])
        self.codes = 0
        while vocabulary.get(speech_token(self.codes)) == self.first + self.codes:
            self.codes += 1
        if speech_token(self.codes) in vocabulary:
            raise WeightsError(
                f"{speech_token(self.codes)} does not follow the speech token before it: ids must be consecutive."
            )
        self.end = int(vocabulary[SPEECH_END])
        self.vocabulary = max(vocabulary.values()) + 1
        self._tokenizer = tokenizer
        self._frontend = frontend
        self._chat = bool(tokenizer.chat_template) if chat is None else chat
        if self._chat and not tokenizer.chat_template:
            raise WeightsError("tts_eval.json asks for a chat prompt, but the tokenizer has no chat template.")

    @property
    def heard_per_second(self) -> float:
        """Steps, per second of speech, in which nothing is said: none, every step is a frame."""
        return 0.0

    @classmethod
    def load(cls, folder: Path, *, frontend: TextFrontend = characters, chat: bool | None = None) -> LlasaFormat:
        """The format of a checkpoint folder.

        Raises:
            WeightsError: no tokenizer there, or one without Llasa's tokens.
            MissingDependencyError: transformers is not installed.
        """
        try:
            from transformers import AutoTokenizer
        except ImportError as error:
            raise MissingDependencyError(
                "transformers", "The synthesizer 'llasa'", "tts-eval-harness[llasa]"
            ) from error
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # transformers raises whatever its tokenizers do
            raise WeightsError(f"{folder} has no tokenizer that transformers can read: {error}") from error
        return cls(tokenizer, frontend=frontend, chat=chat)

    def prompt(
        self, text: str, *, language: str = "en", transcript: str = "", codes: Sequence[int] = (), style: str = ""
    ) -> Written:
        """Token ids of everything before the first frame to generate.

        Args:
            text: what to say.
            language: of both texts, for the frontend.
            transcript: what the prompt audio says; "" where it says the beginning of `text`.
            codes: the prompt audio's codes.
            style: written before the speech starts, e.g. "Speaker kore ".

        Raises:
            SynthesisError: a text holds one of the marks, or the tokenizer cannot write it.
        """
        ids = self.opening(self.write(join_texts(transcript, text), language), style)
        return Written([*ids, *(self.first + int(code) for code in codes)])

    def write(self, text: str, language: str) -> str:
        """What stands between the text marks.

        Raises:
            SynthesisError: the frontend cannot write it, or it holds one of the marks.
        """
        written = self._frontend(text, language)
        self._refuse_marks(written)
        return written

    def opening(self, written: str, style: str) -> list[int]:
        """Token ids up to and with the start of the speech.

        Raises:
            SynthesisError: the style holds one of the marks, or the tokenizer does not know a character.
        """
        self._refuse_marks(style)
        marked = f"{TEXT_START}{written}{TEXT_END}"
        ids = self._chat_ids(marked, style) if self._chat else self.encode(f"{marked}{style}{SPEECH_START}")
        unknown = self._tokenizer.unk_token_id
        if unknown is not None and unknown in ids:
            raise SynthesisError(
                f"{written!r} has characters that the model has never seen: "
                f"{', '.join(map(repr, self._unknown(written + style)))}. Spell them out, or leave them out."
            )
        return ids

    def encode(self, written: str) -> list[int]:
        """Token ids of a piece of what `write` returned."""
        ids: list[int] = self._tokenizer.encode(written, add_special_tokens=False)
        return ids

    def _refuse_marks(self, part: str) -> None:
        if any(mark in part for mark in MARKS) or "<|s_" in part:
            raise SynthesisError(f"The text {part!r} holds a token of Llasa's format; take it out.")

    def _chat_ids(self, marked: str, style: str) -> list[int]:
        turns = [
            {"role": "user", "content": f"{INSTRUCTION}{marked}"},
            {"role": "assistant", "content": f"{style}{SPEECH_START}"},
        ]
        prompt = self._tokenizer.apply_chat_template(
            turns, tokenize=False, continue_final_message=True, date_string=DATE
        )
        return self.encode(prompt)

    def _unknown(self, text: str) -> list[str]:
        unknown = self._tokenizer.unk_token_id
        return sorted({mark for mark in text if unknown in self.encode(mark)}) or [text]


def join_texts(transcript: str, text: str) -> str:
    """Both texts in a row, with a space between them where the script writes spaces."""
    before, after = transcript.strip(), text.strip()
    if not before or not after:
        return before or after
    return f"{before}{after}" if is_wide(before[-1]) or is_wide(after[0]) else f"{before} {after}"


def is_wide(mark: str) -> bool:
    """Whether a character is of a script without spaces: Chinese, Japanese ..."""
    return unicodedata.east_asian_width(mark) in ("W", "F")
