"""Seeds that depend on what is made, never on when or where.

The seed of a candidate is a hash of (run seed, request id, candidate index), so batch size, order
and number of workers cannot change it, and candidate 3 of a run of 8 is candidate 3 of a run of 64.
"""

from __future__ import annotations

import hashlib

import numpy as np


def candidate_seed(run_seed: int, request_id: str, index: int) -> int:
    """A seed in [0, 2**63) for one candidate."""
    digest = hashlib.blake2b(f"{run_seed}\x1f{request_id}\x1f{index}".encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big") >> 1


def generator(seed: int) -> np.random.Generator:
    """The random stream of one candidate (Philox: counter-based, the same on every platform)."""
    return np.random.Generator(np.random.Philox(seed))


def forked_seed(seed: int, fork: int, copy: int) -> int:
    """Seed of the `copy`-th copy (1, 2 ...) that the `fork`-th selection of a generation made of a row."""
    digest = hashlib.blake2b(f"{seed}\x1ffork\x1f{fork}\x1f{copy}".encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big") >> 1


def part_seed(seed: int, part: int) -> int:
    """Seed of one part of a candidate that is made in parts."""
    digest = hashlib.blake2b(f"{seed}\x1fpart\x1f{part}".encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big") >> 1


def short_seed(seed: int) -> int:
    """31 bits of a seed, for systems that keep seeds in signed 32-bit numbers."""
    return seed % 2**31
