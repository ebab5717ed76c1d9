from collections.abc import Callable

import pytest

from tts_eval.declared import declared, declared_gifts
from tts_eval.synthesizers import synthesizers
from tts_eval.types import Verifier, as_step_synthesizer
from verifiers import load_verifier, verifiers


class Stepping:
    supports_partial = False

    def begin(self) -> None: ...


def makes_stepping(argument: str) -> Stepping:
    return Stepping()


def makes_any(argument: str) -> Verifier: ...


def unreadable(argument: str) -> "Nowhere": ...  # noqa: F821


def silent(argument):
    return Stepping()


@pytest.mark.parametrize(
    ("factory", "attribute", "expected"),
    [(makes_stepping, "begin", True), (makes_stepping, "generate", False), (makes_stepping, "supports_partial", False),
     (Stepping, "begin", True), (makes_any, "supports_partial", None), (unreadable, "begin", None),
     (silent, "begin", None)],
)  # fmt: skip
def test_the_return_type_says_what_will_be_there(factory: Callable[..., object], attribute, expected):
    assert declared(factory, attribute) is expected


class Giving:
    gives = ("transcript", "mood")


class Pointing:
    gives = ("embedding",)


def makes_either(argument: str) -> Giving | Stepping: ...


def makes_gifts(argument: str) -> Giving | Pointing: ...


@pytest.mark.parametrize(
    ("factory", "expected"),
    [(Giving, {"transcript", "mood"}), (makes_gifts, {"transcript", "mood", "embedding"}), (makes_either, None),
     (Stepping, None), (makes_any, None), (unreadable, None), (silent, None)],
)  # fmt: skip
def test_what_scores_bring_along_is_known_where_the_type_says_so(factory: Callable[..., object], expected):
    assert declared_gifts(factory) == expected


def test_several_types_say_what_they_agree_on():
    assert declared(makes_either, "begin") is None
    assert declared(makes_either, "generate") is False


def test_built_in_synthesizers_say_whether_they_have_steps():
    found = {entry.name: declared(synthesizers.load(entry.name), "begin") for entry in synthesizers}
    known = {
        name: has_steps
        for name, has_steps in found.items()
        if name in ("piper", "llasa", "llasa-nano", "phrases", "wavs")
    }
    assert known == {"piper": False, "llasa": True, "llasa-nano": True, "phrases": True, "wavs": False}
    assert found["fake"] is bool(as_step_synthesizer(synthesizers.load("fake")("")))


@pytest.mark.parametrize("name", ["fake", "duration", "guards"])
def test_what_verifiers_declare_is_what_they_are(name):
    assert declared(verifiers.load(name), "supports_partial") is load_verifier(name).supports_partial
