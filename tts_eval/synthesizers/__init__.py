"""What proposes: synthesizers by name, each in a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tts_eval.registry import Registry, parse_spec
from tts_eval.types import Synthesizer

synthesizers: Registry[Callable[[str], Synthesizer]] = Registry(
    "synthesizer", "synthesizers", entry_point_group="tts_eval.synthesizers"
)
synthesizers.add("piper", "tts_eval.synthesizers.piper:create", "VITS voices; piper or piper:VOICE.onnx[@SPEAKER]")
synthesizers.add(
    "llasa",
    "tts_eval.synthesizers.llasa.synthesizer:create",
    "checkpoints in Llasa's format; llasa:FOLDER_OR_HUB_ID[@REVISION][,device=...,dtype=...,codec=...,chunk=on,rows=N]",
)
synthesizers.add(
    "llasa-nano",
    "tts_eval.synthesizers.llasa.nano:create",
    "a small Llasa that comes along, English, clones voices; llasa-nano[:device=...,dtype=...,chunk=on,rows=N]",
)
synthesizers.add(
    "codec-resynthesis",
    "tts_eval.synthesizers.codec_resynthesis:create",
    "the true recording through a codec, as a ceiling; codec-resynthesis[:llasa-nano|FOLDER|HUB_ID]",
)
synthesizers.add(
    "phrases",
    "tts_eval.synthesizers.phrases:create",
    "another synthesizer, phrase by phrase, for searches that judge on the way; phrases:piper",
)
synthesizers.add(
    "kokoro",
    "tts_eval.synthesizers.kokoro:create",
    "Kokoro-82M, English, 28 voices, Apache-2.0, deterministic; kokoro[:VOICE][,voices=FOLDER]",
)
synthesizers.add(
    "openai",
    "tts_eval.synthesizers.openai.synthesizer:create",
    "any server with /v1/audio/speech; openai:URL,model=NAME[,voice=NAME,format=...,send=seed+prompt,...]",
)
synthesizers.add(
    "command",
    "tts_eval.synthesizers.command.synthesizer:create",
    "any program that reads jobs and writes audio files; command:FILE.yaml",
)
synthesizers.add(
    "transformers",
    "tts_eval.synthesizers.text_to_audio.synthesizer:create",
    "VITS, MMS-TTS and SpeechT5; transformers:FOLDER_OR_HUB_NAME[@REVISION][,device=...,speaker=N,voice=FILE.npy]",
)
synthesizers.add("wavs", "tts_eval.synthesizers.wavs:create", "files that exist already; wavs:FOLDER")
synthesizers.add("fake", "tts_eval.synthesizers.fake:create", "seeded tones, for tests")

_TOKENS_PER_SECOND: Mapping[str, float] = {
    "llasa": 50.0,
    "llasa-nano": 25.0,
    "fake": 10.0,
    **dict.fromkeys(("piper", "kokoro", "openai", "command", "transformers", "wavs", "codec-resynthesis"), 0.0),
}


def tokens_per_second(spec: str) -> float | None:
    """Tokens per second of speech with the codec that a model usually has, known before it is loaded.

    0 where the synthesizer counts none, None where nothing is known of it.
    """
    name, argument = parse_spec(spec)
    return tokens_per_second(argument) if name == "phrases" and argument else _TOKENS_PER_SECOND.get(name)


def load_synthesizer(spec: str) -> Synthesizer:
    """The synthesizer that `NAME` or `NAME:ARGUMENT` describes, with its model loaded.

    Raises:
        UnknownNameError: no synthesizer of that name.
        ConfigError: the argument is wrong.
    """
    name, argument = parse_spec(spec)
    return synthesizers.load(name)(argument)
