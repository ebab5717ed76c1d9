import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from tts_eval.synthesizers.engine.sampling import Controls, Settings, choose, filtered, penalised, uniforms
from tts_eval.types import Sampling

TOKENS = 40


def logits_of(seed: int, rows: int = 3) -> torch.Tensor:
    return 3 * torch.randn(rows, TOKENS, generator=torch.Generator().manual_seed(seed))


def settings_of(samplings: list[Sampling]) -> Settings:
    made = Settings(len(samplings), torch.device("cpu"))
    for slot, sampling in enumerate(samplings):
        made.assign(slot, sampling)
    return made


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.floats(0.05, 0.999), st.integers(1, TOKENS), st.floats(0.2, 3.0))
def test_filters_keep_what_transformers_keeps(seed, top_p, top_k, temperature):
    logits = logits_of(seed)
    theirs = TemperatureLogitsWarper(temperature)(None, logits.clone())
    theirs = TopPLogitsWarper(top_p)(None, TopKLogitsWarper(top_k)(None, theirs)).softmax(dim=-1)
    ours = filtered(logits / temperature, torch.full((3,), top_k), torch.full((3,), top_p)).softmax(dim=-1)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_ties_with_the_last_of_top_k_stay():
    logits = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    assert filtered(logits, torch.tensor([2]), torch.tensor([1.0])).isfinite().sum() == 3


@pytest.mark.parametrize("penalty", [0.7, 1.2])
def test_repetition_penalty_is_that_of_transformers(penalty):
    logits, said = logits_of(1), torch.tensor([[0, 5, 5], [1, 2, 3], [39, 7, 0]])
    heard = torch.zeros(3, TOKENS, dtype=torch.bool).scatter(1, said, True)
    theirs = RepetitionPenaltyLogitsProcessor(penalty)(said, logits.clone())
    torch.testing.assert_close(penalised(logits, heard, torch.full((3, 1), penalty)), theirs)


@pytest.mark.parametrize("sampling", [Sampling(temperature=0.8), Sampling(temperature=0.8, top_p=0.7, top_k=9)])
def test_draws_follow_the_distribution(sampling):
    logits, draws = logits_of(2, rows=1), 20_000
    many = [sampling] * draws
    tokens = choose(logits.expand(draws, -1), uniforms(5, draws), settings_of(many), Controls.of([sampling]), None)
    counts = np.bincount(tokens.numpy(), minlength=TOKENS) / draws
    theirs = TemperatureLogitsWarper(0.8)(None, logits.clone())
    if sampling.top_k:
        theirs = TopPLogitsWarper(sampling.top_p)(None, TopKLogitsWarper(sampling.top_k)(None, theirs))
    expected = theirs.softmax(dim=-1)[0].numpy()
    assert np.abs(counts - expected).max() < 4 * np.sqrt(0.25 / draws)
    assert not counts[expected == 0].any()


def test_each_row_has_its_own_settings_and_what_no_row_uses_changes_nothing():
    samplings = [
        Sampling(temperature=0.0), Sampling(temperature=1.5), Sampling(top_p=0.3), Sampling(top_k=2),
        Sampling(repetition_penalty=5.0), Sampling(temperature=0.0, repetition_penalty=5.0),
    ]  # fmt: skip
    logits, uniform = logits_of(3, rows=len(samplings)), uniforms(1, len(samplings))
    heard = torch.zeros(len(samplings), TOKENS, dtype=torch.bool)
    heard.scatter_(1, logits.argmax(dim=-1, keepdim=True), True)
    together = choose(logits, uniform, settings_of(samplings), Controls.of(samplings), heard)
    for row, sampling in enumerate(samplings):
        alone = choose(
            logits[row : row + 1], uniform[row : row + 1], settings_of([sampling]), Controls.of([sampling]),
            heard[row : row + 1] if sampling.repetition_penalty != 1 else None,
        )  # fmt: skip
        assert alone[0] == together[row]
    assert together[0] == logits[0].argmax()
    assert together[5] != logits[5].argmax()


def test_the_ends_of_the_unit_interval_are_safe():
    logits = torch.tensor([[0.0, float("-inf"), 1.0, float("-inf")]]).expand(2, -1)
    sampling = Sampling()
    tokens = choose(
        logits, torch.tensor([0.0, np.nextafter(1.0, 0.0)], dtype=torch.float64), settings_of([sampling] * 2),
        Controls.of([sampling]), None,
    )  # fmt: skip
    assert tokens.tolist() == [0, 2]
