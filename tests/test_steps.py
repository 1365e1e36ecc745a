"""What a judgement sees: each event once, in the step in which its source's watermark let it arrive."""

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.events import SECOND
from streams.health import Health
from streams.route import Routes
from streams.steps import Steps
from tests.core import Event, Record, catalogue, records, routes, touchpoint
from tests.expected import micros_of, segments_of, verdicts
from tests.pipeline import SOURCES, Pipeline
from tests.strategies import distinct, events_of

Shown = tuple[int, str, str, str]  # end of the step, moment, segment, signal
LATENESS = 3600 * SECOND
near_s = st.one_of(st.integers(0, 90), st.integers(0, 4000)).map(float)


class Recorded(Health):
    """A health that keeps what its judges would be shown."""

    def __init__(self, routes: Routes, partition: int, expected: int) -> None:
        self.shown: Counter[tuple[Shown, str]] = Counter()
        super().__init__(routes, partition, expected)

    def _advance(self, wall: int | None = None) -> None:
        now = self.clock.advance(wall) // SECOND // 10 * 10
        if now <= self.judging.steps.through:
            return
        for moment, steps in self.judging.steps.take(now).items():
            assert [step.end for step in steps] == sorted({step.end for step in steps})
            for step in steps:
                names = [self.judging.steps.names[i] for i in step.series]
                assert names == sorted(set(names))
                for name, n, bad in zip(names, step.events, step.bad, strict=True):
                    assert name[0] == moment
                    self.shown[(step.end, *name), "good"] += n - bad
                    self.shown[(step.end, *name), "bad"] += bad


def shown(pipeline: Pipeline) -> tuple[Counter[tuple[Shown, str]], int]:
    """All that the judges of all partitions see, and the clock, in seconds."""
    out: Counter[tuple[Shown, str]] = Counter()
    clock = 0
    for partition, log in pipeline.tallies.items():
        health = Recorded(pipeline.routes, partition, len(pipeline.sources))
        for offset, message in enumerate(log):
            health.apply(offset, message)
        out += health.shown
        clock = health.clock.now // SECOND
    return out, clock


def expected(sources: dict[tuple[str, int], list[Event]], clock: int) -> Counter[tuple[Shown, str]]:
    """The same by a plain loop over each source's events."""
    rules = catalogue()
    out: Counter[tuple[Shown, str]] = Counter()
    for events in sources.values():
        mark = None
        for e in events:
            at = micros_of(e["time"])
            if mark is not None and at < mark - LATENESS:
                continue
            mark = at if mark is None else max(mark, at)
            step = mark // SECOND // 10 * 10 + 10
            if step <= clock:
                for signal, result in verdicts(e, rules).items():
                    for segment in segments_of(e, rules):
                        out[(step, e["data"]["moment"], segment, signal), result] += 1
    return out


@st.composite
def loads(draw: st.DrawFn) -> tuple[dict[tuple[str, int], list[Event]], list[Any]]:
    some = {tp: distinct(draw(st.lists(events_of(tp[0], near_s), max_size=12))) for tp in SOURCES}
    cuts = draw(st.lists(st.tuples(st.sampled_from(SOURCES), st.integers(1, 5), st.booleans()), max_size=25))
    return some, cuts


@settings(max_examples=150, deadline=None)
@given(loads(), st.booleans())
def test_a_judgement_sees_each_event_in_the_step_of_its_arrival_wherever_flushes_are_cut(
    load: tuple[dict[tuple[str, int], list[Event]], list[Any]], chunked: bool
) -> None:
    some, cuts = load
    pipeline = Pipeline(routes(), {tp: records(events) for tp, events in some.items()}, chunked)
    for tp, n, restart in cuts:
        pipeline.feed(tp, n)
        if restart:
            pipeline.restart(tp)
        else:
            pipeline.flush(tp)
    pipeline.finish()
    pipeline.frontier(idle=True)
    found, clock = shown(pipeline)
    assert found == expected(some, clock)


def test_a_late_event_is_judged_when_it_came_and_counts_in_the_window_of_its_time() -> None:
    """
    bucket      0:00:00   0:00:10   0:00:20   0:00:30
    on time     1 good              1 good    (30 s ends the step before)
    late                            1 bad, of 0:00:05
    """
    events = [touchpoint("1", 5), touchpoint("2", 25), touchpoint("3", 5, outcome="failed"), touchpoint("4", 30)]
    sources: dict[tuple[str, int], list[Record]] = {tp: [] for tp in SOURCES} | {SOURCES[0]: records(events)}
    pipeline = Pipeline(routes(), sources)
    pipeline.finish()
    pipeline.frontier(idle=True)
    found, _ = shown(pipeline)
    steps = sorted((s[0] % 3600, r, n) for (s, r), n in found.items() if s[2:] == ("all", "outcome"))
    assert steps == [(10, "good", 1), (30, "bad", 1), (30, "good", 1)]


counts = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 1), st.integers(1, 9)), max_size=40)


@given(st.lists(st.tuples(counts, st.integers(0, 400)), min_size=1, max_size=8), st.integers(1, 60))
def test_passes_of_any_size_take_each_count_once_in_the_order_of_steps(
    told: list[tuple[list[tuple[int, int, int]], int]], most: int
) -> None:
    rules = routes(1)
    steps = Steps(rules, 0)
    for i, field in enumerate(("outcome+", "outcome-")):
        steps.lane(i, ("pay", "all", field))
    truth, seen, ends, clock = Counter[int](), Counter[int](), list[int](), 0
    for cells, ahead in told:
        buckets, lanes, values = (np.array([c[i] for c in cells], np.int64) for i in range(3))
        steps.add(buckets, lanes, values)
        for bucket, _, n in cells:
            truth[max((bucket + 1) * 10, steps.through + 10)] += n
        clock += ahead * 100
        while steps.through < clock:
            end = steps.end(clock, most)
            assert steps.through < end <= clock
            for step in steps.take(end).get("pay", ()):
                ends.append(step.end)
                seen[step.end] += sum(step.events)
    left = sum(steps.waiting()[2].tolist())
    assert ends == sorted(set(ends))
    assert seen == +Counter({end: n for end, n in truth.items() if end <= clock})
    assert left == sum(n for end, n in truth.items() if end > clock)
    assert steps.cells == len(steps.waiting()[0])


def test_a_pass_looks_at_no_more_of_a_backlog_than_it_may_take() -> None:
    steps = Steps(routes(1), 0)
    steps.lane(0, ("pay", "all", "outcome+"))
    hours = 500
    steps.add(np.arange(hours * 360), np.zeros(hours * 360, np.int64), np.ones(hours * 360, np.int64))
    passes = 0
    while steps.through < hours * 3600:
        steps.take(steps.end(hours * 3600, 1000))
        passes += 1
        assert sum(len(buckets) for buckets, _, _ in steps._runs) <= 1000 + 360
    assert passes <= hours
