import dataclasses
from pathlib import Path

import pytest

from tts_eval.config import RunConfig, as_dict, parse_config, read_yaml, sampling_of
from tts_eval.errors import ConfigError
from tts_eval.types import Sampling


def test_every_mistake_is_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_config({"nn": 3, "suite": 7, "temperature": "hot", "n": 0, "fail_on": 2, "limit": True})
    text = str(caught.value)
    assert "Unknown setting 'nn'. Did you mean 'n'?" in text
    assert "suite is 7; expected a text" in text
    assert "temperature is 'hot'; expected a number" in text
    assert "n is 0; expected 1 or more" in text
    assert "fail_on is 2.0; expected a share from 0 to 1" in text
    assert "limit is True; expected a whole number or nothing" in text
    assert len(caught.value.problems) == 6


def test_a_number_that_no_float_can_hold_is_a_mistake_like_others():
    with pytest.raises(ConfigError, match=r"temperature is 1000.*; expected a number"):
        parse_config({"temperature": 10**400})


@pytest.mark.parametrize("temperature", [float("nan"), float("inf"), -1.0])
def test_impossible_temperatures_are_refused(temperature):
    with pytest.raises(ConfigError, match="temperature"):
        RunConfig(temperature=temperature)


@pytest.mark.parametrize(
    ("setting", "value"), [("top_p", 0.0), ("top_p", 1.1), ("top_k", -1), ("repetition_penalty", 0.0)]
)
def test_impossible_sampling_is_refused(setting, value):
    with pytest.raises(ConfigError, match=f"{setting} is {value}"):
        RunConfig(**{setting: value})


def test_every_setting_of_the_sampling_arrives():
    chosen = {"temperature": 0.7, "top_p": 0.9, "top_k": 40, "repetition_penalty": 1.2, "max_seconds": 9.0}
    assert sampling_of(parse_config(chosen)) == Sampling(**chosen)


def test_values_round_trip_through_plain_data():
    config = RunConfig(suite="librispeech", judge=("asr:base", "quality"), n=3, limit=None)
    assert parse_config(as_dict(config)) == config


def test_one_judge_may_be_a_plain_text_and_whole_numbers_are_numbers():
    config = parse_config({"judge": "asr:base", "temperature": 1, "data_dir": None})
    assert config.judge == ("asr:base",)
    assert config.temperature == 1.0


def test_every_setting_can_come_from_yaml(tmp_path: Path):
    path = tmp_path / "run.yaml"
    path.write_text("suite: mini\nn: 4\njudge: [asr:base]\n")
    assert parse_config(read_yaml(path)) == RunConfig(suite="mini", n=4, judge=("asr:base",))
    assert {field.name for field in dataclasses.fields(RunConfig)} == set(as_dict(RunConfig()))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- a\n- b\n", "holds no settings but a list"),
        ("a: [1\n", "not plain YAML"),
        ("a: !!python/object/apply:os.system ['true']\n", "not plain YAML"),
    ],
)
def test_bad_yaml_is_refused_and_never_run(tmp_path: Path, content, message):
    path = tmp_path / "run.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_yaml(path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml cannot be read"):
        read_yaml(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("text", ["n: 4\nsuite: mini\nn: 8\n", "seed: 0\ncells: [{name: a, n: 4}, {n: 4, n: 8}]\n"])
def test_a_setting_given_twice_is_refused(tmp_path: Path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="sets 'n' more than once"):
        read_yaml(path)


def test_an_alias_inside_itself_is_read(tmp_path: Path):
    path = tmp_path / "run.yaml"
    path.write_text("cells: &all [*all, {name: a}]\n")
    assert read_yaml(path)["cells"][1] == {"name": "a"}


def test_an_empty_file_is_called_empty(tmp_path: Path):
    path = tmp_path / "run.yaml"
    path.write_text("# nothing yet\n")
    with pytest.raises(ConfigError, match=r"is empty.*'synth: {actors: 2}'"):
        read_yaml(path, example="synth: {actors: 2}")
    with pytest.raises(ConfigError, match="is empty"):
        read_yaml(path)


def test_a_judge_has_a_name():
    with pytest.raises(ConfigError, match=r"judge is .*; expected names of verifiers"):
        parse_config({"judge": ["asr:base", " "]})


def test_then_best_of_n_is_its_rule():
    assert RunConfig(then="best-of-n:asr:tiny.en") == RunConfig(then="asr:tiny.en")
    assert RunConfig(then="asr:tiny.en").then == "asr:tiny.en"
