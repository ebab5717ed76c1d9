from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.rule_text import parse_rule
from search.selection import Rule, ranks
from tts_eval.errors import ConfigError
from tts_eval.scales import Scale
from tts_eval.types import Failure, FailureKind, Metric, Score

METRICS = {
    "asr": (
        Metric(name="wer", higher_is_better=False, worst=1.0, unit="error-rate", protocol="p@1"),
        Metric(name="likelihood", higher_is_better=True, worst=-11.0, unit="log-prob"),
    ),
    "speaker": (Metric(name="sim", higher_is_better=True, worst=0.0),),
}


def pool(*rows: tuple[float, float, float]) -> list[dict[str, Score]]:
    """Candidates with (wer, likelihood, sim)."""
    return [
        {
            "asr": Score(verifier="asr", judge="j", value=wer, values={"wer": wer, "likelihood": likelihood}),
            "speaker": Score(verifier="speaker", judge="j", value=sim, values={"sim": sim}),
        }
        for wer, likelihood, sim in rows
    ]


def best(rule: str, rows: list[dict[str, Score]]) -> int:
    return ranks(parse_rule(rule).selection_scores(rows, METRICS)).index(0)


ROWS = pool((0.2, -0.1, 0.1), (0.1, -0.5, 0.2), (0.1, -0.4, 0.9))


@pytest.mark.parametrize(
    ("rule", "chosen"),
    [
        ("asr", 1),  # first metric, lower is better, tie to the lower index
        ("asr#wer", 1),
        ("asr#likelihood", 0),
        ("speaker", 2),
        ("-1*speaker", 0),
        ("lex(asr#wer, asr#likelihood)", 2),
        ("lex(asr#wer, speaker)", 2),
        ("lex(speaker>=0.15, asr#likelihood)", 2),
        ("lex(speaker>=0.05, asr#likelihood)", 0),
        ("lex(speaker<=0.15, asr)", 0),
        ("lex(asr#wer<=0.1, speaker*-1)", 1),
        ("lex(asr, minmax(asr#likelihood + speaker))", 2),
    ],
)
def test_rules(rule, chosen):
    assert best(rule, ROWS) == chosen


def test_weights_decide_a_sum():
    rows = pool((0.5, 0.0, 1.0), (0.0, 0.0, 0.0))
    assert best("asr#wer + 0.5*speaker", rows) == 1
    assert best("asr#wer + 2*speaker", rows) == 0


def test_a_sum_is_of_standard_scores_so_units_do_not_matter():
    rows = pool((0.1, -100.0, 0.0), (0.2, -300.0, 0.0), (0.3, -100.1, 0.0))
    values = parse_rule("asr#wer + asr#likelihood").selection_scores(rows, METRICS)
    table = np.array([[-0.1, -100.0], [-0.2, -300.0], [-0.3, -100.1]])
    expected = ((table - table.mean(0)) / table.std(0)).sum(1)
    np.testing.assert_allclose(values, expected)


def test_a_term_on_which_all_agree_says_nothing():
    rows = pool((0.1, -1.0, 0.7), (0.1, -0.5, 0.7))
    np.testing.assert_allclose(parse_rule("asr#wer + asr#likelihood").selection_scores(rows, METRICS), [-1.0, 1.0])


def test_a_single_term_keeps_its_own_value_signed_so_that_higher_is_better():
    assert parse_rule("asr").selection_scores(ROWS, METRICS) == [-0.2, -0.1, -0.1]


def failed() -> Score:
    return Score(verifier="asr", judge="j", value=None, failure=Failure(FailureKind.SILENT, "silent"))


@pytest.mark.parametrize(
    "rule", ["asr", "asr + speaker", "lex(asr, speaker)", "lex(speaker>=0.3, asr)", "rank(asr + speaker)"]
)
def test_what_a_verifier_cannot_judge_ranks_last_and_disturbs_nobody(rule):
    rows = [{"asr": failed(), "speaker": ROWS[0]["speaker"]}, *ROWS, {}]
    values = parse_rule(rule).selection_scores(rows, METRICS)
    assert values[0] is None
    assert values[-1] is None
    assert values[1:4] == parse_rule(rule).selection_scores(ROWS, METRICS)
    assert sorted(ranks(values)[i] for i in (0, 4)) == [3, 4]


def test_a_pool_of_failures_still_has_an_order():
    assert ranks(parse_rule("asr").selection_scores([{}, {}], METRICS)) == [0, 1]


@given(st.lists(st.one_of(st.none(), st.floats(-5, 5)), min_size=1, max_size=20))
def test_ranks_are_a_permutation_ordered_by_score_then_index(scores):
    order = ranks(scores)
    assert sorted(order) == list(range(len(scores)))
    by_rank = [scores[order.index(rank)] for rank in range(len(scores))]
    numbers = [score for score in by_rank if score is not None]
    assert numbers == sorted(numbers, reverse=True)
    assert by_rank[len(numbers) :] == [None] * (len(scores) - len(numbers))


@given(st.permutations(range(5)))
def test_the_order_of_the_pool_does_not_change_scores(order):
    rows = pool(*[(0.1 * i, -float(i % 3), 0.3 * (i % 2)) for i in range(5)])
    for rule in (
        "asr + 0.3*speaker",
        "lex(asr#likelihood, speaker)",
        "lex(speaker>=0.2, asr + asr#likelihood)",
        "cascade(3 of asr + speaker, lex(rank(asr#likelihood + speaker), asr))",
    ):
        straight = parse_rule(rule).selection_scores(rows, METRICS)
        shuffled = parse_rule(rule).selection_scores([rows[i] for i in order], METRICS)
        np.testing.assert_allclose(shuffled, [straight[i] for i in order], atol=1e-12)


def test_an_unknown_metric_is_named_with_those_that_exist():
    with pytest.raises(ConfigError, match=r"'asr' has no metric 'were'. It has: wer, likelihood"):
        parse_rule("asr#were").selection_scores(ROWS, METRICS)


def test_vall_e_2s_rule_is_the_papers_argmax():
    """arXiv 2406.05370, eq. 23: the largest of [min(SIM, 0.3), 1 - WER], compared in this order."""
    random = np.random.default_rng(3)
    for _ in range(50):
        table = [(round(random.uniform(0, 0.5), 1), -1.0, round(random.uniform(0, 0.6), 1)) for _ in range(5)]
        expected = max(range(5), key=lambda i: (min(table[i][2], 0.3), 1 - table[i][0], -i))
        assert best("lex(speaker>=0.3, asr)", pool(*table)) == expected


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=2, max_size=8))
def test_what_misses_a_constraint_ranks_behind_all_that_meet_it(rows):
    scores = parse_rule("lex(speaker>=0.5, asr#wer<=0.4, asr#likelihood)").selection_scores(pool(*rows), METRICS)
    meets = [sim >= 0.5 and wer <= 0.4 for wer, _, sim in rows]
    order = ranks(scores)
    assert sorted(order[i] for i in range(len(rows)) if meets[i]) == list(range(sum(meets)))
    if not any(sim >= 0.5 for _, _, sim in rows):
        assert rows[order.index(0)][2] == pytest.approx(max(sim for _, _, sim in rows), abs=1e-11)


def test_limits_on_both_sides_make_a_band():
    rows = pool((0.1, 0, 0), (0.3, 0, 0), (0.6, 0, 0))
    assert best("lex(asr>=0.2, asr<=0.5, speaker)", rows) == 1


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=2, max_size=8))
def test_ranks_and_min_max_are_those_of_their_definition(rows):
    table = np.array(rows, dtype=float)[:, [0, 2]]
    table[:, 0] *= -1  # wer is better when lower
    spread = np.ptp(table, axis=0)
    unit = np.divide(table - table.min(0), spread, out=np.zeros_like(table), where=spread > 0)
    np.testing.assert_allclose(
        parse_rule("minmax(asr*2 + speaker)").selection_scores(pool(*rows), METRICS), unit @ [2, 1], atol=1e-12
    )
    places = [[sum((x > y) + 0.5 * (x == y) for y in column) - 0.5 for x in column] for column in table.T]
    expected = (np.array(places).T / (len(rows) - 1)) @ [2, 1]
    np.testing.assert_allclose(
        parse_rule("rank(asr*2 + speaker)").selection_scores(pool(*rows), METRICS), expected, atol=1e-12
    )


def test_the_harmonic_mean_is_that_of_the_published_reward():
    """0.6 of 1 - tanh(3 WER) and 0.4 of exp(NLL / -3), by hand."""
    (value,) = parse_rule("harmonic(0.6*asr#wer + 0.4*asr#likelihood)").selection_scores(pool((0.1, -0.5, 0)), METRICS)
    assert value == pytest.approx(1.0 / (0.6 / 0.7086873 + 0.4 / 0.8464817), abs=1e-6)


def test_one_bad_part_is_not_made_up_for_in_a_harmonic_mean():
    rows = pool((0.0, -1.0, 0.0), (0.3, -1.0, 0.4))
    assert best("harmonic(asr + speaker)", rows) == 1
    assert parse_rule("harmonic(asr + speaker)").selection_scores(rows, METRICS)[0] == 0.0


@pytest.mark.parametrize("rule", ["asr + speaker", "z(asr)", "minmax(asr)", "rank(asr + speaker)"])
def test_nothing_is_scaled_by_one_clip(rule):
    (verdict,) = parse_rule(rule).judge(ROWS[:1], METRICS)
    assert (verdict.score, verdict.undecided) == (None, True)
    (failure,) = parse_rule(rule).judge([{}], METRICS)
    assert (failure.score, failure.undecided) == (None, False)
    # Beside failures it still comes first.
    assert parse_rule(rule).selection_scores([{}, ROWS[0]], METRICS)[1] is not None


@pytest.mark.parametrize("rule", ["asr", "2*asr", "harmonic(asr + speaker)", "lex(asr, speaker)"])
def test_what_needs_no_siblings_has_a_score_alone(rule):
    assert parse_rule(rule).selection_scores(ROWS[:1], METRICS) != [None]


SCALES = {
    "asr#wer": Scale(judge="j", protocol="p@1", mean=0.2, deviation=0.1, n=9),
    "speaker#sim": Scale(judge="j", protocol="", mean=0.5, deviation=0.25, n=9),
}


@dataclass
class Judge:
    judge: str
    metrics: tuple[Metric, ...]


JUDGES = {spec: Judge("j", metrics) for spec, metrics in METRICS.items()}


def scaled(scales: dict[str, Scale] = SCALES, text: str = "z(asr + 2*speaker, s.json)") -> Rule:
    return parse_rule(text).with_scales({"s.json": scales})


def test_stored_scales_make_a_score_that_no_sibling_moves():
    alone = scaled().selection_scores(ROWS[:1], METRICS)
    assert alone == [pytest.approx(-(0.2 - 0.2) / 0.1 + 2 * (0.1 - 0.5) / 0.25)]
    assert scaled().selection_scores(ROWS, METRICS)[:1] == alone


def test_stored_scales_hold_for_their_judge_and_protocol_only():
    scaled().check(JUDGES)
    stale = {
        "asr#wer": replace(SCALES["asr#wer"], judge="other", protocol="q@1"),
        "speaker#sim": replace(SCALES["speaker#sim"], deviation=0.0),
    }
    with pytest.raises(ConfigError) as caught:
        scaled(stale).check(JUDGES)
    assert [word in str(caught.value) for word in ("judge 'other'", "protocol 'q@1'", "the same on all 9 clips")] == [
        True
    ] * 3
    with pytest.raises(ConfigError, match=r"s.json has no scale of 'asr#likelihood'. It has: asr#wer, speaker#sim"):
        scaled(text="z(asr#likelihood + speaker, s.json)").check(JUDGES)


def test_a_file_of_scales_that_was_not_read_is_no_pool_scale():
    with pytest.raises(ConfigError, match="load_rule"):
        parse_rule("z(asr + speaker, s.json)").selection_scores(ROWS, METRICS)


def test_all_that_a_rule_asks_of_its_verifiers_is_checked_at_once():
    mos = Metric(name="ovrl", higher_is_better=True, worst=1.0)
    with pytest.raises(ConfigError) as caught:
        parse_rule("lex(asr#nope>=1, harmonic(quality + asr))").check({**JUDGES, "quality": Judge("q", (mos,))})
    assert len(caught.value.problems) == 2
    assert "no scale from 0 to 1" in str(caught.value)
