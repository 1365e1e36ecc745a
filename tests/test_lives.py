"""What is said of moles that are up: whether somebody is to be told, by their labels."""

from typing import Any

import pytest

from streams.cases import SETTLE_S
from streams.desk import Desk
from streams.lives import Labels, Quiet
from streams.moles import Action, Command
from tests.core import catalogue
from tests.findings import HOUR_S, T, finding, later, told

PAY: Labels = ("pay", "all", "outcome", "burn", "game-over")


def up(desk: Desk, at: int) -> dict[Labels, Quiet | None]:
    desk.advance(at, [])
    return desk.up()


def test_a_mole_is_told_until_it_is_snoozed_and_again_when_it_wakes() -> None:
    desk, f = Desk(catalogue()), finding()
    desk.advance(T, [f])
    assert desk.up() == {PAY: None}
    desk.command(T + 60, Command(f.case, "snooze", for_s=HOUR_S))
    assert [up(desk, T + at) for at in (60, 60 + HOUR_S - 10, 60 + HOUR_S)] == [{PAY: "snoozed"}] * 2 + [{PAY: None}]
    desk.advance(T + 2 * HOUR_S, [later(f, T + 2 * HOUR_S, "over")])
    assert desk.up() == {}


@pytest.mark.parametrize(("action", "expected"), [("ack", {PAY: None}), ("snooze", {PAY: "snoozed"}), ("whack", {})])
def test_who_acknowledges_is_still_told_of_what_lasts_and_who_snoozes_or_whacks_is_not(
    action: Action, expected: dict[Labels, Quiet | None]
) -> None:
    desk, f = Desk(catalogue()), finding()
    desk.advance(T, [f])
    desk.command(T + 60, Command(f.case, action, for_s=HOUR_S))
    assert desk.up() == expected


@pytest.mark.parametrize(("tier", "settles_s"), [("game-over", 3 * HOUR_S), ("important", SETTLE_S)])
def test_a_recovering_mole_is_quiet_exactly_where_new_harm_would_ring(tier: str, settles_s: int) -> None:
    for wait in range(settles_s - 100, settles_s + 100, 10):
        desk, f = Desk(catalogue(tier=("tier: game-over", f"tier: {tier}"))), finding()
        desk.advance(T + 600, [f, later(f, T + 600, "ease")])
        (before,) = up(desk, T + wait).values()
        (step,) = desk.advance(T + wait, [later(f, T + wait, "harm")])
        assert (step.event, step.notify) == ("relapsed", before == "settled")
        assert (before == "settled") == (wait > settles_s)
        assert [*desk.up().values()] == [None]


def two(**changes: Any) -> Desk:
    """Two moles of the same labels: of the first the moment's own case is over, a linked one is not."""
    text = "journeys:\n  buy: {route: [browse, pay], goal: pay, abandon_after: 1d}\nmoments:\n  pay:"
    desk, f = Desk(catalogue(journey=("moments:\n  pay:", text))), finding()
    linked = finding(T + 60, moment="browse")
    desk.advance(T + 120, [f, linked, later(f, T + 120, "over")])
    assert len(desk.moles()) == 1
    desk.command(T + 180, Command(f.case, "snooze", for_s=6 * 24 * HOUR_S))
    assert desk.up() == {PAY: "snoozed"}
    at = T + 5 * 24 * HOUR_S  # too late to join it
    assert told(desk.advance(at, [finding(at, **changes)])) == ["popped"]
    return desk


def test_of_two_moles_with_the_same_labels_one_that_is_snoozed_keeps_the_other_no_quieter() -> None:
    desk = two()
    assert desk.up() == {PAY: None}
    first = max(desk.moles(), key=lambda m: m.popped)
    desk.command(T, Command(first.id, "snooze", for_s=HOUR_S))
    assert desk.up() == {PAY: "snoozed"}


def test_moles_of_other_labels_are_told_whoever_sleeps() -> None:
    assert two(segment="plan=pro").up() == {PAY: "snoozed", ("pay", "plan=pro", *PAY[2:]): None}


@pytest.mark.parametrize(("eased", "rings"), [(HOUR_S, False), (None, True)])
def test_a_snooze_rings_at_its_end_unless_all_has_settled_meanwhile(eased: int | None, rings: bool) -> None:
    desk, f = Desk(catalogue()), finding()
    desk.advance(T, [f])
    desk.command(T, Command(f.case, "snooze", for_s=8 * HOUR_S))
    if eased:
        assert desk.advance(T + eased, [later(f, T + eased, "ease")]) == []
    steps = desk.advance(T + 8 * HOUR_S, [])
    assert [(t.event, t.notify) for t in steps] == [("woken", rings)] + ([] if rings else [("recovering", False)])
    assert steps[-1].mole.state == ("popped" if rings else "recovering")
    assert desk.up() == {PAY: None if rings else "settled"}
    again = desk.advance(T + 9 * HOUR_S, [later(f, T + 9 * HOUR_S, "harm", bad=20)])
    assert [(t.event, t.notify) for t in again] == [("updated", False) if rings else ("relapsed", True)]


def test_what_wakes_while_it_recovers_and_has_not_settled_rings() -> None:
    desk, f = Desk(catalogue()), finding()
    desk.advance(T, [f])
    desk.command(T, Command(f.case, "snooze", for_s=HOUR_S))
    desk.advance(T + 600, [later(f, T + 600, "ease")])
    steps = desk.advance(T + HOUR_S, [])
    assert [(t.event, t.notify) for t in steps] == [("woken", True), ("recovering", False)]
    assert desk.up() == {PAY: None}


def test_a_likely_relapse_of_what_has_settled_rings_when_an_alarm_bears_it_out() -> None:
    desk, f = Desk(catalogue()), finding()
    desk.advance(T + 600, [f, later(f, T + 600, "ease")])
    for wait, expected in ((HOUR_S, "relapsed"), (8 * HOUR_S, "updated")):
        again = Desk(catalogue())
        again.load(desk.dump())
        steps = again.advance(T + wait, [later(f, T + wait, "harm", bad=20, faint=True)])
        assert [(t.event, t.notify) for t in steps] == [(expected, False)]
        assert again.up() == {PAY: "settled" if expected == "updated" else None}
        sure = again.advance(T + wait + 60, [later(f, T + wait + 60, "harm", bad=30)])
        assert [(t.event, t.notify) for t in sure] == [
            ("relapsed", True) if expected == "updated" else ("updated", False)
        ]
        assert again.up() == {PAY: None}


def test_a_likely_relapse_after_a_persons_whack_is_no_mole() -> None:
    desk, f = Desk(catalogue()), finding()
    desk.advance(T, [f])
    desk.command(T + 60, Command(f.case, "whack"))
    at = T + 5 * HOUR_S
    assert desk.advance(at, [later(f, at, "harm", bad=20, faint=True)]) == []
    assert told(desk.advance(at + 60, [later(f, at + 60, "harm", bad=30)])) == ["repopped"]
