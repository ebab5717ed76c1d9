"""What turns one sequence of words into another: counts, alignment, and the prefix that fits best.

Words come apart, and are aligned, as jiwer does it: whole texts here have the numbers that the
protocols' own scripts have. Speech that is not finished is compared with the prefix of the text
that it fits best, found in one edit-distance table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Edits that turn the reference into the hypothesis, in words or characters."""

    substitutions: int
    deletions: int
    insertions: int
    reference_length: int

    @property
    def errors(self) -> int:
        """Substitutions + deletions + insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per reference unit; may exceed 1. Of an empty reference the number of insertions, as jiwer has it."""
        return self.errors / max(self.reference_length, 1)


@dataclass(frozen=True, slots=True)
class AlignedChunk:
    """A run of equal or differing units, for showing a transcript with its errors marked."""

    kind: Literal["equal", "substitute", "delete", "insert"]
    reference: str
    hypothesis: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far a hypothesis is from its reference, and where."""

    counts: ErrorCounts
    alignment: tuple[AlignedChunk, ...]
    """Equal and differing runs in order; side by side they are both texts."""


def words(text: str) -> list[str]:
    """The words of a text as jiwer counts them."""
    import jiwer

    found: list[str] = jiwer.wer_default(text)[0]
    return found


def compare(reference: Sequence[str], hypothesis: Sequence[str], joiner: str = " ") -> Comparison:
    """Edits between two sequences of units (words, or characters); `joiner` stands between units in the chunks."""
    import jiwer

    output = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    counts = ErrorCounts(output.substitutions, output.deletions, output.insertions, len(reference))
    chunks = tuple(
        AlignedChunk(
            chunk.type,  # type: ignore[arg-type]
            joiner.join(reference[chunk.ref_start_idx : chunk.ref_end_idx]),
            joiner.join(hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]),
        )
        for chunk in output.alignments[0]
    )
    return Comparison(counts, chunks)


class PrefixFit(NamedTuple):
    """A prefix of the reference, and how many edits it is away from the hypothesis."""

    length: int
    errors: int


def best_prefixes(reference: Sequence[str], hypothesis: Sequence[str]) -> list[PrefixFit]:
    """For each beginning of the hypothesis, from none of it to all, the prefix of the reference fewest edits away.

    Of prefixes that are equally far the longest is taken: a word heard in another's place counts as that word, not
    as one too many. It holds at least one unit when neither side is empty.
    """
    units = np.array(reference, dtype=object)
    positions = np.arange(len(reference) + 1)
    costs = positions.copy()  # edits between each prefix of the reference and what of the hypothesis is done so far
    found = [PrefixFit(0, 0)]
    for unit in hypothesis:
        substituted = costs[:-1] + (units != unit)
        costs = np.concatenate([costs[:1] + 1, np.minimum(costs[1:] + 1, substituted)])
        # A prefix costs at most one deletion more than the one before it.
        costs = np.minimum.accumulate(costs - positions) + positions
        length = len(reference) - int(np.argmin(costs[::-1]))
        found.append(PrefixFit(length, int(costs[length])))
    return found
