"""What a verifier says of a clip does not depend on who is judged with it: to the last digit, with its real weights.

Else a run that was resumed, or spread over workers, would not end with the numbers of an undisturbed one.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from test_worst_is_worst import VERIFIERS, item, real_requests

from tts_eval.types import Item
from verifiers import load_verifier

pytestmark = pytest.mark.real
TEXTS = (
    "Kids are talking by the door.",
    "Dogs are sitting by the door, and nobody knows why they came.",
    "Kids are talking by the door.",
    "Talking.",
)


def said(spec: str, batches: Sequence[Sequence[Item]]) -> list[object]:
    """All values, by a verifier that remembers nothing of other calls."""
    gc.collect()
    verifier = load_verifier(spec)
    return [score.values for batch in batches for score in verifier.score(batch)]


@pytest.mark.parametrize("spec", [spec for spec in VERIFIERS if spec != "quality"])  # "quality:fast" is its network
def test_company_changes_no_digit(spec: str, data: Path) -> None:
    clips = real_requests(data)
    items = [item(replace(request, text=text), clip) for (request, clip), text in zip(clips, TEXTS, strict=True)]
    together = said(spec, [items])
    assert all(together)
    assert said(spec, [[one] for one in items]) == together
    assert said(spec, [items[2:], items[:2]]) == together[2:] + together[:2]
