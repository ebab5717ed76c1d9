"""Numbers as people read them."""

from __future__ import annotations

import pytest
from results_factory import SIMILARITY, WER

from reports.formatting import difference_text, gain_interval_text, gain_text, interval_text, number, percent
from reports.statistics import Interval


def test_nothing_has_no_minus_sign() -> None:
    assert number(-0.0001, SIMILARITY) == "0.000" and number(-0.0, SIMILARITY) == "0.000"
    assert percent(-0.00001) == "0.00 %" and percent(-0.01) == "−1.00 %"
    assert difference_text(-0.00001, WER) == "+0.00 pp" and difference_text(-0.01, WER) == "−1.00 pp"
    assert gain_text(-0.001) == "0 %" and gain_text(0.1) == "+10 %" and gain_text(-0.1) == "−10 %"


@pytest.mark.parametrize(("low", "shown"), [(-0.001, "[0, +20]"), (-0.2, "[−20, +20]")])
def test_intervals_of_gains(low: float, shown: str) -> None:
    assert gain_interval_text(Interval(low, 0.2)) == shown


def test_intervals_have_the_metric_s_unit() -> None:
    assert interval_text(Interval(-0.00001, 0.02), WER) == "[+0.00, +2.00]"
