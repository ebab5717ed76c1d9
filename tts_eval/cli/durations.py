"""Seconds as people read them."""

from __future__ import annotations


def duration_text(seconds: float) -> str:
    """Hours and minutes, minutes and seconds, or seconds with one decimal."""
    hours, rest = divmod(round(seconds), 3600)
    if hours:
        return f"{hours} h {rest // 60:02d} min"
    return f"{rest // 60} min {rest % 60:02d} s" if rest > 99 else f"{seconds:.1f} s"
