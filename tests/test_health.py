"""health.py: a fold over a log, whatever the log holds twice, half or late; and admission, decided once."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import names
from streams.health import WORKERS, Health
from streams.route import Routes, partition_of
from streams.tally import Tally
from streams.view import view
from streams.wire import Frontier, Tallies, decode, encode, expand
from tests.core import BASE_S, HOUR_S, NEWLY, TEXT, Event, records, routes, touchpoint
from tests.expected import WINDOWS
from tests.pipeline import SOURCES, Pipeline, budget_of, split, totals_of, window_of
from tests.strategies import distinct, events_of

ROUTES = routes()
ONE = routes(1)  # one tallies partition: it owns everything
T0 = (names.TOUCHPOINTS, 0)
GOOD = ("pay", "all", "outcome", "good")
S = 1_000_000


def folded(routes: Routes, log: list[bytes], expected: int = 1, partition: int = 0) -> Health:
    health = Health(routes, partition, expected)
    for offset, message in enumerate(log):
        health.apply(offset, message)
    return health


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


def logged(*batches: list[Event], routes: Routes = ONE) -> list[bytes]:
    """The log of one source, with a flush after each batch."""
    tally, first, out = Tally(*T0, routes), 0, []
    for i, batch in enumerate(batches):
        tally.run(records(batch, first), 10**18)
        first += len(batch)
        out += [m for t, m in tally.flush(f"f{i}", snapshot=False).messages if t >= 0]
    return out


def test_a_set_counts_only_when_it_is_whole() -> None:
    first, second = split(logged([touchpoint()])[0])
    assert totals_of([folded(ONE, [first])]) == {}
    assert totals_of([folded(ONE, [first, first])]) == {}
    assert totals_of([folded(ONE, [second, first])]) == {}
    assert totals_of([folded(ONE, [first, second])]) == {GOOD: 1}
    assert totals_of([folded(ONE, [first, first, second])]) == {GOOD: 1}
    assert totals_of([folded(ONE, [second, first, second, first, second])]) == {GOOD: 1}


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


# Admission


def regions(*values: str) -> list[Event]:
    return distinct([touchpoint(segment={"region": v}) for v in values])


def shown_segments(health: Health) -> dict[str, int]:
    return {s: n for (m, s, _, _), n in totals_of([health]).items() if s.startswith("region=")}


def test_past_the_limit_a_value_counts_as_other_first_come() -> None:
    health = folded(ONE, logged(regions("a", "b", "c", "d", "e", "f", "a", "e", "d")))
    assert shown_segments(health) == {
        "region=a": 2, "region=b": 1, "region=c": 1, "region=d": 2, "region=other": 3,
    }  # fmt: skip


def test_every_moment_has_the_limit_for_itself() -> None:
    some = [touchpoint(moment=m, segment={"region": f"{m}{i}"}) for m in ("pay", "browse") for i in range(5)]
    totals = totals_of([folded(ONE, logged(distinct(some)))])
    by = Counter(m for (m, s, _, _) in totals if s.startswith("region=") and s != "region=other")
    assert by == {"pay": 4, "browse": 4}


def test_a_value_called_other_takes_no_place() -> None:
    health = folded(ONE, logged(regions("other", "a", "b", "c", "d", "e")))
    assert set(shown_segments(health)) == {"region=a", "region=b", "region=c", "region=d", "region=other"}
    assert shown_segments(health)["region=other"] == 2


def test_moments_are_discovered_up_to_the_limit_and_then_count_as_other() -> None:
    some = [touchpoint(moment=f"new-{i}", need_met=False) for i in range(5)] + [touchpoint(moment="new-4")]
    totals = totals_of([folded(ONE, logged(distinct(some)))])
    assert totals == {
        **{(f"new-{i}", "all", "outcome", "good"): 1 for i in range(3)},
        **{(f"new-{i}", "all", "need", "bad"): 1 for i in range(3)},
        ("other", "all", "outcome", "good"): 3,
        ("other", "all", "need", "bad"): 2,
    }


def test_what_was_admitted_stays_and_what_was_not_stays_out_through_a_snapshot() -> None:
    log = logged(regions("a", "b", "c", "d", "e"), [{**e, "id": f"x{e['id']}"} for e in regions("e", "a", "f")])
    assert len(log) == 2
    health = Health(ONE, 0, 1)
    health.restore(folded(ONE, log[:1]).snapshot())
    health.apply(1, log[1])
    assert shown_segments(health) == {"region=a": 2, "region=b": 1, "region=c": 1, "region=d": 1, "region=other": 3}


def test_two_sources_that_admit_in_other_orders_are_shown_as_their_owner_decided() -> None:
    p = Pipeline(
        ONE,
        {
            (names.TOUCHPOINTS, 0): records(regions("a", "b", "c", "d", "e")),
            (names.TOUCHPOINTS, 1): records(regions("e", "d", "c", "b", "a")),
        },
    )
    p.finish()
    assert shown_segments(p.healths()[0]) == {
        "region=a": 2, "region=b": 2, "region=c": 2, "region=d": 2, "region=other": 2,
    }  # fmt: skip


def declared_later(partitions: int, name: str = "new-0") -> Routes:
    return routes(partitions, TEXT + NEWLY.format(name=name))


def elsewhere(partitions: int) -> str:
    """A moment whose owner changes with its declaration."""
    return next(
        n for n in (f"new-{i}" for i in range(99)) if partition_of(n, partitions) != partition_of("", partitions)
    )


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("more", [0, 1])
def test_a_discovered_moment_that_is_declared_keeps_its_totals_at_its_new_owner(partitions: int, more: int) -> None:
    name = elsewhere(3)
    some = [touchpoint(moment=name, segment={"region": "eu"}), touchpoint(moment=name, outcome="failed")]
    some += [touchpoint("later", moment=name)] * more
    old = routes(partitions)
    p = Pipeline(old, {T0: records([{**e, "id": f"{i}"} for i, e in enumerate(some)])})
    p.feed(T0, 2)
    p.flush(T0)
    snapshots = [h.snapshot() for h in p.healths()]
    read = {t: len(log) for t, log in p.tallies.items()}
    p.routes = declared_later(partitions, name)
    p.restart(T0)
    p.finish()
    healths = []
    for partition, log in p.tallies.items():
        health = Health(p.routes, partition, 1)
        health.restore(snapshots[partition])
        for offset in range(read[partition], len(log)):
            health.apply(offset, log[offset])
        healths.append(health)
    p.frontier(idle=True)
    wanted = {
        (name, "all", "outcome", "good"): 1 + more,
        (name, "all", "outcome", "bad"): 1,
        (name, "region=eu", "outcome", "good"): 1,
    }
    assert totals_of(healths) == totals_of(p.healths()) == wanted
    for health in healths:
        health.apply(10**6, p.tallies[0][-1])
    assert window_of(healths, "3d") == wanted


def test_a_moment_past_the_limit_that_is_declared_later_is_measured_under_its_own_name() -> None:
    """Also where one partition owns both the declared moment and the undeclared ones."""
    some = distinct([touchpoint(moment=f"new-{i}") for i in (1, 2, 3, 0)] + [touchpoint(moment="new-0")] * 5)
    p = Pipeline(ONE, {T0: records(some)})
    p.feed(T0, 4)
    p.flush(T0)
    [old] = p.healths()
    assert totals_of([old])["other", "all", "outcome", "good"] == 1
    p.routes = declared_later(1)
    p.restart(T0)
    p.finish()
    new = Health(p.routes, 0, 1)
    new.restore(old.snapshot())
    for offset, message in enumerate(p.tallies[0]):
        new.apply(offset, message)
    assert totals_of([new])["new-0", "all", "outcome", "good"] >= 5


def test_all_is_told_again_to_a_new_owner_that_has_heard_of_later_offsets_already() -> None:
    """The old worker's last tallies reached the broker and its journal entry did not; then the catalogue changed."""
    routes3, there = routes(3), "pay"
    names_of = (f"new-{i}" for i in range(99))
    name = next(n for n in names_of if partition_of(n, 3) == routes3.owner(there) != partition_of("", 3))
    some = distinct([touchpoint(moment=name)] * 2 + [touchpoint(moment=there)] * 4)
    p = Pipeline(routes3, {T0: records(some)})
    p.feed(T0, 2)
    p.flush(T0)
    p.feed(T0, 3)
    sent = p.prepare(T0)
    assert sent is not None
    p.send(T0, sent, 0, dict.fromkeys(p.tallies, 9))
    p.routes = declared_later(3, name)
    p.restart(T0)
    p.feed(T0, 1)
    p.flush(T0)
    p.finish()
    totals = totals_of(p.healths())
    assert totals[there, "all", "outcome", "good"] == 4
    assert totals[name, "all", "outcome", "good"] == 2


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


def test_a_dimension_that_the_catalogue_drops_is_shown_no_more() -> None:
    log = logged(regions("a", "b"))
    less = routes(1, TEXT.replace("  region: {limit: 4}\n", ""))
    health = Health(less, 0, 1)
    health.restore(folded(ONE, log).snapshot())
    assert totals_of([health]) == {GOOD: 2}


def test_memory_of_told_cells_is_bounded_by_the_allowed_lateness() -> None:
    batches = [[touchpoint(f"{i}", i * 60.0)] for i in range(0, 600)]
    health = folded(ONE, logged(*batches))
    [known] = health.sources.values()
    assert 60 <= len(known.cells.keys) <= 63
    assert totals_of([health]) == {GOOD: 600}
