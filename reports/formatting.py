"""Numbers as people read them: rates in per cent, differences signed, undefined as n/a and never 0."""

from __future__ import annotations

from reports.statistics import Interval
from tts_eval.types import Metric

UNDEFINED = "n/a"
MINUS = "−"


def number(value: float | None, metric: Metric) -> str:
    """A metric's value as people read it: rates as per cent."""
    if value is None:
        return UNDEFINED
    if metric.is_rate:
        return percent(value)
    text = f"{value:.2f} s" if metric.unit == "seconds" else f"{value:.3f}"
    return _with_minus(text)


def percent(value: float | None) -> str:
    """Per cent with two decimals."""
    return UNDEFINED if value is None else _with_minus(f"{100 * value:.2f} %")


def difference_text(value: float | None, metric: Metric) -> str:
    """A signed difference; of rates in percentage points."""
    if value is None:
        return UNDEFINED
    unit = " pp" if metric.is_rate else " s" if metric.unit == "seconds" else ""
    return _bare_signed(value, metric) + unit


def interval_text(interval: Interval | None, metric: Metric, *, signed: bool = True) -> str:
    """`[low, high]` in the metric's unit."""
    if interval is None:
        return UNDEFINED
    show = _bare_signed if signed else _bare
    return f"[{show(interval.low, metric)}, {show(interval.high, metric)}]"


def gain_text(value: float | None) -> str:
    """A relative gain in whole per cent, positive when better."""
    return UNDEFINED if value is None else _with_minus(f"{100 * value:+.0f} %")


def gain_interval_text(interval: Interval | None) -> str:
    """`[low, high]` of a relative gain, in per cent; empty where undefined."""
    if interval is None:
        return ""
    low, high = (_with_minus(f"{100 * end:+.0f}") for end in interval)
    return f"[{low}, {high}]"


def seconds_text(value: float) -> str:
    """Seconds with one decimal and thousands apart."""
    return f"{value:,.1f} s"


def _with_minus(text: str) -> str:
    """The number with a minus sign as it is printed; what is rounded to nothing has none."""
    is_nothing = not any(digit in text for digit in "123456789")
    return text.replace("-", "") if is_nothing else text.replace("-", MINUS)


def _bare(value: float, metric: Metric) -> str:
    return number(value, metric).removesuffix(" %").removesuffix(" s")


def _bare_signed(value: float, metric: Metric) -> str:
    text = _bare(value, metric)
    return text if text.startswith(MINUS) else f"+{text}"
