"""The consumer: what it hands out and in which order, its seeks, commits and progress."""

import asyncio
import threading
from typing import Any, cast

import pytest
from aiokafka.consumer import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.threads import QueueServiceThread

from agents.transport import (
    IDLE_FETCH_MS,
    MOVING_FETCH_MS,
    Batch,
    BatchConsumer,
    BatchSchema,
    BatchThread,
)
from streams.errors import StateError
from tests.unconnected import a_consumer, an_app

Thread = driver.AIOKafkaConsumerThread


class Fetched:
    """A record."""

    timestamp, timestamp_type = 1000, 1

    def __init__(self, offset: int) -> None:
        self.offset = offset


def a_batch(start: int, end: int, records: range | None = None) -> Batch:
    out = Batch(map(Fetched, range(start, end) if records is None else records))
    out.start, out.end = start, end
    return out


def handed_out(
    fetches: list[tuple[str, Batch]], expected: dict[str, int], delivered: dict[str, int] | None = None
) -> tuple[list[tuple[str, int, int]], list[tuple[str, int]]]:
    """(topic, offset of the message, records) of what a consumer hands out, and the (topic, offset) of its seeks."""

    async def run() -> tuple[list[tuple[str, int, int]], list[tuple[str, int]]]:
        app = an_app()
        app.tables._changelogs["log"] = None
        consumer = await a_consumer(app)
        consumer._active_partitions = {TP("t", 0), TP("log", 0)}
        consumer.expected = {TP(t, 0): o for t, o in expected.items()}
        consumer.delivered = {TP(t, 0): o for t, o in (delivered or {}).items()}
        consumer.opened.set()
        out = []
        for topic, batch in fetches:
            consumer.fetches.append({TP(topic, 0): batch})
            async for tp, message in consumer.getmany(timeout=1.0):
                out.append((tp.topic, message.offset, len(message.value)))
        return out, [(tp.topic, o) for tp, o in consumer.seeks]

    return asyncio.run(run())


def test_nothing_is_handed_out_before_every_partition_is_where_it_is_to_be_read_from() -> None:
    """Faust empties its queues after the last seek (FlowControlEvent.resume): what lay there would be lost."""

    async def run() -> list[int]:
        app = an_app()
        consumer = await a_consumer(app)
        tps = {TP("t", 0), TP("t", 1)}
        cast(Any, consumer).assignment = lambda: tps
        consumer._active_partitions = tps
        consumer.resume_flow()  # as recovery does, before anything is sought
        consumer.expected[TP("t", 0)] = 5
        consumer.fetches.append({TP("t", 0): a_batch(5, 9)})
        seen: list[int] = []

        async def read() -> None:
            async for _, message in consumer.getmany(timeout=1.0):
                seen.append(message.offset)

        reading = asyncio.ensure_future(read())
        for _ in range(20):
            await asyncio.sleep(0)
        assert seen == []
        consumer.expected[TP("t", 1)] = 0
        app.flow_control.resume()
        consumer.resume_flow()
        await reading
        return seen

    assert asyncio.run(run()) == [8]


def test_a_batch_that_does_not_begin_where_the_last_one_ended_is_fetched_anew() -> None:
    got, seeks = handed_out([("t", a_batch(7, 9)), ("t", a_batch(5, 9)), ("t", a_batch(9, 12))], {"t": 5})
    assert got == [("t", 8, 4), ("t", 11, 3)]
    assert seeks == [("t", 5)]


def test_where_a_seek_does_not_help_what_lay_before_is_gone() -> None:
    got, seeks = handed_out([("t", a_batch(7, 9)), ("t", a_batch(7, 9))], {"t": 5})
    assert got == [("t", 8, 2)]
    assert seeks == [("t", 5)]


def test_a_batch_knows_what_was_handed_out_before_it() -> None:
    """Markers, and what was deleted, are handed to nobody: only records count."""
    markers, deleted = a_batch(9, 12, range(0)), a_batch(15, 17)
    batches = [a_batch(5, 9), markers, a_batch(12, 13), deleted, deleted]
    got, _ = handed_out([("t", batch) for batch in batches], {"t": 5}, {"t": 4})
    assert got == [("t", 8, 4), ("t", 12, 1), ("t", 16, 2)]
    assert [b.follows for b in (batches[0], batches[2], deleted)] == [4, 8, 12]


def test_a_batch_is_refused_where_the_one_before_it_never_came() -> None:
    batch = a_batch(9, 12)
    batch.follows = 8
    for taken in (8, 9, 20):  # what was taken already is skipped
        batch.continues(TP("t", 0), taken)
    with pytest.raises(
        StateError, match=r"^t/0: records up to offset 8 were handed out, those after 7 were not taken"
    ):
        batch.continues(TP("t", 0), 7)


@pytest.mark.parametrize(
    ("expected", "skipped", "warned"),
    [
        (5, {TP("t", 0): 2}, ["t/0: offsets 5 to 6 were deleted before they were read, by retention or by hand"]),
        (0, {}, []),  # nothing was ever read of it: a first start on a topic that is old
        (7, {}, []),
    ],
)
def test_what_was_deleted_before_it_was_read_is_counted_and_said(
    expected: int, skipped: dict[TP, int], warned: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        consumer = await a_consumer(an_app())
        consumer.expected = {TP("t", 0): expected}
        for batch in (a_batch(7, 9), a_batch(7, 9)):
            if await consumer._in_order(TP("t", 0), batch):
                break
        assert await consumer._in_order(TP("t", 0), a_batch(9, 12))
        assert consumer.skipped == skipped

    asyncio.run(run())
    assert [r.getMessage() for r in caplog.records if r.name == "molehill"] == warned


def test_a_partition_that_is_not_positioned_yet_hands_nothing_out() -> None:
    assert handed_out([("t", a_batch(0, 3)), ("log", a_batch(0, 3))], {}) == ([], [])


def test_a_changelog_is_at_its_end_though_compaction_has_taken_its_last_records() -> None:
    """Recovery compares a message's offset with the log's last one."""
    fetches = [("log", a_batch(0, 5, range(3))), ("log", a_batch(5, 9, range(0))), ("t", a_batch(0, 4, range(0)))]
    got, _ = handed_out(fetches, {"log": 0, "t": 0})
    assert got == [("log", 4, 3), ("log", 8, 0)]


def test_what_faust_hands_out_keeps_its_records_and_passes_undecoded() -> None:
    async def run() -> None:
        topic = an_app().topic("t", schema=BatchSchema(), key_type=bytes, value_type=bytes)
        batch = a_batch(0, 3)
        message = ConsumerMessage(
            "t", 0, 2, 1.0, 1, cast(Any, []), b"\xff", cast(Any, batch), None, 0, 0, TP("t", 0), generation_id=1
        )
        event = await topic.decode(message, propagate=True)
        assert event.value is batch
        assert event.message.offset == 2

    asyncio.run(run())


@pytest.mark.parametrize("ours", [True, False], ids=["our own state", "stock"])
def test_reading_begins_where_our_state_is_whatever_is_committed(ours: bool) -> None:
    """Stock begins at the committed offset, which the state may be ahead of or behind."""
    ahead, behind = TP("t", 0), TP("t", 1)
    committed, state = {ahead: 40, behind: 7}, {ahead: 5, behind: 9}

    class Thread:
        def assignment(self) -> set[TP]:
            return set(committed)

        async def seek_to_committed(self) -> dict[TP, int]:
            return committed

    async def run() -> None:
        consumer: Any = await a_consumer(an_app())
        consumer._thread = Thread()
        consumer.positions = lambda assigned: {tp: state[tp] for tp in assigned}
        consumer.delivered = {ahead: 39}
        if not ours:
            await driver.Consumer.perform_seek(consumer)
            assert (consumer.seeks, consumer._read_offset) == ([], committed)
            return
        await consumer.perform_seek()
        assert dict(consumer.seeks) == consumer._read_offset == consumer.expected == state
        assert consumer.delivered == {ahead: 4, behind: 8}
        assert not await consumer._in_order(ahead, a_batch(40, 41))  # fetched from the committed offset before
        assert await consumer._in_order(ahead, a_batch(5, 41))

    asyncio.run(run())


def test_recovery_seeks_its_changelogs_by_what_the_consumer_notes() -> None:
    async def run() -> None:
        app = an_app()
        consumer = await a_consumer(app)
        asked: list[Any] = []

        class Thread:
            async def seek_wait(self, partitions: Any) -> None:
                asked.append(dict(partitions))

        cast(Any, consumer)._thread = Thread()
        a, b = TP("log", 0), TP("log", 1)
        await Recovery(app, app.tables)._seek_offsets(consumer, {a, b}, cast(Any, {a: -1, b: 7}), "active")
        assert asked == [{a: 0, b: 7}]
        assert consumer.expected == {a: 0, b: 7}

    asyncio.run(run())


def test_acks_commit_nothing_and_commits_that_failed_are_made_again() -> None:
    async def run() -> None:
        consumer: Any = await a_consumer(an_app())
        tp = TP("t", 0)
        consumer._acked[tp] = [1, 2, 3]
        consumer._acked_index[tp] = {1, 2, 3}
        assert consumer._filter_committable_offsets([tp]) == {}
        assert not consumer._acked[tp]
        answers = [False, True]
        asked = []

        async def commit(offsets: Any) -> bool:
            asked.append(dict(offsets))
            return answers.pop(0)

        consumer._commit = commit
        for _ in range(3):
            await consumer.commit_state({tp: 4})
        assert asked == [{tp: 4}, {tp: 4}]

    asyncio.run(run())


def test_progress_is_read_from_what_the_fetches_have_told() -> None:
    async def run() -> None:
        consumer: Any = await a_consumer(an_app())
        consumer._thread._consumer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:9")
        consumer._thread._consumer._closed = True  # nothing to close: it was never started
        subscription = consumer._thread._consumer._subscription
        tp = TopicPartition("t", 0)
        assert consumer.progress(tp) == (None, None)
        subscription.subscribe({"t"})
        subscription.assign_from_subscribed([tp])
        assert consumer.progress(tp) == (None, None)
        assert consumer.progress(TopicPartition("other", 0)) == (None, None)
        subscription.seek(tp, 5)
        state = subscription.subscription.assignment.state_value(tp)
        state.highwater = 9
        assert consumer.progress(tp) == (None, 9)  # nothing is to be handed out yet
        consumer.expected[TP("t", 0)] = 5
        assert consumer.progress(tp) == (5, 9)
        state.lso = 7  # an open transaction: what is behind it cannot be read yet
        assert consumer.progress(tp) == (5, 7)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("thread", "level", "ms"),
    [(Thread, "read_uncommitted", IDLE_FETCH_MS), (BatchThread, "read_committed", MOVING_FETCH_MS)],
)
def test_only_our_consumer_leaves_out_what_was_aborted_and_begins_without_patience(
    thread: Any, level: str, ms: int
) -> None:
    async def run() -> None:
        app = an_app()
        app.conf.consumer_group_instance_id = "one"
        consumer = await a_consumer(app)
        made = thread(consumer, loop=asyncio.get_running_loop(), beacon=consumer.beacon)
        found: Any = made._create_worker_consumer(consumer.transport)
        found._closed = True
        assert (found._isolation_level, found._fetch_max_wait_ms) == (level, ms)
        assert found._group_instance_id == "one"

    asyncio.run(run())


def test_a_seek_runs_in_the_consumers_own_thread() -> None:
    """aiokafka deletes what it has fetched: no other thread may drain it meanwhile."""
    where: list[tuple[int, TP, int]] = []

    class Own(QueueServiceThread):
        def seek(self, partition: TP, offset: int) -> None:
            where.append((threading.get_ident(), partition, offset))

    async def run() -> None:
        consumer = BatchConsumer.__new__(BatchConsumer)
        async with Own() as thread:
            consumer._thread = cast(Any, thread)
            await consumer._seek(TP("t", 0), 5)

    asyncio.run(run())
    ((ident, *what),) = where
    assert (ident != threading.get_ident(), what) == (True, [TP("t", 0), 5])
