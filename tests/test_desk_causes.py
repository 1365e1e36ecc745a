"""Which findings have one cause, and are one mole."""

from typing import Any

import pytest

from streams.desk import Desk
from streams.moles import Command, Finding
from tests.core import catalogue
from tests.findings import HOUR_S, T, days, finding, later, other, told


def test_the_same_segment_at_the_same_time_in_two_moments_is_one_mole() -> None:
    desk = Desk(catalogue())
    desk.advance(T, [finding(segment="region=eu")])
    (linked,) = desk.advance(T + 1200, [other(T + 1200, "region=eu")])
    assert (linked.event, linked.mole.linked, linked.notify) == ("updated", ("browse",), False)


@pytest.mark.parametrize("segment", ["all", "region=eu"])
@pytest.mark.parametrize(("apart", "event"), [(HOUR_S, "updated"), (HOUR_S + 1, "popped")])
def test_moments_that_fall_silent_together_have_one_dead_source(apart: int, event: str, segment: str) -> None:
    desk = Desk(catalogue())
    gone: dict[str, Any] = {"kind": "silence", "segment": segment, "cause": "stopped", "contributors": ()}
    desk.advance(T, [finding(**gone)])
    (step,) = desk.advance(T + apart, [finding(T + apart, moment="browse", **gone)])
    assert (step.event, step.notify) == (event, event == "popped")
    assert ("browse" in step.mole.linked) == (event == "updated")


def test_a_silence_at_the_time_of_failures_elsewhere_is_its_own() -> None:
    desk = Desk(catalogue())
    desk.advance(T, [finding()])
    assert told(desk.advance(T + 60, [other(T + 60, kind="silence")])) == ["popped"]


def joined(desk: Desk, at: int) -> Finding:
    """A case of `pay` (game over) that is part of a mole of `browse` (tolerable)."""
    desk.advance(T, [finding(T, moment="browse", segment="region=eu", contributors=())])
    return finding(at, segment="region=eu", first_harm=T - 300, contributors=())


def test_a_tickets_mole_that_a_game_over_moment_joins_is_a_page() -> None:
    desk = Desk(catalogue())
    first = joined(desk, T + 600)
    (graver,) = desk.advance(T + 600, [first])
    assert (graver.event, graver.notify, graver.mole.tier, graver.mole.moment) == (
        "updated",
        True,
        "game-over",
        "browse",
    )
    assert desk.advance(T + 4800, [later(first, T + 4800, "over")]) == []
    assert [m.tier for m in desk.moles()] == ["game-over"], "whom it hurt at any time"


def test_a_tickets_mole_that_sleeps_is_woken_by_a_game_over_moment() -> None:
    desk = Desk(catalogue())
    first = joined(desk, T + 600)
    (mole,) = desk.moles()
    desk.command(T + 100, Command(mole.id, "snooze", for_s=HOUR_S))
    (woken,) = desk.advance(T + 600, [first])
    assert (woken.event, woken.notify, woken.mole.state, woken.mole.tier) == ("woken", True, "popped", "game-over")


def test_a_game_over_moment_has_a_page_of_its_own_beside_an_old_ticket() -> None:
    desk = Desk(catalogue())
    desk.advance(T, [finding(T, moment="browse", segment="region=eu", contributors=())])
    late = finding(T + 9000, segment="region=eu", first_harm=T + 8000, contributors=())
    (own,) = desk.advance(T + 9000, [late])
    assert (own.event, own.notify, own.mole.moment, own.mole.tier) == ("popped", True, "pay", "game-over")


def test_moments_that_nothing_relates_have_moles_of_their_own() -> None:
    desk = Desk(catalogue())
    desk.advance(T, [finding()])
    assert told(desk.advance(T + 1200, [other(T + 1200)])) == ["popped"]


RISE = [10, 30, 12, 44, 9, 21, 70, 18, 25, 5]


@pytest.mark.parametrize(
    ("shares", "others", "expected"),
    [
        (RISE, [2 * x for x in RISE], "updated"),
        (RISE, RISE[3:] + RISE[:3], "popped"),
        ([20] * 9 + [900], [20] * 9 + [800], "popped"),
        (RISE[:6], RISE[:6], "popped"),
    ],
    ids=["together", "not together", "one common day alone", "less than a week"],
)
def test_moments_whose_days_move_together_share_a_cause(shares: list[int], others: list[int], expected: str) -> None:
    desk = Desk(catalogue())
    for pair in zip(days("browse", shares), days("pay", others), strict=True):
        desk.advance(pair[0].at, list(pair))
    desk.advance(T, [finding()])
    assert told(desk.advance(T + 1200, [other(T + 1200)])) == [expected]


def test_moments_of_one_journey_share_a_cause() -> None:
    text = "journeys:\n  buy: {route: [browse, pay], goal: pay, abandon_after: 1d}\nmoments:\n  pay:"
    desk = Desk(catalogue(journey=("moments:\n  pay:", text)))
    desk.advance(T, [finding()])
    f = other(T + 1200)
    assert told(desk.advance(T + 1200, [f])) == ["updated"]
    assert told(desk.advance(T + 1300, [later(finding(), T + 1300, "over")])) == [], "the other one still hurts"
    assert told(desk.advance(T + 1400, [later(f, T + 1400, "over")])) == ["whacked"]


@pytest.mark.parametrize(("wait", "event"), [(5 * HOUR_S, "relapsed"), (7 * HOUR_S, "popped")])
def test_what_begins_once_a_recovering_mole_has_settled_is_another_cause(wait: int, event: str) -> None:
    text = "journeys:\n  buy: {route: [browse, pay], goal: pay, abandon_after: 1d}\nmoments:\n  pay:"
    desk = Desk(catalogue(journey=("moments:\n  pay:", text)))
    f = finding()
    desk.advance(T, [f])
    desk.advance(T + HOUR_S, [later(f, T + HOUR_S, "ease")])
    assert told(desk.advance(T + wait, [other(T + wait, first_harm=T + wait - 60)])) == [event]
