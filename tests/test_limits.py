"""Limits of scores, beside simulated series; and what days teach of their variation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import baseline, evidence
from streams.baseline import CV_PRIOR, Group
from streams.limits import levels, limits
from streams.series import DAY_S, HOURS, RATIOS

GRAIN = 0.5  # nats: limits are looked up
some = st.floats


def alarms(days: int, daily: float, p: float, cv: float, accepted: float, seed: int) -> list[int]:
    """Days with an alarm, by ratio: a score from scratch each morning, good events taken one by one in bulk."""
    g = np.random.default_rng(seed)
    shares = p * g.gamma(1 / cv**2, cv**2, days) if cv else np.full(days, p)
    costs = evidence.costs(p, cv)
    heights = limits(math.log(accepted), math.log(daily * p), p, cv, costs)
    found = [0] * len(RATIOS)
    for share in shares.tolist():
        gaps = np.diff(np.flatnonzero(g.random(int(daily)) < share), prepend=-1).tolist()
        for k, r in enumerate(RATIOS):
            cost, score, most = costs[k], 0.0, 0.0
            for gap in gaps:
                score = max(0.0, score - (gap - 1) * cost) + math.log(r) - cost
                most = max(most, score)
            found[k] += most >= heights[k]
    return found


@pytest.mark.parametrize("cv", [0.0, 0.5])
@pytest.mark.parametrize(("daily", "p"), [(400, 0.01), (2000, 0.004), (200, 0.1)])
def test_alarms_of_ordinary_days_are_as_rare_as_accepted(daily: float, p: float, cv: float) -> None:
    days, accepted = 4000, 0.02
    found = alarms(days, daily, p, cv, accepted, 1)
    assert max(found) <= 1.3 * accepted * days
    assert max(found) >= 0.1 * accepted * days, "and not so rare that harm is waited for in vain"


@given(some(-12.0, -3.0), some(-2.0, 8.0), some(1e-4, 0.98), some(0.0, 3.0))
def test_a_limit_is_no_more_than_villes_inequality_asks(accepted: float, bad: float, p: float, cv: float) -> None:
    costs = evidence.costs(p, cv)
    for r, cost, h in zip(RATIOS, costs, limits(accepted, bad, p, cv, costs), strict=True):
        begin, p0 = math.log(r) - cost, math.expm1(cost) / (r - 1)
        assert h > 0
        mean = math.log(max(1.0, float(np.mean(levels(cv)))))  # levels of a wild gamma are rough
        assert h <= begin + max(0.0, bad - accepted + math.log(p0 / p)) + mean + 2 * GRAIN


@given(some(-12.0, -4.0), some(-2.0, 8.0), some(1e-4, 0.9), some(0.0, 1.0))
def test_who_accepts_fewer_false_alarms_waits_for_more(accepted: float, bad: float, p: float, cv: float) -> None:
    fewer = limits(accepted - 1, bad, p, cv, evidence.costs(p, cv))
    more = limits(accepted, bad, p, cv, evidence.costs(p, cv))
    assert all(a >= b - 1e-6 for a, b in zip(fewer, more, strict=True))


@pytest.mark.parametrize("cv", [0.1, 0.5, 0.8])
def test_levels_of_days_are_a_gamma_of_mean_one(cv: float) -> None:
    z = np.arange(-3.0, 4.6, 0.25)
    weights = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    mean = float(np.sum(weights * levels(cv)))
    assert mean == pytest.approx(1, abs=0.02)
    assert math.sqrt(float(np.sum(weights * (levels(cv) - mean) ** 2))) == pytest.approx(cv, rel=0.05)


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


@given(some(-12.0, -4.0), some(-2.0, 8.0), some(1e-4, 0.9), some(0.0, 30.0))
def test_who_knows_less_waits_for_no_less(accepted: float, bad: float, p: float, cv: float) -> None:
    costs = evidence.costs(p, 0.5)
    sure, unsure = (limits(accepted, bad, p, x, costs) for x in (0.0, cv))
    assert all(b >= a - GRAIN for a, b in zip(sure, unsure, strict=True))
