"""p-values of several tests, corrected so that one false alarm among all of them is as rare as one test says.

S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6
(1979): it holds whatever the tests have to do with each other, and loses less than Bonferroni's.
"""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """The corrected p-value of each; None (no test) stays None and does not count as one."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for done, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - done) * p))
        corrected[place] = largest
    return corrected
