"""The sentence for three in the morning says what the figures say, and no more."""

from typing import Any

import pytest

from streams.catalogue import DISCOVERED_SIGNALS
from streams.desk import Desk
from streams.explain import HAPPENED
from streams.moles import Contributor
from tests.core import catalogue
from tests.findings import HOUR_S, T, finding, later


def sentence(**changes: Any) -> str:
    (popped,) = Desk(catalogue()).advance(T, [finding(**changes)])
    return popped.mole.explain


@pytest.mark.parametrize("signal", [*DISCOVERED_SIGNALS, "wait", "duration"])
def test_what_is_counted_are_events_of_which_a_customer_may_have_many(signal: str) -> None:
    assert f"Pay (pay): customers {HAPPENED[signal]} 12 of 40 times since 18:10 UTC" in sentence(signal=signal)


@pytest.mark.parametrize(
    ("excess", "who"),
    [
        (
            [15.0, 3.0],
            "most of it in plan=pro (19 of 1,074: surely 1% or more, elsewhere 0%) and region=eu (18 of 30: ",
        ),
        (
            [3.0, 15.0],
            "most of it in plan=pro (19 of 1,074: surely 1% or more, elsewhere 1%) and region=eu (18 of 30: ",
        ),
        ([14.9, 14.8], "worst in plan=pro (19 of 1,074: surely 1% or more, elsewhere 0%) and region=eu (18 of 30: "),
        ([9.0], "worst in plan=pro (19 of 1,074: surely 1% or more, elsewhere 1%);"),
        ([0.0, 14.9], "and region=eu (18 of 30: surely 42% or more, elsewhere 10%);"),
    ],
    ids=[
        "the first has half",
        "the second has half",
        "neither has half",
        "one with less than half",
        "how sure it is",
    ],
)
def test_most_of_it_is_where_half_of_the_excess_is(excess: list[float], who: str) -> None:
    some = [Contributor("plan=pro", 19, 1074, 0), Contributor("region=eu", 18, 30, 0)]
    named = tuple(Contributor(c.segment, c.bad, c.total, e) for c, e in zip(some, excess, strict=False))
    assert who in sentence(bad=34, total=2000, expected=4.0, contributors=named)


def test_others_are_hurt_beside_a_segment_and_not_in_it() -> None:
    named = (Contributor("region=eu", 30, 60, 28.0), Contributor("plan=pro", 12, 40, 11.6))
    said = ", at the same time in region=eu (30 of 60: surely 38% or more, elsewhere 3%);"
    assert said in sentence(segment="plan=pro", contributors=named)


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("burn", "; the last of it was at 20:20 UTC on 16 Apr"),
        ("silence", " events were expected"),
    ],
)
def test_an_ended_mole_says_when_harm_was_last_told_and_when_it_was_closed(kind: str, end: str) -> None:
    desk, f = Desk(catalogue()), finding(kind=kind)
    desk.advance(T, [f])
    desk.advance(T + 2 * HOUR_S, [later(f, T + 2 * HOUR_S, "harm")])
    (closed,) = desk.advance(T + 21 * HOUR_S, [later(f, T + 21 * HOUR_S, "over")])
    assert end in closed.mole.explain
    assert closed.mole.explain.endswith("; closed at 15:20 UTC on 17 Apr.")
    assert "until" not in closed.mole.explain


@pytest.mark.parametrize(("segment", "whose"), [("all", "the"), ("plan=pro", "plan=pro's")])
def test_a_budget_is_said_to_be_whose_it_is(segment: str, whose: str) -> None:
    assert f", 144.0% of {whose} budget for the period is gone." in sentence(segment=segment, budget=1.44)
