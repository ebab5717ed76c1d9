"""What stands after `speaker:` and `emotion:`: MODEL[,KEY=VALUE ...], and the hub model that MODEL means."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tts_eval.errors import ConfigError
from tts_eval.hub import Source
from tts_eval.key_values import parse_key_values


class ModelSpec(NamedTuple):
    """A parsed argument; what is not there leaves the choice to the verifier."""

    model: str
    """"" where none is named."""
    settings: Mapping[str, str]


def parse_model_spec(verifier: str, argument: str, keys: Mapping[str, str], example: str) -> ModelSpec:
    """The model and the settings in `MODEL[,KEY=VALUE ...]`.

    Args:
        verifier: Whose argument it is.
        argument: What was written.
        keys: Regular expression that the whole value matches, by key.
        example: A right argument with its verifier, for messages.

    Raises:
        ConfigError: unknown, repeated or impossible settings; all of them are listed.
    """
    model, *settings = argument.split(",")

    def problem_of(key: str, value: str) -> str:
        return "" if re.fullmatch(keys[key], value) else f"for example {example}"

    values = parse_key_values(settings, list(keys), f"{verifier}:{argument}", problem_of)
    return ModelSpec(model.strip(), values)


def hub_source(verifier: str, model: str, known: Sequence[str], example: str) -> Source:
    """The hub model that an argument means which is no file or folder here.

    Args:
        verifier: Whose model it is.
        model: What was written.
        known: Names that the verifier knows.
        example: A right argument that is a path, with its verifier, for the message.

    Raises:
        ConfigError: no model of the hub can be called that.
    """
    source = Source.parse(model)
    if source.is_hub_name:
        return source
    close = difflib.get_close_matches(model, known, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    raise ConfigError(
        [
            f"Verifier '{verifier}' has no model '{model}'.{hint} Expected {', '.join(known)}, an existing file or "
            f"folder ({example}), or OWNER/NAME[@REVISION] of a model on the Hugging Face hub."
        ]
    )
