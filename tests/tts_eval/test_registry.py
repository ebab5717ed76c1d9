import pytest

from tts_eval.errors import ConfigError, UnknownNameError
from tts_eval.registry import Registry, parse_spec


def make() -> Registry:
    registry = Registry("thing", "things")
    registry.add("square-root", "math:sqrt", "roots")
    registry.add("floor", "math:floor")
    return registry


def test_loads_the_target():
    assert make().load("floor")(2.5) == 2


def test_a_typo_gets_the_close_match_and_the_listing_command():
    with pytest.raises(UnknownNameError, match=r"Unknown thing 'sqare-root'\. Did you mean 'square-root'\?.*ls things"):
        make().load("sqare-root")


def test_nothing_is_imported_before_it_is_used():
    registry = make()
    registry.add("broken", "no_such_module:thing")
    assert [entry.name for entry in registry] == ["broken", "floor", "square-root"]
    assert "broken" in registry
    with pytest.raises(ModuleNotFoundError):
        registry.load("broken")


def test_a_taken_name_is_refused_but_the_same_target_is_fine():
    registry = make()
    registry.add("floor", "math:floor")
    with pytest.raises(ConfigError, match="already registered"):
        registry.add("floor", "math:ceil")


def test_objects_can_be_registered():
    registry = make()
    registry.add("mine", len)
    assert registry.load("mine") is len


def test_entry_points_are_found(monkeypatch):
    class Point:
        name, value, dist = "extra", "math:ceil", None

    monkeypatch.setattr("tts_eval.registry.entry_points", lambda group: [Point()] if group == "some.group" else [])
    registry = Registry("thing", "things", entry_point_group="some.group")
    assert registry.load("extra")(1.2) == 2
    assert "extra" not in Registry("thing", "things", entry_point_group="other.group")


@pytest.mark.parametrize(
    ("text", "name", "argument"),
    [("asr", "asr", ""), ("asr:tiny.en", "asr", "tiny.en"), (" list: a:b ", "list", "a:b")],
)
def test_specs(text, name, argument):
    assert parse_spec(text) == (name, argument)
