"""What the desk makes of findings, of what people ask, and of time."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.desk import REPOP_S, Desk
from streams.moles import Command, Finding, IllegalTransition, Mole, Transition, moment_of
from streams.series import DAY_S
from tests.core import catalogue
from tests.findings import HOUR_S, T, days, finding, later, other, told


def test_a_mole_is_json_as_the_contract_has_it() -> None:
    desk = Desk(catalogue())
    (popped,) = desk.advance(T, [finding()])
    shown = json.loads(msgspec.json.encode(popped.mole))
    assert list(shown) == [
        "id", "moment", "segment", "signal", "kind", "tier", "state", "first_harm", "popped", "acked", "whacked",
        "repop_of", "bad", "total", "burn_rate", "burn_rate_low", "contributors", "linked", "explain", "runbook",
    ]  # fmt: skip
    assert shown["id"] == "pay.outcome.burn.20130416T182000Z"
    assert (shown["state"], shown["tier"]) == ("popped", "game-over")
    assert (shown["first_harm"], shown["popped"]) == ("2013-04-16T18:10:00Z", "2013-04-16T18:20:00Z")
    assert shown["contributors"] == [{"segment": "plan=pro", "bad": 9, "total": 12, "excess": 8.5}]
    for part in ("Pay", "12 of 40", "18:10 UTC", "30%", "18%", "plan=pro", "30.0 times"):
        assert part in shown["explain"]


def test_one_mole_rings_once_through_its_whole_life() -> None:
    desk = Desk(catalogue(tier=("tier: game-over", "tier: important")))
    f = finding()
    steps = desk.advance(T, [f])
    steps += desk.advance(T + 100, [later(f, T + 100, "harm", bad=20)])
    steps += desk.command(T + 200, Command(f.case, "ack", by="ann"))
    steps += desk.advance(T + 5000, [later(f, T + 5000, "ease")])
    steps += desk.advance(T + 6000, [later(f, T + 6000, "harm")])
    steps += desk.advance(T + 9000, [later(f, T + 9000, "ease"), later(f, T + 9990, "over", bad=31)])
    assert told(steps) == ["popped", "updated", "acked", "recovering", "relapsed", "recovering", "whacked"]
    assert [t.notify for t in steps] == [True] + 6 * [False]
    assert len({t.id for t in steps}) == len(steps)
    assert steps[2].by == "ann"
    last = steps[-1].mole
    assert (last.state, last.bad) == ("whacked", 31)
    assert last.acked is not None
    assert last.whacked is not None


@pytest.mark.parametrize(
    ("tier", "hours", "notify"),
    [("important", 6, False), ("important", 10, True), ("game-over", 3, False), ("game-over", 4, True)],
)
@pytest.mark.parametrize("again", ["the same case", "another one of the mole"])
def test_harm_long_after_a_recovering_mole_has_settled_rings_again(
    tier: str, hours: int, notify: bool, again: str
) -> None:
    text = "journeys:\n  buy: {route: [browse, pay], goal: pay, abandon_after: 1d}\nmoments:\n  pay:"
    tiers = ("tier: game-over", f"tier: {tier}")
    desk = Desk(catalogue(journey=("moments:\n  pay:", text), tier=tiers))
    f = finding()
    desk.advance(T, [f])
    desk.advance(T + 600, [later(f, T + 600, "ease")])
    at = T + hours * HOUR_S
    harm = later(f, at, "harm") if again == "the same case" else other(at, first_harm=min(at, T + 5 * HOUR_S))
    (step,) = desk.advance(at, [harm])
    assert (step.event, step.notify, step.mole.id, step.mole.repop_of) == ("relapsed", notify, f.case, None)
    assert [t.notify for t in desk.advance(at + HOUR_S, [later(harm, at + HOUR_S, "harm", bad=99)])] in ([], [False])


def test_what_returns_within_a_day_is_the_same_mole_and_rings_again() -> None:
    desk = Desk(catalogue())
    f = finding()
    desk.advance(T + 100, [f, later(f, T + 100, "over")])
    (again,) = desk.advance(T + REPOP_S, [finding(T + REPOP_S)])
    assert (again.event, again.mole.state, again.mole.repop_of, again.notify) == (
        "repopped",
        "re-popped",
        f.case,
        True,
    )
    desk.advance(T + REPOP_S + 10, [later(finding(T + REPOP_S), T + REPOP_S + 10, "over")])
    (third,) = desk.advance(T + REPOP_S + 50, [finding(T + REPOP_S + 50)])
    assert third.mole.repop_of == f.case, "the first one, however often it returns"


def test_what_returns_after_a_day_is_another_mole() -> None:
    desk = Desk(catalogue())
    f = finding()
    desk.advance(T + 100, [f, later(f, T + 100, "over")])
    (other,) = desk.advance(T + 101 + REPOP_S, [finding(T + 101 + REPOP_S)])
    assert (other.event, other.mole.repop_of) == ("popped", None)


def test_a_snooze_ends_on_the_contracts_clock_whatever_the_steps() -> None:
    for steps in ([T + 9000], [T + 100, T + 3599, T + 3600], [T + 3601]):
        desk = Desk(catalogue())
        f = finding()
        desk.advance(T, [f])
        desk.command(T, Command(f.case, "snooze", for_s=HOUR_S))
        out = [t for at in steps for t in desk.advance(at, [])]
        assert [(t.event, t.at, t.notify) for t in out] == [("woken", T + HOUR_S, True)]


def test_whoever_asks_is_told_when_a_snoozed_mole_wakes_and_of_no_other() -> None:
    desk = Desk(catalogue())
    f = finding()
    desk.advance(T, [f])
    assert desk.snoozed() == {}
    desk.command(T, Command(f.case, "snooze", for_s=HOUR_S))
    desk.command(T + 60, Command(f.case, "snooze", for_s=HOUR_S))
    assert desk.snoozed() == {f.case: T + 60 + HOUR_S}, "the last word counts"
    desk.advance(T + 2 * HOUR_S, [])
    assert desk.snoozed() == {}


def test_a_snoozed_mole_sleeps_through_harm_and_ends_with_its_cause() -> None:
    desk = Desk(catalogue())
    f = finding()
    desk.advance(T, [f])
    desk.command(T, Command(f.case, "snooze", for_s=HOUR_S))
    assert told(desk.advance(T + 60, [later(f, T + 60, "harm")])) == []
    assert told(desk.advance(T + 90, [later(f, T + 90, "over")])) == ["whacked"]
    assert desk.advance(T + 2 * HOUR_S, []) == []


@pytest.mark.parametrize("action", ["ack", "snooze", "whack"])
def test_an_illegal_command_changes_nothing(action: Any) -> None:
    desk = Desk(catalogue())
    f = finding()
    desk.advance(T + 10, [f, later(f, T + 10, "over")])
    before = desk.dump()
    for command in (Command(f.case, action, for_s=60), Command("no.such.mole", action, for_s=60)):
        with pytest.raises(IllegalTransition):
            desk.command(T + 20, command)
        assert desk.dump() == before


def test_a_snooze_needs_a_time() -> None:
    desk = Desk(catalogue())
    f = finding()
    desk.advance(T, [f])
    with pytest.raises(IllegalTransition, match="more than 0"):
        desk.command(T, Command(f.case, "snooze"))


def test_a_person_whacks_and_harm_after_an_hour_brings_it_back() -> None:
    desk = Desk(catalogue())
    f = finding()
    desk.advance(T, [f])
    desk.command(T + 10, Command(f.case, "whack", by="ann"))
    assert desk.advance(T + 600, [later(f, T + 600, "harm")]) == []
    (again,) = desk.advance(T + 4000, [later(f, T + 4000, "harm")])
    assert (again.event, again.mole.repop_of, again.notify) == ("repopped", f.case, True)
    assert again.mole.id != f.case
    assert told(desk.advance(T + 5000, [later(f, T + 5000, "over")])) == ["whacked"]


def test_figures_grow_while_a_mole_is_up_and_move_it_nowhere() -> None:
    desk = Desk(catalogue())
    f = finding()
    desk.advance(T, [f])
    (more,) = desk.advance(T + 600, [later(f, T + 600, "more", bad=20, total=70)])
    assert (more.event, more.notify, more.mole.state, more.mole.bad) == ("updated", False, "popped", 20)
    desk.command(T + 700, Command(f.case, "whack"))
    assert desk.advance(T + 9000, [later(f, T + 9000, "more", bad=30)]) == []


def test_a_tolerable_moments_unspent_budget_is_shown_after_a_whole_period() -> None:
    desk = Desk(catalogue())  # of 5 days
    shares = [0, 20, 0, 20, 10, 0]
    known = []
    for pair in zip(days("browse", shares), days("pay", shares), strict=True):
        desk.advance(pair[0].at, [msgspec.structs.replace(f, budget=100.0) for f in pair])
        known.append(set(desk.unspent()))
    assert known == [set()] * 4 + [{"browse"}] * 2
    assert desk.unspent() == {"browse": pytest.approx(0.9)}, "pay is game-over; 50 of 500 were bad"


def test_what_ended_is_shown_for_a_week() -> None:
    desk = Desk(catalogue())
    f = finding()
    desk.advance(T + 10, [f, later(f, T + 10, "over")])
    assert [m.id for m in desk.moles()] == [f.case]
    desk.advance(T + 11 + 7 * DAY_S, [])
    assert desk.moles() == []


actions = st.lists(
    st.tuples(
        st.sampled_from(["up", "harm", "ease", "over", "ack", "snooze", "whack", "time"]),
        st.sampled_from(["pay", "browse"]),
        st.integers(10, 20_000),
    ),
    max_size=40,
)


@given(actions, st.integers(0, 40))
def test_a_desk_that_was_stored_and_read_goes_on_as_if_nothing_had_been(script: Any, cut: int) -> None:
    def run(restart: int) -> tuple[list[Transition], list[Mole]]:
        desk, at, out = Desk(catalogue()), T, list[Transition]()
        cases: dict[str, Finding] = {}
        for i, (what, moment, wait) in enumerate(script):
            if i == restart:
                blob = desk.dump()
                desk = Desk(catalogue())
                desk.load(blob)
            at += wait // 10 * 10
            f = cases.get(moment)
            if what == "up" and f is None:
                f = cases[moment] = finding(at, moment=moment)
                out += desk.advance(at, [f])
            elif what in ("harm", "ease", "over") and f is not None:
                out += desk.advance(at, [later(f, at, what)])
                if what == "over":
                    del cases[moment]
            elif what in ("ack", "snooze", "whack") and f is not None:
                try:
                    out += desk.command(at, Command(f.case, what, 3000))
                except IllegalTransition:
                    continue
            else:
                out += desk.advance(at, [])
        return out, desk.moles()

    assert run(cut) == run(-1)


def test_the_end_of_a_mole_that_is_forgotten_is_nothing_and_its_harm_a_mole() -> None:
    desk = Desk(catalogue())
    f = finding()
    desk.advance(T, [f])
    desk.command(T + 60, Command(f.case, "whack"))
    late = T + 8 * DAY_S
    for event in ("more", "ease", "over"):
        assert desk.advance(late, [later(f, late, event)]) == []
    (again,) = desk.advance(late + 10, [later(f, late + 10, "harm")])
    assert (again.event, again.mole.id != f.case) == ("popped", True)


def test_a_mole_of_a_signal_that_the_catalogue_has_dropped_is_still_shown() -> None:
    old = Desk(catalogue())
    old.advance(T, [finding(signal="need")])
    now = Desk(catalogue(dropped=("      need: {objective: 97%}\n", "")))
    now.load(old.dump())
    assert [m.signal for m in now.moles()] == ["need"]


def test_what_returns_after_a_persons_whack_is_told_without_what_was_before_it() -> None:
    desk, f = Desk(catalogue()), finding()
    desk.advance(T, [f])
    desk.advance(T + 600, [later(f, T + 600, "more", bad=30, total=100, expected=1.0, budget=0.05)])
    desk.command(T + 700, Command(f.case, "whack", by="ann"))
    at = T + 5 * HOUR_S
    harm = later(
        f, at, "harm", bad=50, total=140, expected=1.4, budget=0.08, burn_rate=50 / 140 / 0.005, since=at - 60
    )
    (again,) = desk.advance(at, [harm])
    mole = again.mole
    assert (again.event, mole.repop_of, mole.first_harm) == ("repopped", f.case, moment_of(at - 60))
    assert (mole.bad, mole.total) == (20, 40)
    assert mole.burn_rate == pytest.approx(20 / 40 / 0.005, rel=1e-3)
    assert all(c.bad <= 20 and c.total <= 40 for c in mole.contributors)
    assert "20 of 40 times" in mole.explain
    (more,) = desk.advance(at + 600, [later(harm, at + 600, "more", bad=55, total=150)])
    assert (more.mole.bad, more.mole.total, more.mole.first_harm) == (25, 50, mole.first_harm)
