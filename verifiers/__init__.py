"""What judges: verifiers by name, each in a module of its own."""

from __future__ import annotations

from collections.abc import Callable

from tts_eval.errors import ConfigError
from tts_eval.registry import Registry, parse_spec
from tts_eval.types import Verifier

verifiers: Registry[Callable[[str], Verifier]] = Registry(
    "verifier", "verifiers", entry_point_group="tts_eval.verifiers"
)
verifiers.add("asr", "verifiers.asr:create", "WER and text likelihood; asr:[BACKEND:]MODEL[:exact][:PROTOCOL]")
verifiers.add(
    "likelihood",
    "verifiers.likelihood:create",
    "text likelihood alone, no transcript; likelihood:[BACKEND:]MODEL[:exact]",
)
verifiers.add(
    "speaker",
    "verifiers.speaker:create",
    "similarity to the prompt (SIM-o, SIM-r); speaker:[MODEL][,device=D][,reference=CODEC]",
)
verifiers.add(
    "emotion", "verifiers.emotion:create", "wanted emotion; emotion:[MODEL][,device=D][,target=label|prompt|EMOTION]"
)
verifiers.add(
    "quality",
    "verifiers.quality:create",
    "DNSMOS P.835 and P.808, DistillMOS, UTMOS; quality[:fast|distillmos|FILE[,device=D]]",
)
verifiers.add("duration", "verifiers.duration:create", "pace, pauses, clipping; no model")
verifiers.add("guards", "verifiers.guards:create", "silence, clipping, runaways, loops, cut ends; no model")
verifiers.add("fake", "verifiers.fake:create", "zero crossings, for tests")


def load_verifier(spec: str) -> Verifier:
    """The verifier that `NAME` or `NAME:ARGUMENT` describes, with its model loaded.

    Raises:
        UnknownNameError: no verifier of that name.
        ConfigError: the argument is wrong.
    """
    if "#" in spec:
        raise ConfigError(
            [f"'{spec}' names a metric, and a judge reports all that it has. Write {spec.partition('#')[0]}."]
        )
    name, argument = parse_spec(spec)
    return verifiers.load(name)(argument)
