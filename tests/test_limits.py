"""Limits of scores, beside simulated series; and what days teach of their variation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import baseline, evidence
from streams.baseline import CV_PRIOR, Group
from streams.limits import days, limits
from streams.series import DAY_S, HOURS, RATIOS

GRAIN = 1.0  # nats: limits are looked up
FINE = 1.01  # what halving leaves
some = st.floats


def alarms(days: int, daily: float, p: float, cv: float, accepted: float, seed: int) -> list[int]:
    """Days with an alarm, by ratio: a score that goes on from day to day, good events taken one by one in bulk; it
    begins anew after an alarm."""
    g = np.random.default_rng(seed)
    shares = np.minimum(p * (g.gamma(1 / cv**2, cv**2, days) if cv else np.ones(days)), 0.99)
    odds = evidence.bad_day(p, cv)
    costs = evidence.costs(p, cv)
    heights = limits(math.log(accepted), math.log(daily * p), p, cv, math.log(daily), odds)
    found, scores = [0] * len(RATIOS), [0.0] * len(RATIOS)
    for share in shares.tolist():
        places = np.flatnonzero(g.random(int(daily)) < share)
        gaps = [*np.diff(places, prepend=-1).tolist(), 0]
        left = int(daily) - 1 - (int(places[-1]) if len(places) else -1)
        for k, r in enumerate(RATIOS):
            cost, score, most = costs[k], scores[k], 0.0
            for gap in gaps[:-1]:
                score = max(0.0, score - (gap - 1) * cost) + math.log(r) - cost
                most = max(most, score)
            alarm = most >= heights[k]
            found[k] += alarm
            scores[k] = 0.0 if alarm else max(0.0, score - left * cost)
    return found


@pytest.mark.parametrize("cv", [0.0, 0.5])
@pytest.mark.parametrize(
    ("daily", "p"), [(400, 0.01), (2000, 0.004), (200, 0.1), (2000, 0.15), (8, 0.15), (40, 0.01), (2000, 0.05)]
)
def test_alarms_of_ordinary_days_are_as_rare_as_accepted(daily: float, p: float, cv: float) -> None:
    long, accepted = 8000, 0.005
    found = alarms(long, daily, p, cv, accepted, 1)
    assert max(found) <= 1.3 * accepted * long + 3


@pytest.mark.parametrize(("daily", "p"), [(400, 0.01), (2000, 0.004), (200, 0.1), (2000, 0.15)])
def test_they_are_not_so_rare_that_harm_is_waited_for_in_vain(daily: float, p: float) -> None:
    long, accepted = 8000, 0.005
    assert max(alarms(long, daily, p, 0.5, accepted, 1)) >= 0.1 * accepted * long


@given(some(-12.0, -3.0), some(-2.0, 8.0), some(1e-4, 0.9))
def test_a_limit_is_no_more_than_villes_inequality_asks_where_days_are_alike(
    accepted: float, bad: float, p: float
) -> None:
    null = p / (1 - p)
    for r, h in zip(RATIOS, limits(accepted, bad, p, 0.0, bad - math.log(p), null), strict=True):
        begin = math.log(r) - math.log1p(p * (r - 1))
        assert begin < h <= (begin + max(1.0, bad - accepted)) * FINE + GRAIN


@given(some(-12.0, -4.0), some(-2.0, 8.0), some(1e-4, 0.9), some(0.0, 1.0), some(0.0, 12.0))
def test_who_accepts_fewer_false_alarms_waits_for_more(
    accepted: float, bad: float, p: float, cv: float, events: float
) -> None:
    null = evidence.bad_day(p, cv)
    fewer, more = (limits(x, bad, p, cv, events, null) for x in (accepted - 1, accepted))
    assert all(a >= b - 1e-6 for a, b in zip(fewer, more, strict=True))


@pytest.mark.parametrize(
    ("p", "cv"), [(0.004, 0.1), (0.004, 0.5), (0.004, 0.8), (0.15, 0.5), (0.3, 0.3), (0.6, 0.3), (0.9, 0.1)]
)
def test_days_are_those_of_a_beta_distribution(p: float, cv: float) -> None:
    z = np.arange(-2.5, 4.6, 0.5)
    weights = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    found = days(p, cv)
    mean = float(np.sum(weights * found))
    assert mean == pytest.approx(p, rel=0.02)
    assert math.sqrt(float(np.sum(weights * (found - mean) ** 2))) == pytest.approx(cv * p, rel=0.05)
    a = (1 - p) / cv**2 - p
    some = np.random.default_rng(1).beta(a, a * (1 - p) / p, 400_000)
    assert float(np.mean(some <= found[9])) == pytest.approx(0.97725, abs=0.015)  # two standard deviations


@given(some(1e-4, 0.99), some(0.0, 3.0))
def test_no_day_is_worse_than_all_bad(p: float, cv: float) -> None:
    found = days(p, cv)
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= -1e-9).all()


def learnt(daily_bad: list[int], daily: int) -> float:
    """Variation of `all` after days with so many bad of so many events, an hour's worth each hour."""
    group = Group("outcome", 0.99, 1.0)
    group.add("all").born = 1
    for day, bad in enumerate(daily_bad):
        n = np.full((1, HOURS), float(daily // HOURS))
        b = np.array([[float(bad // HOURS + (h < bad % HOURS)) for h in range(HOURS)]])
        baseline.learn(group, (day + 1) * DAY_S, 28.0, n, b, None)
    return float(group.past["cv"][0])


@pytest.mark.parametrize("cv", [0.0, 0.3, 0.6])
def test_busy_days_teach_how_much_days_differ(cv: float) -> None:
    g = np.random.default_rng(5)
    shares = 0.01 * (g.gamma(1 / cv**2, cv**2, 56) if cv else np.ones(56))
    assert learnt(g.poisson(24_000 * shares).tolist(), 24_000) == pytest.approx(cv, abs=0.25)


def test_a_quiet_series_learns_no_variation_from_one_bad_day() -> None:
    g = np.random.default_rng(6)
    days = g.poisson(0.4, 40).tolist()
    days[30] = 8
    assert learnt(days, 96) == pytest.approx(CV_PRIOR, abs=0.25)


def test_a_remainder_with_more_bad_than_events_is_all_bad() -> None:
    group = Group("outcome", 0.99, 1.0)
    s = group.add("all")
    evidence.refresh(group, s, 0)
    assert evidence.stands(group, s, 20, 22, 0.2) == evidence.stands(group, s, 20, 20, 0.2)


@given(some(-12.0, -4.0), some(-2.0, 8.0), some(1e-4, 0.2), some(0.0, 1.0), some(0.0, 12.0))
def test_who_knows_less_waits_for_no_less(accepted: float, bad: float, p: float, cv: float, events: float) -> None:
    null = evidence.bad_day(p, 0.5)
    sure, unsure = (limits(accepted, bad, p, x, events, null) for x in (0.0, cv))
    assert all(b >= a - GRAIN for a, b in zip(sure, unsure, strict=True))
