"""What can be known before anything is generated: verifiers that load, and requests that they can judge.

A verifier that can judge none of the requests is refused, as its table would be one column of failures. One
that cannot judge some of them is warned of: those stay in its denominator, each with the same failure.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from tts_eval.errors import ConfigError, MissingDependencyError, TTSEvalError, UnknownNameError, WeightsError
from tts_eval.types import Failure, Request, Verifier, what_is_lacking
from verifiers import load_verifier

logger = logging.getLogger(__name__)

NAMED = 10
"""Requests that a message names; of more it says how many."""


def load_verifiers(specs: Iterable[str]) -> dict[str, Verifier]:
    """The verifiers by spec, each loaded once; those with one checkpoint share it.

    Raises:
        ConfigError: more than one of them cannot be loaded; all the reasons.
        TTSEvalError: one cannot; as `load_verifier`.
    """
    loaded: dict[str, Verifier] = {}
    errors: list[TTSEvalError] = []
    for spec in dict.fromkeys(specs):
        try:
            loaded[spec] = load_verifier(spec)
        except (ConfigError, UnknownNameError, WeightsError, MissingDependencyError) as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ConfigError(list(dict.fromkeys(str(error) for error in errors)))
    return loaded


def require_judgeable(verifiers: Mapping[str, Verifier], requests: Sequence[Request]) -> None:
    """Warn of verifiers that cannot judge some of the requests.

    Raises:
        ConfigError: some can judge none of them; all of these, with why and the first ten requests.
    """
    refused = []
    for spec, verifier in verifiers.items():
        lacking = {request.id: failure for request in requests if (failure := what_is_lacking(verifier, request))}
        if not lacking:
            continue
        if len(lacking) == len(requests):
            refused.append(f"'{spec}' can judge none of the requests. {_reasons(lacking)}")
        else:
            count = f"{len(lacking)} of {len(requests)} requests"
            logger.warning("'%s' cannot judge %s: failures in every mean. %s", spec, count, _reasons(lacking))
    if refused:
        raise ConfigError(refused)


def _reasons(lacking: Mapping[str, Failure]) -> str:
    """`'a', 'b' and 3 more: why`; the first one's reason stands for all."""
    names = list(lacking)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(map(repr, names[:NAMED]))}{more}: {next(iter(lacking.values())).message}"
