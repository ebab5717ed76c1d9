import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.perf import selection_rules
from benchmarks.runner import run
from reports.read_run import read_run
from search.rule_text import parse_rule
from search.steps import find_metric
from tts_eval.config import RunConfig
from tts_eval.errors import ConfigError
from verifiers import load_verifier


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("rules")
    run(RunConfig(synth="fake", n=4, verifier="fake", judge=("fake:2", "fake:3"), limit=6), folder)
    return folder


def test_a_rule_is_judged_by_what_its_choice_scores_elsewhere(finished, capsys):
    selection_rules.main([str(finished), "--judge", "fake:2#stray", "--rule", "fake", "--rule", "fake:3"])
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    results = read_run(finished)
    judged = next(metric for metric in results.metrics if metric.key == "fake:2#stray")
    chosen = np.mean([request.chosen.value(judged) for request in results.requests])
    pool = np.mean([candidate.value(judged) for request in results.requests for candidate in request.candidates])
    assert record["rules"]["fake"]["value"] == pytest.approx(chosen)
    assert record["rules"]["fake"]["relative"] == pytest.approx(chosen / pool - 1)
    assert set(record["rules"]) == {"fake", "fake:3"}


def test_rules_whose_verifiers_the_run_lacks_are_left_out(finished, capsys):
    selection_rules.main([str(finished), "--judge", "fake:2#stray"])
    assert f"{len(selection_rules.RULES)} rules were left out" in capsys.readouterr().out


def test_the_judges_model_may_not_choose(finished):
    with pytest.raises(ConfigError, match="the judge's own model"):
        selection_rules.main([str(finished), "--judge", "fake:2#stray", "--rule", "fake:2"])


@pytest.mark.real
def test_every_rule_that_is_tried_by_default_names_metrics_that_exist():
    for text in selection_rules.RULES:
        for term in parse_rule(text).terms:
            find_metric(term, load_verifier(term.verifier).metrics)
