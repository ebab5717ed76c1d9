"""One line of `tts-eval doctor`."""

from __future__ import annotations

from typing import NamedTuple


class Check(NamedTuple):
    """What was looked at, and what was found."""

    name: str
    is_right: bool
    finding: str
    """What is so, and what to do if it is wrong."""
