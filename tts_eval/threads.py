"""How worker threads wait for each other.

OpenMP's threads spin for milliseconds before they sleep, as if every core were theirs. Small models work
in steps of microseconds: with one other busy process on two cores, each step then waits for a thread that
is not running, and llasa-nano took 17 times as long as alone. A short spin bridges the gap between two steps
and costs nothing on a quiet machine; with it the same load makes llasa-nano two to three times as slow.
"""

from __future__ import annotations

import os
import sys

SPIN = "3000"
"""Turns of GNU OpenMP's waiting loop, some microseconds; its own 300,000 are no faster on a quiet machine."""


def share_cores() -> None:
    """Let OpenMP's threads sleep soon; call it before torch is loaded. What the user has set stays as it is."""
    if "OMP_WAIT_POLICY" in os.environ or "torch" in sys.modules:
        return
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN)
