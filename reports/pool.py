"""One metric over all candidates of a run, as arrays; `reports.pools` makes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reports.statistics import Sums


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """One metric over all candidates; every array is [requests, N]."""

    sums: Sums
    badness: np.ndarray
    """The clip's own value, signed so that less is better."""
    is_scored: np.ndarray
    """Whether the judge gave a number."""
    is_spared: np.ndarray
    """Whether a cascade kept the clip from the judge; its numbers are NaN."""

    def take(self, requests: np.ndarray) -> Pool:
        """The same for some of the requests (a mask or indices)."""
        return Pool(
            self.sums.take(requests), self.badness[requests], self.is_scored[requests], self.is_spared[requests]
        )
