from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_eval.edits import best_prefixes, compare

units = st.lists(st.sampled_from("abcd"), min_size=1, max_size=7)


def distance(reference: list[str], hypothesis: list[str]) -> int:
    """Edit distance by its definition."""
    if not reference or not hypothesis:
        return len(reference) + len(hypothesis)
    return min(
        distance(reference[:-1], hypothesis) + 1,
        distance(reference, hypothesis[:-1]) + 1,
        distance(reference[:-1], hypothesis[:-1]) + (reference[-1] != hypothesis[-1]),
    )


@pytest.mark.parametrize(
    ("heard", "length"),
    [
        ("a", 1),
        ("a b c", 3),
        ("a c", 3),  # b was left out
        ("a x c", 3),
        ("a b x", 3),  # x stands for c, not beside b
        ("a b c d e", 5),
        ("a b c d e f g", 5),  # nothing of the text is left for f and g
        ("c d", 4),
        ("x y", 2),
    ],
)
def test_the_prefix_that_fits_best(heard, length):
    assert best_prefixes(list("abcde"), heard.split())[-1].length == length


@given(reference=units, hypothesis=units)
def test_no_prefix_fits_better_and_no_longer_one_as_well(reference, hypothesis):
    costs = [distance(reference[:length], hypothesis) for length in range(len(reference) + 1)]
    fits = best_prefixes(reference, hypothesis)
    length, errors = fits[-1]
    assert length >= 1
    assert costs[length] == min(costs) == errors
    assert fits[:-1] == best_prefixes(reference, hypothesis[:-1])
    assert all(cost > costs[length] for cost in costs[length + 1 :])
    assert compare(reference[:length], hypothesis).counts.errors == costs[length]


@given(reference=units, hypothesis=st.lists(st.sampled_from("abcd"), max_size=7))
def test_edits_are_the_fewest_and_the_alignment_is_both_sides(reference, hypothesis):
    comparison = compare(reference, hypothesis, joiner="")
    assert comparison.counts.errors == distance(reference, hypothesis)
    assert "".join(chunk.reference for chunk in comparison.alignment) == "".join(reference)
    assert "".join(chunk.hypothesis for chunk in comparison.alignment) == "".join(hypothesis)
