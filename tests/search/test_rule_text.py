from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.rule_text import load_rule, parse_rule
from search.steps import Combination, Limit, Term
from tts_eval.errors import ConfigError
from tts_eval.scales import Scale, write_scales


def only(text: str) -> Combination | Limit:
    (stage,) = parse_rule(text).stages
    (step,) = stage.steps
    return step


@pytest.mark.parametrize(
    ("text", "kind", "terms"),
    [
        ("asr", "plain", [("asr", "", 1.0)]),
        (" asr:tiny.en#wer ", "plain", [("asr:tiny.en", "wer", 1.0)]),
        ("asr*0.5 + speaker * 0.5", "z", [("asr", "", 0.5), ("speaker", "", 0.5)]),
        ("0.5*asr + -1e-1*speaker#sim", "z", [("asr", "", 0.5), ("speaker", "sim", -0.1)]),
        ("z(asr)", "z", [("asr", "", 1.0)]),
        ("minmax(asr + speaker)", "minmax", [("asr", "", 1.0), ("speaker", "", 1.0)]),
        ("rank(2*asr)", "rank", [("asr", "", 2.0)]),
        ("harmonic(asr + speaker)", "harmonic", [("asr", "", 1.0), ("speaker", "", 1.0)]),
        ("asr:/models/tiny-en.v2:exact#wer + speaker:/a+b/c (1)/d", "z",
         [("asr:/models/tiny-en.v2:exact", "wer", 1.0), ("speaker:/a+b/c (1)/d", "", 1.0)]),
    ],
)  # fmt: skip
def test_combinations(text, kind, terms):
    assert only(text) == Combination(tuple(Term(*term) for term in terms), kind)


def test_a_limit_has_a_sense_and_a_number():
    assert only("lex(speaker>=0.3)") == Limit(Term("speaker"), ">=", 0.3)
    assert only("lex( asr:base#wer <= 1e-1 )") == Limit(Term("asr:base", "wer"), "<=", 0.1)


def test_a_comma_inside_a_verifier_is_its_own():
    rule = parse_rule("lex(speaker:wavlm-sv,reference=xcodec2#sim_r>=0.3, asr:base)")
    assert rule.verifiers == ("speaker:wavlm-sv,reference=xcodec2", "asr:base")


def test_a_cascade_keeps_ever_fewer():
    rule = parse_rule("cascade(8 of duration, 4 of lex(speaker>=0.3, asr), asr:base + quality)")
    assert [stage.keep for stage in rule.stages] == [8, 4, None]
    assert rule.verifiers == ("duration", "speaker", "asr", "asr:base", "quality")
    assert [rule.asked(spec, 16) for spec in rule.verifiers] == [16, 8, 8, 4, 4]
    assert rule.asked("asr:base", 3) == 3
    assert rule.asked("other", 3) == 0


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("", "names no verifier"),
        ("asr + ", "names no verifier"),
        ("lex(asr, )", "names no verifier"),
        ("lex(>=0.3, asr)", "names no verifier"),
        ("asr#wer > quality", r"is now lex\(a, b\)"),
        ("min(speaker,0.3) > asr", r"is now lex\(a, b\)"),
        ("min(speaker,0.3)", r"there is no 'min\(...\)'"),
        ("speaker>=0.3", "belongs in lex"),
        ("lex(speaker>=0.3 + asr)", "not a number"),
        ("lex(speaker>=e, asr)", "'e' is not a number"),
        ("lex(speaker>=1e999, asr)", "not a number"),
        ("1e999*asr", "not a number"),
        ("nan*asr", "not a number"),
        ("asr*speaker", "'asr' is not a number"),
        ("0.5*asr*2", "more than one"),
        ("lex(asr, lex(speaker))", "stands alone or inside cascade"),
        ("lex(asr, cascade(2 of asr, speaker))", "stands alone or inside cascade"),
        ("z(asr) + rank(speaker)", "scale is that of a whole sum"),
        ("asr, speaker", "one comma too many"),
        ("rank(asr, s.json)", "one comma too many"),
        ("harmonic(asr + -1*speaker)", "above 0"),
        ("asr + 0*speaker", "has weight 0"),
        ("lex(asr", "a bracket is opened and not closed"),
        ("cascade(asr)", "has one stage"),
        ("cascade(asr, speaker)", "how many go on"),
        ("cascade(0 of asr, speaker)", "how many go on"),
        ("cascade(-2 of asr, speaker)", "how many go on"),
        ("cascade(4 of asr, 4 of speaker, quality)", "keeps no fewer"),
        ("cascade(4 of asr, 2 of speaker)", "drop '2 of'"),
    ],
)
def test_malformed_rules_are_explained(rule, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_rule(rule)
    assert all(rule.strip() in problem for problem in caught.value.problems)


def test_all_problems_of_a_rule_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_rule("cascade(few of asr, lex(speaker>=e, x*quality, ))")
    assert len(caught.value.problems) == 4


@given(st.text(alphabet="asr:#*+-.0123 (),<>=zlexofcd", max_size=40))
def test_any_text_is_a_rule_or_an_error_that_says_why(text):
    try:
        rule = parse_rule(text)
    except ConfigError as error:
        assert error.problems
    else:
        assert rule.verifiers
        assert all(term.verifier for term in rule.terms)
        assert parse_rule(rule.text) == rule


def test_a_rule_reads_the_scales_that_it_names(tmp_path: Path):
    path = tmp_path / "scales.json"
    scales = {"asr#wer": Scale(judge="j", protocol="p@1", mean=0.2, deviation=0.1, n=9)}
    write_scales(path, scales, source="a test")
    rule = load_rule(f"lex(speaker>=0.3, z(asr#wer, {path}))")
    assert rule.references == (str(path),)
    assert rule.scales == {str(path): scales}


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "[]",
        '{"format": "another"}',
        '{"format": "tts-eval scales 1"}',
        '{"format": "tts-eval scales 1", "metrics": {"asr#wer": {"mean": 1}}}',
    ],
)
def test_a_file_without_scales_is_an_error_with_the_command_that_makes_one(tmp_path: Path, content):
    path = tmp_path / "scales.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match="tts-eval calibrate RUN --out"):
        load_rule(f"z(asr + speaker, {path})")
