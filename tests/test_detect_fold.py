"""The judge is a fold: the same worked out another way, whatever the order, the cuts and the calls."""

import math
import random
from collections.abc import Iterator
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import evidence, intervals
from streams.baseline import Group
from streams.cases import FORMAT
from streams.detect import Count, Judge
from streams.moles import Finding
from streams.series import HOUR_S, RATIOS
from tests.core import catalogue
from tests.judged import DAY, Steps, T, judge, run, shop, ups

# The sequential judge, beside the same worked out another way


@given(st.integers(0, 300), st.integers(1, 300))
def test_the_bound_of_one_number_is_that_of_the_metrics(bad: int, more: int) -> None:
    truth = float(intervals.wilson_low(np.array([bad]), np.array([bad + more]))[0])
    assert evidence.wilson_low(bad, bad + more) == pytest.approx(truth, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(1, 500)), min_size=1, max_size=30))
def test_a_score_is_the_best_of_all_beginnings(steps: list[tuple[int, int, int]]) -> None:
    group = Group("outcome", 0.99, 1.0)
    s = group.add("all")
    evidence.refresh(group, s, T)
    at, seen = T, list[tuple[int, int, int]]()
    for good, bad, wait in steps:
        at += 10 * wait
        s.last, s.before, s.b_before = at, s.total, s.b
        s.total, s.b = s.total + good + bad, s.b + bad
        if not bad:
            continue
        seen.append((at, s.total - good - bad - sum(n for _, n, _ in seen), 0))  # paid for with the next bad one
        seen.append((at, good + bad, bad))
        evidence.weigh(group, s)
        for k, r in enumerate(RATIOS):
            sums = [
                sum((b * math.log(r) - n * s.costs[k]) * math.exp((t - at) / s.memory) for t, n, b in seen[i:])
                for i in range(len(seen))
            ]
            best = max(0.0, *sums)
            if best < evidence.limits_of(group, s)[k]:
                assert s.scores[k] == pytest.approx(best, abs=1e-9)
            else:
                return  # from its limit on it forgets how bad it was


# A fold


def shuffled(steps: Steps, seed: int) -> Iterator[tuple[int, list[Count]]]:
    r = random.Random(seed)
    for at, counts in steps:
        mine = counts.copy()
        r.shuffle(mine)
        yield at, mine


LONG = shop(
    18, per_hour=40, harm=(5 * DAY + 30_000, 5 * DAY + 50_000, "plan=pro", 0.5), silent=(16 * DAY + 30_000, 17 * DAY)
)


def test_the_order_of_counts_does_not_matter() -> None:
    assert run(shuffled(LONG, 1)) == run(shuffled(LONG, 2)) != []


def test_a_dimension_that_is_new_this_step_counts_for_the_step_whatever_its_name() -> None:
    limits = []
    for order in (1, -1):
        one = judge()
        run(shop(3), one)
        counts: list[Count] = [("all", "outcome", 0, 1), ("age=old", "outcome", 0, 1), ("plan=pro", "outcome", 0, 1)]
        one.step(T + 3 * DAY + HOUR_S + 10, counts[::order])
        group = one.state.groups["outcome"]
        limits.append(evidence.limits_of(group, group.series["plan=pro"]))
    assert limits[0] == limits[1]


def test_a_restored_judge_keeps_to_the_catalogue_of_now() -> None:
    old = judge()
    run(LONG, old)
    now = Judge(catalogue(strict=("outcome: {objective: 99%}", "outcome: {objective: 99.9%}")), "pay")
    assert now.load(old.dump())
    assert now.state.groups["outcome"].objective == 0.999
    gone = Judge(catalogue(gone=("      outcome: {objective: 99%}\n", "")), "pay")
    assert gone.load(old.dump())
    assert (gone.state.groups, gone.state.cases, gone.state.looks) == ({}, {}, [])
    assert [f for f in gone.step(T + 19 * DAY, [("all", "need", 1, 0)]) if f.event != "day"] == []


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(0, len(LONG)), max_size=6))
def test_a_judge_that_was_stored_and_read_goes_on_as_if_nothing_had_been(cuts: list[int]) -> None:
    one, found = judge(), list[Finding]()
    for begin, end in pairwise(sorted({0, *cuts, len(LONG)})):
        found += run(LONG[begin:end], one)
        blob, one = one.dump(), judge()
        one.load(blob)
        assert one.dump() == blob
    assert found == run(LONG)


def test_a_past_of_another_version_is_not_taken() -> None:
    old, one = judge(), judge()
    run(LONG, old)
    assert not one.load(msgspec.msgpack.encode((FORMAT + 1, b"whatever")))
    assert one.dump() == judge().dump()
    assert one.load(old.dump())
    assert one.dump() == old.dump()


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000))
def test_being_called_when_it_is_due_changes_nothing(seed: int) -> None:
    r, one, found = random.Random(seed), judge(), list[Finding]()
    for at, counts in LONG:
        while one.due is not None and one.due < at and r.random() < 0.7:
            found += one.step(one.due, ())
        found += one.step(at, counts)
    assert [f for f in found if f.event != "day"] == run(LONG)


FAR = 75 * 365 * DAY


def test_after_twenty_half_lives_without_an_event_nothing_is_due_and_what_comes_then_is_judged() -> None:
    past, long = shop(21), 20 * 28 * DAY
    again = [(at + FAR, counts) for at, counts in shop(8, harm=(5 * DAY, 5 * DAY + 7200, "all", 0.6))]
    one, calls = judge(), 0
    called = run(past, one)
    while one.due is not None:
        assert one.due <= past[-1][0] + long + 2 * DAY
        calls += 1
        called += [f for f in one.step(one.due, ()) if f.event != "day"]
    assert calls > long // DAY, "it learns for as long as there is something left"
    called += run(again, one)
    assert called == run([*past, *again])
    assert [f.kind for f in ups(called)] == ["silence", "shift"]


def test_a_judge_of_whom_nothing_was_ever_heard_waits_for_nothing() -> None:
    one = judge()
    one.step(T + 10, ())
    run((), one, end=T + 3 * DAY)
    assert one.due is None
