"""health.py: a fold over a log, whatever the log holds twice, half or late."""

from collections import Counter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import names
from streams.health import WORKERS, Health
from streams.tally import Tally
from streams.view import view
from streams.wire import Frontier, Tallies, decode, encode, expand
from tests.core import BASE_S, HOUR_S, records, routes, touchpoint
from tests.expected import WINDOWS
from tests.logs import GOOD, ONE, T0, folded, logged
from tests.pipeline import SOURCES, Pipeline, budget_of, split, totals_of, window_of
from tests.strategies import distinct, events_of

ROUTES = routes()
S = 1_000_000


def state(health: Health) -> object:
    """All that is ever shown."""
    v = view(health)
    return (
        v.clock,
        totals_of([health]),
        [window_of([health], w) for w in WINDOWS],
        budget_of([health]),
        sorted(v.series),
        sorted(map(repr, v.scores)),
        v.waits,
        sorted(v.moments),
    )


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    """Logs that hold flushes of four sources, cut anywhere, with crashes, repeats and frontiers."""
    sources = {s: records(distinct(draw(st.lists(events_of(s[0]), max_size=10)))) for s in SOURCES}
    p = Pipeline(ROUTES, sources, chunked=draw(st.booleans()))
    for _ in range(draw(st.integers(1, 15))):
        source = draw(st.sampled_from(SOURCES))
        match draw(st.sampled_from(["feed", "feed", "flush", "kill in a flush", "frontier"])):
            case "feed":
                p.feed(source, draw(st.integers(1, 9)))
            case "flush":
                p.flush(source)
            case "frontier":
                p.frontier(draw(st.booleans()), (BASE_S + draw(st.integers(0, 9 * HOUR_S))) * S)
            case _:
                sent = p.prepare(source)
                if sent is not None:
                    p.send(source, sent, len(sent.rows), {t: draw(st.integers(0, 2)) for t in p.tallies})
                p.restart(source)
    p.finish()
    return p


@settings(max_examples=60)
@given(pipelines(), st.data())
def test_a_snapshot_at_any_offset_and_the_log_from_there_is_the_same_as_the_whole_log(
    p: Pipeline, data: st.DataObject
) -> None:
    for partition, log in p.tallies.items():
        whole = folded(ROUTES, log, 4, partition)
        cut = data.draw(st.integers(0, len(log)))
        blob = folded(ROUTES, log[:cut], 4, partition).snapshot()
        restored = Health(ROUTES, partition, 4)
        restored.restore(blob)
        assert restored.offset == cut - 1
        begin = data.draw(st.integers(0, cut))  # what it has had already may come again
        for offset in range(begin, len(log)):
            restored.apply(offset, log[offset])
        assert state(restored) == state(whole)
        again = Health(ROUTES, partition, 4)
        again.restore(restored.snapshot())
        assert state(again) == state(whole)


@settings(max_examples=60)
@given(pipelines(), st.data())
def test_what_a_log_has_lost_after_a_snapshot_is_counted_once_every_source_has_told_everything(
    p: Pipeline, data: st.DataObject
) -> None:
    """It may be cut anywhere, in the middle of a set too."""
    logs = {partition: list(log) for partition, log in p.tallies.items()}
    for tp, owner in p.owners.items():
        owner.tally.whole = owner.tally.offset >= 0
        p.flush(tp)
    for partition, log in p.tallies.items():
        known = data.draw(st.integers(0, len(logs[partition])))
        begin = data.draw(st.integers(known, len(logs[partition])))
        health = Health(ROUTES, partition, 4)
        health.restore(folded(ROUTES, log[:known], 4, partition).snapshot())
        for offset in range(begin, len(log)):
            health.apply(offset, log[offset])
        marks = [(topic, n, owner.tally.watermark, False) for (topic, n), owner in p.owners.items()]
        health.apply(len(log), encode(Frontier("w", 0, marks)))
        assert health.whole
        assert totals_of([health]) == totals_of([folded(ROUTES, logs[partition], 4, partition)])


def test_a_reader_that_was_not_told_everything_by_every_source_knows_it() -> None:
    tally = Tally(*T0, ONE)
    tally.run(records([touchpoint("1")]), 10**18)
    health = folded(ONE, [m for t, m in tally.flush("f0", snapshot=False).messages if t >= 0])
    assert not health.whole
    tally.whole = True
    for offset, (_, message) in enumerate(tally.flush("f1", snapshot=False).messages, health.offset + 1):
        health.apply(offset, message)
    assert health.whole
    assert totals_of([health]) == {GOOD: 1}


def test_a_reader_knows_that_it_was_told_everything_once_it_has_heard_of_every_source() -> None:
    """The log is cut; what one worker says comes before the other worker's first word."""
    tally = Tally(*T0, ONE)
    tally.run(records([touchpoint("1")]), 10**18)
    tally.whole = True
    health = folded(ONE, [m for _, m in tally.flush("f0", snapshot=False).messages], expected=2)
    assert not health.whole
    health.apply(health.offset + 1, encode(Frontier("w2", 0, [(names.FEEDBACK, 0, None, True)])))
    assert health.whole


def test_what_time_it_is_is_said_by_the_broker_where_it_stamps_records_and_else_by_the_worker() -> None:
    """A worker's clock that was set forward would have minutes judged that are not over."""
    tally = Tally(*T0, ONE)
    tally.run(records([touchpoint("1")]), 10**18)
    log = [m for _, m in tally.flush("f0", snapshot=False).messages]
    last = BASE_S * S
    idle = encode(Frontier("w", last + 3000 * S, [(*T0, last, True)]))
    stamped, unstamped = folded(ONE, log), folded(ONE, log)
    stamped.apply(stamped.offset + 1, idle, last + 60 * S)
    unstamped.apply(unstamped.offset + 1, idle)
    assert (stamped.clock.now, unstamped.clock.now) == (last + 60 * S, last + 3000 * S)


@settings(max_examples=40)
@given(pipelines())
def test_totals_never_decrease_while_messages_are_applied_and_the_clock_never_goes_back(p: Pipeline) -> None:
    for partition, log in p.tallies.items():
        health = Health(ROUTES, partition, 4)
        before, clock = Counter[tuple[str, str, str, str]](), 0
        for offset, message in enumerate(log):
            health.apply(offset, message)
            after = totals_of([health])
            assert before <= after
            assert clock <= health.clock.now
            before, clock = after, health.clock.now


@settings(max_examples=40)
@given(pipelines(), st.data())
def test_messages_that_come_again_at_any_later_time_change_nothing(p: Pipeline, data: st.DataObject) -> None:
    for partition, log in p.tallies.items():
        longer = list(log)
        for _ in range(data.draw(st.integers(0, 5)) if log else 0):
            i = data.draw(st.integers(0, len(log) - 1))
            if isinstance(m := decode(log[i]), Tallies) and m.chunks == 1:
                at = longer.index(log[i]) + 1
                longer.insert(data.draw(st.integers(at, len(longer))), log[i])
        assert state(folded(ROUTES, longer, 4, partition)) == state(folded(ROUTES, log, 4, partition))


def test_a_set_counts_only_when_it_is_whole() -> None:
    first, second = split(logged([touchpoint()])[0])
    assert totals_of([folded(ONE, [first])]) == {}
    assert totals_of([folded(ONE, [first, first])]) == {}
    assert totals_of([folded(ONE, [second, first])]) == {}
    assert totals_of([folded(ONE, [first, second])]) == {GOOD: 1}
    assert totals_of([folded(ONE, [first, first, second])]) == {GOOD: 1}
    assert totals_of([folded(ONE, [second, first, second, first, second])]) == {GOOD: 1}


def test_a_log_that_begins_within_a_set_counts_none_of_it_and_its_snapshot_restores() -> None:
    _, lost = split(logged([touchpoint("1")])[0])
    _, later = logged([touchpoint("1")], [touchpoint("2")])
    health, restored = folded(ONE, [lost]), Health(ONE, 0, 1)
    restored.restore(health.snapshot())
    for each in (health, restored):
        assert totals_of([each]) == {}
        each.apply(1, later)
        assert totals_of([each]) == {GOOD: 2}


def test_two_owners_whose_chunks_interleave_lose_nothing() -> None:
    """A zombie's set of two chunks arrives between the chunks of its successor's."""
    zombie = split(logged([touchpoint("1")])[0])
    [told] = logged([touchpoint("1"), touchpoint("2")])
    successor = split(told.replace(b"f0", b"g0"))  # the id of the set
    log = [zombie[0], successor[0], zombie[1], successor[1]]
    assert totals_of([folded(ONE, log)]) == {GOOD: 2}


def test_a_flush_that_is_behind_what_its_source_has_told_changes_nothing() -> None:
    one, two = logged([touchpoint("1")], [touchpoint("2")])
    assert totals_of([folded(ONE, [two, one])]) == {GOOD: 2}


def test_zero_is_shown_for_all_and_declared_values_before_any_event() -> None:
    v = view(Health(ONE, 0, 4))
    assert {m for m, _, _ in v.series} == {"pay", "browse"}
    assert {s for _, s, _ in v.series} == {"all", "plan=free", "plan=pro"}
    assert len(v.series) == 12 * 3
    assert not v.ever.good.any()
    assert not v.ever.bad.any()


def test_an_offset_that_was_read_before_is_not_read_again() -> None:
    [message] = logged([touchpoint()])
    health = folded(ONE, [message])
    health.apply(0, b"not even a message")
    assert totals_of([health]) == {GOOD: 1}


def test_a_worker_finds_its_own_frontier_in_the_log() -> None:
    health = folded(
        ONE, [encode(Frontier("me", 5, [], 1)), encode(Frontier("other", 9, [], 4)), encode(Frontier("me", 3, [], 2))]
    )
    assert health.workers == {"me": 2, "other": 4}


@settings(max_examples=20)
@given(pipelines())
def test_a_snapshot_from_before_its_numbers_were_squeezed_restores_the_same(p: Pipeline) -> None:
    def plain(squeezed: bytes) -> bytes:
        return expand(squeezed).astype("<i8").tobytes()

    for health in p.healths():
        blob = health.snapshot()
        s = msgspec.msgpack.decode(blob)
        assert s.pop() is True
        s[3] = [[*x[:3], *map(plain, x[3:6]), *x[6:]] for x in s[3]]
        s[7:9] = map(plain, s[7:9])
        s[9] = [[ring[0], *map(plain, ring[1:])] for ring in s[9]]
        s[13:16] = map(plain, s[13:16])
        old, new = (Health(ROUTES, health.partition, len(p.sources)) for _ in range(2))
        old.restore(msgspec.msgpack.encode(s))
        new.restore(blob)
        assert old.snapshot() == new.snapshot()


def test_workers_whose_last_word_is_long_past_are_forgotten_and_a_live_one_never() -> None:
    log = [encode(Frontier(f"w{i}", 0, [], i)) for i in range(3 * WORKERS)]
    log = [m for i, m in enumerate(log) for m in ([m, encode(Frontier("live", 0, [], i))] if i % 500 == 0 else [m])]
    health = folded(ONE, log)
    assert len(health.workers) == WORKERS
    assert health.workers["live"] == 2500
    assert health.workers[f"w{3 * WORKERS - 1}"] == 3 * WORKERS - 1


def test_memory_of_told_cells_is_bounded_by_the_allowed_lateness() -> None:
    batches = [[touchpoint(f"{i}", i * 60.0)] for i in range(0, 600)]
    health = folded(ONE, logged(*batches))
    [known] = health.sources.values()
    assert 60 <= len(known.cells.keys) <= 63
    assert totals_of([health]) == {GOOD: 600}


# The clock, from the log


def test_the_clock_stands_until_all_sources_have_spoken_and_an_idle_one_does_not_hold_it() -> None:
    [message] = logged([touchpoint("1", 60)])
    other = (names.FEEDBACK, 0)
    base = BASE_S * S
    assert folded(ONE, [message], 2).clock.now == 0
    assert folded(ONE, [message, encode(Frontier("w", 0, [(*other, None, True)]))], 2).clock.now == base + 60 * S
    log = [message, encode(Frontier("w", 0, [(*other, base, False)]))]
    assert folded(ONE, log, 2).clock.now == base
    log.append(encode(Frontier("w", base + 90 * S, [(*other, base, True), (*T0, base + 60 * S, True)])))
    assert folded(ONE, log, 2).clock.now == base + 90 * S
