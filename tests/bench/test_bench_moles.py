"""A small world of the scoring bench: what every change of the judge must keep."""

import numpy as np
import pytest

from tests.bench import bound
from tests.bench.moles import Job, Score, score, simulate

MOMENTS = 12
QUIET = range(3, 8)
"""Moments of 200 to 2,600 events a day: the busiest take minutes."""


def world(moles: int, faults: bool) -> Score:
    jobs = [Job(i, MOMENTS, 3, moles, 0.0, faults, 8, False) for i in range(MOMENTS)]
    return score([simulate(j) for j in jobs if j.moment in QUIET], 8)


@pytest.fixture(scope="module")
def found() -> Score:
    return world(2, True)


def test_moles_that_hurt_are_found_and_named(found: Score) -> None:
    large = [r for r in found.rows if r.label.caused >= 20]
    assert len(large) >= 2
    assert all(r.hits and r.named for r in large)


def test_no_cause_makes_many_moles(found: Score) -> None:
    hits = [r.hits for r in found.rows if r.hits]
    assert sum(hits) <= 1.2 * len(hits)


def test_faults_of_the_traffic_are_no_moles(found: Score) -> None:
    assert len(found.false) <= 1


def test_a_world_without_moles_has_none() -> None:
    assert len(world(0, False).false) <= 1


@pytest.mark.parametrize("cv", [0.0, 0.5])
def test_the_bound_counts_as_many_crossings_as_a_window_that_slides_over_random_events(cv: float) -> None:
    """Eight hours, three bad events a day, 40,000 days: how often seven (eight) come together, some in clumps."""
    g = np.random.default_rng(5)
    days, window, bad = 40_000, 8 * 3600, 8 if cv else 7
    levels = g.gamma(1 / cv**2, cv**2, days) if cv else np.ones(days)
    times = np.concatenate([np.sort(g.uniform(i, i + 1, g.poisson(3 * q))) for i, q in enumerate(levels)]) * 86_400
    begins, ends = times, times + window
    moves = np.concatenate([np.ones(len(times), int), -np.ones(len(times), int)])
    inside = np.cumsum(moves[np.argsort(np.concatenate([begins, ends]), kind="stable")])
    seen = int(((inside[1:] == bad) & (inside[:-1] == bad - 1)).sum())
    told = bound.crossings(bad, 1.0, cv, window, days * 86_400)
    assert seen >= 40
    assert told / 1.5 < seen < told * 1.5
