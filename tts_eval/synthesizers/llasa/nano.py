"""`llasa-nano`: the small Llasa that comes with the package; no hub, no GPU."""

from __future__ import annotations

from tts_eval import phonemes, weights
from tts_eval.synthesizers.llasa.options import parse_options
from tts_eval.synthesizers.llasa.synthesizer import LlasaSynthesizer


def create(argument: str) -> LlasaSynthesizer:
    """The model, with the options of `llasa` but for `codec`: `llasa-nano[:KEY=VALUE,...]`.

    Raises:
        ConfigError: the options are wrong.
        MissingDependencyError: transformers or piper-tts (phonemes) is not installed.
    """
    folder = weights.bundled("llasa-nano").folder
    options = parse_options(argument, "llasa-nano", ("device", "dtype", "chunk", "rows"), folder=folder)
    phonemes.espeak()  # what is missing is said now, not of every candidate
    from tts_eval.synthesizers.llasa import loading

    return LlasaSynthesizer(loading.load(options), chunk=options.chunk, name="llasa-nano")
