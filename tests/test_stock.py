"""Stock burn-rate alerts where events are decades apart; what they are otherwise is in test_backtest.py."""

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.stock import LONGEST, MINUTE_S, Episode, Stock

KEY = ("m", "all", "outcome")
OTHER = ("m", "all", "need")
Cells = list[tuple[int, int, int]]  # minutes since the last one, good, bad

cells = st.lists(st.tuples(st.integers(0, 2 * LONGEST), st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=8)


def add(stock: Stock, begin: int, some: Cells) -> int:
    """Adds events from a minute on; returns the minute of the last one."""
    for wait, good, bad in some:
        begin += wait
        stock.add(KEY, begin * MINUTE_S + 10, good + bad, bad)
    return begin


def alone(begin: int, some: Cells, until: int) -> list[Episode]:
    """What one lot gives by itself, if the file goes on until then."""
    stock = Stock(30 * 86_400.0)
    add(stock, begin, some)
    stock.add(OTHER, until * MINUTE_S + 10, 1, 0)
    return stock.episodes(KEY, 0.99)


@settings(max_examples=50)
@given(cells, cells, st.sampled_from([2 * LONGEST, 75 * 365 * 24 * 60]))
def test_what_lies_decades_back_is_another_matter(first: Cells, second: Cells, pause: int) -> None:
    stock = Stock(30 * 86_400.0)
    last = add(stock, 1_000_000, first)
    begin = last + pause
    end = add(stock, begin, second)
    assert stock.episodes(KEY, 0.99) == alone(1_000_000, first, begin) + alone(begin, second, end)


def test_a_pause_of_decades_takes_no_memory() -> None:
    stock = Stock(30 * 86_400.0)
    add(stock, 1_000_000, [(0, 0, 3), (75 * 365 * 24 * 60, 0, 3)])
    tracemalloc.start()
    try:
        assert len(stock.episodes(KEY, 0.99)) == 2
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
