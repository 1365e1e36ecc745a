"""Burn rates: the factors of the SRE workbook, and thresholds that can be reached."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.burn import CAP, FAST, PAIRS, SLOW, factor, uncapped
from streams.promql import window


@given(objective=st.floats(0.01, 0.9999), days=st.integers(3, 366), pair=st.sampled_from(PAIRS))
@settings(max_examples=200)
def test_a_threshold_can_always_be_reached_and_never_blames_a_kept_promise(
    objective: float, days: int, pair: Any
) -> None:
    at = factor(pair, objective, days * 86_400)
    assert at < 1 / (1 - objective)
    assert at >= min(1, CAP / (1 - objective))


def test_thirty_days_give_the_workbooks_factors() -> None:
    assert [round(uncapped(pair, 30 * 86_400), 6) for pair in (*FAST, *SLOW)] == [14.4, 6, 3, 1]
    assert [(window(p.long_s), window(p.short_s)) for p in (*FAST, *SLOW)] == [
        ("1h", "5m"), ("6h", "30m"), ("1d", "2h"), ("3d", "6h"),
    ]  # fmt: skip
