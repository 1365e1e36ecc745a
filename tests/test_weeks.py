"""Harm that creeps in over weeks: what is found, since when, and what is left alone."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nbinom

from streams import blame, weeks
from streams.baseline import Group
from streams.moles import Finding
from streams.past import DAYS
from streams.series import HOURS
from tests.judged import DAY, Steps, T, judge, run, ups

Share = Callable[[float, str], float]  # of the day (with its fraction) and the plan


def days(many: int, share: Share, per_hour: int = 8, seed: int = 1) -> Steps:
    """A step an hour; two plans alike."""
    g = np.random.default_rng(seed)
    out: Steps = []
    for hour in range(many * HOURS):
        counts = []
        for plan in ("plan=pro", "plan=free"):
            n = int(g.poisson(per_hour / 2))
            bad = int(g.binomial(n, share(hour / HOURS, plan)))
            counts.append((plan, "outcome", n - bad, bad))
        whole = ("all", "outcome", sum(c[2] for c in counts), sum(c[3] for c in counts))
        out.append((T + (hour + 1) * 3600, [whole, *counts]))
    return out


def creeps(begin: int, end: int, most: float, over: int = 30) -> Share:
    """From 0.2 %, by as much each day, to `most`; at once well again."""
    return lambda day, _: 0.002 + (most - 0.002) * min((day - begin) / over, 1.0) if begin <= day < end else 0.002


def in_days(at: int) -> float:
    return (at - T) / DAY


def lives(found: list[Finding]) -> list[str]:
    return [f.event for f in found if f.event in ("up", "over")]


def test_what_creeps_in_over_weeks_is_one_mole_from_beginning_to_end() -> None:
    """
    share  0.2 %           ______----~~~~ 3 %
    day    0              40             65  |
    """
    found = run(days(90, creeps(40, 65, 0.03)))
    assert lives(found) == ["up", "over"]
    (up,) = ups(found)
    assert up.segment == "all"
    assert 40 <= in_days(up.first_harm) < in_days(up.at) <= 62, "the budget burns from the ninth day on"
    assert 3 * up.expected < up.bad
    over = found[-1]
    assert 65 < in_days(over.at) <= 76
    assert over.total > up.total


def test_without_looking_back_for_weeks_it_would_be_learnt_as_ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = days(70, creeps(40, 70, 0.02, over=20))
    assert len(ups(run(steps))) == 1
    monkeypatch.setattr(weeks, "LEAST_BAD", math.inf)
    assert ups(run(steps)) == []


def test_a_quiet_moment_that_fails_four_times_as_often_for_weeks_is_found() -> None:
    """Ten orders a day, six in a hundred late, then a quarter: one a day is no alarm for any day or week."""
    late: Share = lambda day, _: 0.25 if 60 <= day < 88 else 0.06  # noqa: E731
    for seed in range(1, 6):
        one = judge()
        one.objectives["outcome"] = 0.9
        steps = [(at, counts) for at, counts in days(115, late, 1, seed) if sum(c[2] + c[3] for c in counts)]
        life = [f for f in run(steps, one) if f.event in ("up", "over")]
        assert [f.event for f in life] == ["up", "over"], seed
        assert 55 <= in_days(life[0].first_harm) <= 66
        assert in_days(life[0].at) <= 80
        assert in_days(life[1].at) > 86


def test_a_segment_that_creeps_is_named() -> None:
    bad = creeps(40, 65, 0.03)
    found = run(days(70, lambda day, plan: bad(day, plan) if plan == "plan=pro" else 0.002, 24))
    assert {f.segment for f in ups(found)} == {"plan=pro"}


def test_what_a_mole_has_told_is_not_told_again_by_its_weeks() -> None:
    """A day's outage is more than its month's ordinary harm."""
    outage: Share = lambda day, _: 0.5 if 45 <= day < 45.5 else 0.002  # noqa: E731
    assert lives(run(days(80, outage))) == ["up", "over"]


def test_harm_of_a_whole_budget_period_is_what_its_series_is_now() -> None:
    found = run(days(150, creeps(40, 150, 0.03)))
    assert lives(found) == ["up", "over"]
    assert in_days(found[-1].at) - in_days(ups(found)[0].at) > 28


def test_after_it_is_gone_its_like_is_found_as_fast_as_the_first_time() -> None:
    """What it taught before it was found is taken back."""
    first, second = creeps(40, 65, 0.03), creeps(90, 115, 0.03)
    found = run(days(130, lambda day, plan: max(first(day, plan), second(day, plan))))
    one, other = ups(found)
    assert in_days(other.at) - 90 <= in_days(one.at) - 40 + 3


def test_a_promise_that_nobody_keeps_is_told_once_and_not_each_month() -> None:
    found = run(days(150, lambda day, _: 0.4))
    assert len(ups(found)) == 1
    assert in_days(found[-1].at) < 50


def test_a_level_that_is_higher_for_good_is_one_mole_until_it_is_ordinary() -> None:
    found = run(days(180, lambda day, _: 0.024 if day >= 60 else 0.008, 80))
    crept = [f for f in ups(found) if f.at - f.first_harm >= 7 * DAY]
    assert len(crept) <= 1
    assert [f for f in ups(found) if in_days(f.at) > 95] == []


def test_where_days_differ_by_as_much_as_they_expect_a_young_past_makes_no_moles() -> None:
    """One low day in it would make all the others high, and they would be forgotten as harm."""
    for seed in (1, 2, 3):
        level = np.random.default_rng(seed).gamma(1.0, 1.0, 90)
        steps = days(90, lambda day, _: min(0.02 * level[int(day)], 0.9), 120, seed)  # noqa: B023
        assert [f for f in ups(run(steps)) if f.at - f.first_harm >= 7 * DAY] == []


def test_an_outage_while_something_creeps_is_a_mole_of_its_own() -> None:
    creeping = creeps(40, 80, 0.03)
    found = run(days(90, lambda day, plan: 0.9 if 62 <= day < 62.5 else creeping(day, plan), 24))
    crept, outage = ups(found)[:2]
    assert in_days(crept.at) < 62 <= in_days(outage.first_harm) <= in_days(outage.at) < 62.5
    assert outage.bad > 0.5 * outage.total


def test_what_creeps_in_a_moment_says_nothing_of_a_voice() -> None:
    """A voice is no part of `all`: what robots see is as bad as ever."""
    creeping = creeps(60, 100, 0.03)
    g = np.random.default_rng(2)
    steps = []
    for at, counts in days(110, creeping, 24):
        bad = int(g.binomial(2, 0.15))
        steps.append((at, [*counts, ("voice=probe", "outcome", 2 - bad, bad)] if at > T + 45 * DAY else counts))
    found = ups(run(steps))
    assert "all" in {f.segment for f in found}
    assert [f for f in found if f.segment == "voice=probe" and in_days(f.at) > 70] == []


def test_moments_in_which_the_same_creeps_in_are_linked() -> None:
    assert blame.crept((0, 20 * DAY), (5 * DAY, 22 * DAY))
    assert not blame.crept((0, 20 * DAY), (8 * DAY, 22 * DAY)), "it began in another week"
    assert not blame.crept((0, 20 * DAY), (5 * DAY, 6 * DAY)), "sudden harm did not creep in"


@given(
    st.floats(0.5, 200), st.floats(0.0, 1.5), st.floats(1.0, 6.0)
)  # bad events that are ordinary, variation of their level, times as many
def test_evidence_is_never_more_than_its_chance(mean: float, variation: float, times: float) -> None:
    bad = math.ceil(mean * times)
    told = float(weeks.chance(np.array([float(bad)]), np.array([mean]), np.array([variation**2]))[0])
    shape = 1 / max(variation**2, 1e-6)
    truth = -float(nbinom.logsf(bad - 1, shape, shape / (shape + mean)))
    assert 0 <= told <= truth + 1e-6


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), min_size=1, max_size=60))
def test_a_day_is_of_the_last_four_weeks_or_old(many: list[tuple[int, int]]) -> None:
    group = Group("outcome", 0.99, 1.0)
    group.add("all")
    for n, b in many:
        weeks.learn(group, np.full((1, HOURS), n / HOURS), np.full((1, HOURS), b / HOURS))
    past, newest = group.past[:1], many[::-1]
    padded = [x for x, _ in newest[:DAYS]] + [0] * (DAYS - len(many))
    assert past["day_n"][0].tolist() == pytest.approx(padded, rel=1e-5)
    old = sum(b * 0.5 ** (i / 91) for i, (_, b) in enumerate(newest[DAYS:]))
    assert past["old_b"][0] == pytest.approx(old, rel=1e-5)


def test_the_past_that_a_window_is_held_against_ends_before_it() -> None:
    group = Group("outcome", 0.99, 1.0)
    group.add("all")
    for day in range(60):
        bad = 1.0 if day < 32 else 0.0 if day < 53 else 5.0
        weeks.learn(group, np.full((1, HOURS), 1.0), np.full((1, HOURS), bad / HOURS))
    shares = [float(weeks.ordinary(group, before).share[0]) for before in (0, 7, DAYS)]
    newest = [5.0] * 7 + [0.0] * 21 + [1.0] * 32
    for before, share in zip((0, 7, DAYS), shares, strict=True):
        left = [0.5 ** (max(i - DAYS, 0) / 91) for i in range(60)]
        b = sum(x * f for x, f in zip(newest[before:], left[before:], strict=True))
        assert share == pytest.approx((b + 1) / (24 * sum(left[before:]) + 100), rel=1e-5)
