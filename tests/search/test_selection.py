import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.selection import parse_rule, ranks
from tts_eval.errors import ConfigError
from tts_eval.types import Failure, FailureKind, Metric, Score

METRICS = {
    "asr": (
        Metric(name="wer", higher_is_better=False, worst=1.0),
        Metric(name="likelihood", higher_is_better=True, worst=-11.0),
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
        ("-1*speaker + 0*asr", 0),
        ("-1*speaker", 0),
        ("asr#wer > asr#likelihood", 2),
        ("asr#wer > speaker", 2),
        ("min(speaker,0.15) > asr#likelihood", 2),
        ("min(speaker,0.05) > asr#likelihood", 0),
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


@pytest.mark.parametrize("rule", ["asr", "asr + speaker", "asr > speaker"])
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
    for rule in ("asr + 0.3*speaker", "asr#likelihood > speaker"):
        straight = parse_rule(rule).selection_scores(rows, METRICS)
        shuffled = parse_rule(rule).selection_scores([rows[i] for i in order], METRICS)
        np.testing.assert_allclose(shuffled, [straight[i] for i in order], atol=1e-12)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("", "names no verifier"),
        ("asr + ", "names no verifier"),
        ("asr + speaker > quality", "mixes"),
        ("min(speaker,0.3) + asr", "cap has a meaning in lexicographic"),
        ("0.5*speaker > asr", "weight has a meaning in sums"),
        ("min(speaker,e) > asr", "'e' is not a number"),
    ],
)
def test_malformed_rules_are_explained(rule, message):
    with pytest.raises(ConfigError, match=message):
        parse_rule(rule)


def test_all_problems_of_a_rule_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_rule("0.5*speaker > 2*asr")
    assert len(caught.value.problems) == 2


def test_an_unknown_metric_is_named_with_those_that_exist():
    with pytest.raises(ConfigError, match=r"'asr' has no metric 'were'. It has: wer, likelihood"):
        parse_rule("asr#were").selection_scores(ROWS, METRICS)


def test_paths_in_specs_survive():
    rule = parse_rule("asr:/models/tiny-en.v2:exact#wer + 1e-1*speaker:/a/b")
    assert rule.verifiers == ("asr:/models/tiny-en.v2:exact", "speaker:/a/b")
    assert [term.weight for term in rule.terms] == [1.0, 0.1]


@pytest.mark.parametrize("rule", ["1e999*asr", "quality + 1e999*asr", "min(speaker,1e999) > asr"])
def test_a_weight_or_cap_that_is_no_finite_number_is_refused(rule):
    with pytest.raises(ConfigError):
        parse_rule(rule)
