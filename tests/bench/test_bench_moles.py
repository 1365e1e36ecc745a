"""A small world of the scoring bench: what every change of the judge must keep."""

import pytest

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
