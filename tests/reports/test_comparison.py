from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from comparison_factory import HELD_OUT, SELECTING, SIMILARITY, run_of, with_request, worsened

from reports.comparison import CHANGED, compare
from reports.comparison_page import as_json, render_html, render_markdown
from reports.comparison_tables import (
    coverage_table,
    difference_table,
    headline,
    p_text,
    scale_table,
    seeds_table,
    settings_table,
    verdict,
)
from reports.multiple_comparisons import holm
from reports.results import RunResults
from reports.sides import sides_of
from reports.summary import summarise
from tts_eval.errors import DataError
from tts_eval.types import Failure, FailureKind, Score


@pytest.fixture(scope="module")
def pair() -> tuple[RunResults, RunResults]:
    return run_of("one", seed=1), run_of("two", seed=2)


def test_both_sides_are_the_numbers_of_their_own_reports(pair: tuple[RunResults, RunResults]) -> None:
    (pairing,) = compare(pair).pairings
    first, second = (
        {metric.judged.key: metric for metric in summarise(run).metrics} for run in pair
    )  # fmt: skip
    for one in pairing.differences:
        key = one.metric.key
        assert one.before == pytest.approx(first[key].chosen.value)
        assert one.after == pytest.approx(second[key].chosen.value)
        assert one.estimate.value == pytest.approx(one.after - one.before)  # type: ignore[operator]
        interval = one.estimate.interval
        assert interval is not None and interval.low <= one.estimate.value <= interval.high  # type: ignore[operator]
        assert (one.estimate.n, one.estimate.n_expected) == (23, 24)


def test_held_out_error_rates_come_first_and_p_values_are_corrected_together(
    pair: tuple[RunResults, RunResults],
) -> None:
    third = run_of("three", seed=3)
    comparison = compare([*pair, third])
    assert [(pairing.first.name, pairing.side.name) for pairing in comparison.pairings] == [
        ("one", "two"),
        ("one", "three"),
    ]
    for pairing in comparison.pairings:
        assert [one.metric.judged[0] for one in pairing.differences] == [HELD_OUT, SIMILARITY, SELECTING]
        assert [one.flattered for one in pairing.differences] == [(), (), ("one", pairing.side.name)]
    differences = [one for pairing in comparison.pairings for one in pairing.differences]
    assert len(differences) == 6
    assert [one.p_corrected for one in differences] == holm([one.p for one in differences])
    assert len({one.p for one in differences}) > 1


def test_a_real_difference_is_settled_and_the_direction_is_the_metrics(pair: tuple[RunResults, RunResults]) -> None:
    (pairing,) = compare([pair[0], worsened(pair[0], "low", 0.05)]).pairings
    wer, similarity, _ = pairing.differences
    assert similarity.is_settled and not similarity.is_better
    assert verdict(similarity).text == "B worse"
    assert similarity.estimate.value == pytest.approx(-0.05 * 23 / 24)
    assert wer.p == 1 and wer.estimate.interval == (0, 0) and verdict(wer).text == "unsettled"
    (back,) = compare([worsened(pair[0], "low", 0.05), pair[0]]).pairings
    assert verdict(back.differences[1]).text == "B better"


def test_no_verdict_from_fewer_than_six_speakers() -> None:
    runs = [run_of("one", seed=1, speakers=5), worsened(run_of("one", seed=1, speakers=5), "low", 0.05)]
    comparison = compare(runs)
    (pairing,) = comparison.pairings
    assert verdict(pairing.differences[1]).text == "too few"
    assert pairing.differences[1].is_settled is None
    assert "5 independent draws are too few" in headline(comparison)


def test_seed_draws_and_method_are_used(pair: tuple[RunResults, RunResults]) -> None:
    def first(**options: object) -> object:
        return compare(pair, **options).pairings[0].differences[0]  # type: ignore[arg-type]

    base = first()
    assert base == first()
    assert len({first(**options) for options in ({}, {"seed": 1}, {"draws": 500}, {"method": "bca"})}) == 4


def test_order_of_requests_does_not_matter(pair: tuple[RunResults, RunResults]) -> None:
    shuffled = replace(pair[1], requests=pair[1].requests[::-1])
    assert compare(pair).pairings[0].differences == compare([pair[0], shuffled]).pairings[0].differences


Change = Callable[[RunResults], RunResults]


def with_judge(run: RunResults, **changes: object) -> RunResults:
    metrics = tuple(replace(metric, **changes) if metric is HELD_OUT else metric for metric in run.metrics)  # type: ignore[arg-type]
    return replace(run, metrics=metrics)


def other_checkpoint(run: RunResults) -> RunResults:
    return with_judge(run, judge="whisper-tiny.en 999", checkpoint="999")


def other_protocol(run: RunResults) -> RunResults:
    metric = replace(HELD_OUT.metric, protocol="seed-tts@1")
    return with_judge(run, key="asr:x#wer", verifier_key="asr:x", metric=metric)


def other_ids(run: RunResults) -> RunResults:
    return replace(run, requests=tuple(replace(request, id=f"x{request.id}") for request in run.requests))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: replace(run, run={"suite": "other@2"}), r"two is a run of other@2, one of demo@1"),
        (lambda run: with_request(run, 3, text="Else."), r"'sentence-003' has the text .*'Else\.' in two"),
        (lambda run: with_request(run, 3, reference_digest="x"), r"'sentence-003' has another prompt, recording"),
        (other_checkpoint, r"'wer' is by whisper-tiny.en 1a5a.* in one, by whisper-tiny.en 999 .* in two"),
        (other_checkpoint, r"tts-eval score two --judge asr:tiny.en"),
        (other_protocol, r"\(whisper-norm@1\) in one, by .*\(seed-tts@1\) in two"),
        (lambda run: replace(run, metrics=()), r"no metric in common.*two has none"),
        (other_ids, r"no request in common"),
    ],
)
def test_what_would_not_be_the_systems_difference_is_refused(
    pair: tuple[RunResults, RunResults], change: Change, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        compare([pair[0], change(pair[1])])


def test_every_reason_is_named_at_once(pair: tuple[RunResults, RunResults]) -> None:
    other = with_request(replace(pair[1], run={"suite": "other@2"}), 0, text="Else.")
    with pytest.raises(DataError) as caught:
        compare([pair[0], other])
    assert len(str(caught.value).splitlines()) == 2


def test_a_judge_under_another_spec_is_the_same_judge_and_others_are_left_out_by_name(
    pair: tuple[RunResults, RunResults],
) -> None:
    renamed = with_judge(pair[1], key="asr/wer", verifier_key="asr")
    renamed = replace(
        renamed,
        metrics=tuple(metric for metric in renamed.metrics if metric is not SELECTING),
        requests=tuple(
            replace(request, candidates=tuple(
                replace(candidate, scores={**candidate.scores, "asr": candidate.scores["asr:tiny.en"]})
                for candidate in request.candidates
            ))
            for request in pair[1].requests
        ),
    )  # fmt: skip
    comparison = compare([pair[0], renamed])
    assert [metric.key for metric in comparison.aligned.metrics] == [HELD_OUT.key, SIMILARITY.key]
    assert comparison.aligned.left_out == (f"one: {SELECTING.key}",)
    plain = compare(pair).pairings[0].differences[0]
    assert comparison.pairings[0].differences[0].after == plain.after
    assert f"one: {SELECTING.key}" in " ".join(coverage_table(comparison).notes)


def test_runs_that_differ_in_their_seed_are_one_side() -> None:
    a, b, c = (run_of(name, seed=seed) for name, seed in (("a", 1), ("b", 2), ("c", 3)))
    a, b = (
        replace(run, run={"suite": "demo@1", "config": {"synth": "x", "seed": seed}}) for run, seed in ((a, 0), (b, 1))
    )
    comparison = compare([a, b, c])
    (pairing,) = comparison.pairings
    assert (pairing.first.name, pairing.side.name) == ("a (2 seeds)", "c")
    similarity = pairing.differences[1]
    values = [summarise(run).metrics[1].chosen.value or 0 for run in (a, b)]
    assert similarity.before == pytest.approx(np.mean(values))
    rows = {row.metric.key: row for row in comparison.seeds}
    assert rows[SIMILARITY.key].values == pytest.approx(tuple(values))
    assert rows[SIMILARITY.key].mean.value == pytest.approx(np.mean(values))
    assert rows[SIMILARITY.key].mean.interval is not None
    spread = rows[SIMILARITY.key].spread
    assert spread is not None and spread.within > 0
    assert seeds_table(comparison) is not None
    # Alone, each is compared with the first, and their spread is shown as well.
    alone = compare([a, b])
    assert (alone.pairings[0].first.name, alone.pairings[0].side.name) == ("a", "b")
    assert len(alone.seeds) == 3
    assert seeds_table(compare([a, c])) is None
    again = replace(a, name="again")
    assert [pairing.side.name for pairing in compare([a, again, b]).pairings] == ["again"]
    assert compare([a, again]).seeds == ()


@pytest.mark.parametrize(
    ("setting", "other", "is_one_side"),
    [
        ("judge", ["asr:base"], True), ("fail_on", 0.5, True), ("data_dir", "/elsewhere", True), ("limit", 24, True),
        ("sample", 24, True), ("executor", "ray", True), ("address", "head:6379", True),
        ("resources", "workers.yaml", True), ("synth", "y", False), ("n", 4, False), ("temperature", 0.5, False),
        ("strategy", "beam", False), ("verifier", "asr:base#wer", False), ("budget", "9-tokens", False),
        ("official_skip", True, False),
    ],
)  # fmt: skip
def test_what_makes_a_run_of_another_seed_another_system(setting: str, other: object, is_one_side: bool) -> None:
    config: dict[str, object] = {"synth": "x", "seed": 0}
    configs = (config, {**config, "seed": 1, setting: other}, {"synth": "z", "seed": 0})
    runs = [
        replace(run_of(name, requests=4), run={"suite": "demo@1", "config": one})
        for name, one in zip("abc", configs, strict=True)
    ]
    sides, _, _ = sides_of(runs)
    assert [len(side.runs) for side in sides] == ([2, 1] if is_one_side else [1, 1, 1])


def test_a_run_of_codec_resynthesis_is_a_row_of_the_scale(pair: tuple[RunResults, RunResults]) -> None:
    ceiling = replace(run_of("codec", seed=5), synthesizer="codec-resynthesis:abc")
    comparison = compare([*pair, ceiling])
    assert [pairing.side.name for pairing in comparison.pairings] == ["two"]
    wer = comparison.scales[0]
    assert wer.ceiling is not None
    assert wer.ceiling.value == pytest.approx(summarise(ceiling).metrics[0].chosen.value)
    assert "Resynthesis" in [column.title for column in scale_table(comparison).columns]
    (alone,) = compare([pair[0], ceiling]).pairings
    assert alone.side.name == "codec"


def test_the_scale_has_a_random_one_the_chosen_one_and_the_best(pair: tuple[RunResults, RunResults]) -> None:
    recorded = replace(
        pair[0], requests=tuple(replace(request, ground_truth=request.first) for request in pair[0].requests)
    )
    comparison = compare([recorded, pair[1]])
    for scale, metric in zip(comparison.scales, summarise(recorded).metrics, strict=True):
        name, n, random, chosen, oracle = scale.sides[0]
        assert (name, n) == ("one", 3)
        assert (random.value, chosen.value, oracle.value) == pytest.approx(
            (metric.baseline.value, metric.chosen.value, metric.oracle.value)
        )
        assert random.interval is not None and scale.truth is not None
        assert scale.truth == metric.ground_truth
    assert "Truth" in [column.title for column in scale_table(comparison).columns]


def test_recordings_that_a_judge_has_not_heard_are_counted_and_make_no_number_of_their_own(
    pair: tuple[RunResults, RunResults],
) -> None:
    unheard = [HELD_OUT.verifier_key, SIMILARITY.verifier_key]
    recorded = replace(
        pair[0],
        requests=tuple(
            replace(request, ground_truth=replace(
                request.first, scores={key: score for key, score in request.first.scores.items()
                                       if key not in unheard[: 2 if row < 4 else 1]}
            ))
            for row, request in enumerate(pair[0].requests)
        ),
    )  # fmt: skip
    table = scale_table(compare([recorded, pair[1]]))
    none, some, most = (row[2].text for row in table.rows[::2])
    assert none == "n/a" and some.endswith(" (19/24)") and most.endswith(" (23/24)")


def test_what_the_random_one_and_the_best_rest_on_is_what_the_report_says(pair: tuple[RunResults, RunResults]) -> None:
    """The judge heard others of the pool, though not the chosen one."""
    first = pair[0].requests[0]
    deaf = Score(verifier="asr", judge="x", value=None, failure=Failure(FailureKind.SHORT, "x"))
    candidates = tuple(
        replace(one, scores={**one.scores, HELD_OUT.verifier_key: deaf}) if one.rank == 0 else one
        for one in first.candidates
    )
    run = with_request(pair[0], 0, candidates=candidates)
    _, _, *estimates = compare([run, pair[1]]).scales[0].sides[0]
    metric = summarise(run).metrics[0]
    assert [one.n for one in estimates] == [metric.baseline.n, metric.chosen.n, metric.oracle.n] == [23, 22, 23]


def test_of_a_run_that_keeps_one_candidate_neither_the_random_nor_the_best_one_is_known(
    pair: tuple[RunResults, RunResults],
) -> None:
    kept = tuple(replace(request, candidates=(replace(request.chosen, index=0),)) for request in pair[1].requests)
    table = scale_table(compare([pair[0], replace(pair[1], n=1, requests=kept)]))
    for pool, guided in zip(table.rows[::2], table.rows[1::2], strict=True):
        assert all(cell.text != "n/a" for cell in pool[2:5])
        assert [cell.text == "n/a" for cell in guided[2:5]] == [True, False, True]


def test_the_requests_that_changed_most_are_named_largest_first(pair: tuple[RunResults, RunResults]) -> None:
    (pairing,) = compare(pair).pairings
    sizes = [abs(change.after - change.before) for change in pairing.changes]
    assert len(sizes) == CHANGED and sizes == sorted(sizes, reverse=True) and sizes[-1] > 0
    everyone = [
        abs(one.chosen.value(HELD_OUT) - two.chosen.value(HELD_OUT))
        for one, two in zip(pair[0].requests, pair[1].requests, strict=True)
    ]
    assert sizes == pytest.approx(sorted(everyone, reverse=True)[:CHANGED])
    (same,) = compare([pair[0], replace(pair[0], name="again")]).pairings
    assert same.changes == ()


def test_settings_in_which_runs_differ_are_shown_and_no_others() -> None:
    a = run_of("a", config={"n": 4, "temperature": 1.0, "judge": ["asr:base", "speaker"]})
    b = run_of("b", config={"n": 4, "temperature": 0.3, "judge": []})
    table = settings_table(compare([a, b]))
    assert table is not None
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["synth", "a", "b"], ["temperature", "1.0", "0.3"], ["judge", "asr:base, speaker", ""],
    ]  # fmt: skip


@pytest.mark.parametrize(("p", "text"), [(None, "n/a"), (0.0004, "< 0.001"), (0.0312, "0.031"), (1.0, "1.000")])
def test_p_values_as_text(p: float | None, text: str) -> None:
    assert p_text(p) == text


def test_tables_say_how_they_were_made(pair: tuple[RunResults, RunResults]) -> None:
    comparison = compare(pair, method="bca")
    table = difference_table(comparison.pairings[0], comparison)
    notes = " ".join(table.notes)
    assert "BCa" in notes and "24 requests" in notes and "10,000 draws" in notes and "for 3 tests" in notes
    assert [row[2].text for row in table.rows] == ["HELD OUT", "HELD OUT", "selected in one, two"]
    assert json.dumps(as_json(comparison, {"one": Path("a"), "two": Path("b")}, "page"), allow_nan=False)
    assert render_markdown(comparison, {"one": Path("a"), "two": Path("b")}).startswith("# two against one")
    assert "two against one" in render_html(comparison, {"one": Path("a"), "two": Path("b")}, audio="none")
