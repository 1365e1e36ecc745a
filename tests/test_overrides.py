"""What agents/transport.py and agents/store.py rely on in Faust and aiokafka.

Two kinds of tests. Small real objects show that the defect is still there (an override that is not needed any more
should go) and that the override mends it. And for what is copied or hooked into, the source itself is compared: a
change there is to be read by a person before the pin in pyproject.toml is moved.
"""

import asyncio
import hashlib
import inspect
import struct
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import faust
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import AIOKafkaConsumer
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import BaseCoordinator, CoordinatorGroupRebalance, GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import CorruptRecordException, GroupAuthorizationFailedError, UnknownTopicOrPartitionError
from aiokafka.producer import AIOKafkaProducer
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from faust.app.base import App
from faust.stores.memory import Store
from faust.streams import Stream
from faust.tables.recovery import Recovery
from faust.transport.base import Transport
from faust.transport.consumer import Consumer, ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from hypothesis import given
from hypothesis import strategies as st
from mode.services import Service
from mode.supervisors import CrashingSupervisor
from mode.threads import MethodQueue, QueueServiceThread
from mode.utils.queues import FlowControlEvent, ThrowableQueue
from yarl import URL

from agents import transport
from agents.store import RowStore, row_table
from agents.transport import (
    Batch,
    BatchConsumer,
    BatchCoordinator,
    BatchProducer,
    BatchSchema,
    BatchThread,
    BatchTransport,
)

# The first 16 hexadecimal digits of the SHA-256 of a function's source. One that differs has been changed upstream:
# read it, see whether our override still holds, and only then write the new one here.
Thread = driver.AIOKafkaConsumerThread
SOURCES: dict[Any, str] = {
    BaseCoordinator._handle_metadata_update: "b2832b6d82bea7c4",
    GroupCoordinator._do_heartbeat: "dc1d6632aaa68e96",
    GroupCoordinator._perform_assignment: "a5cf61fa97320199",
    GroupCoordinator._push_error_to_user: "743ff515bd7e2e38",
    GroupCoordinator.fetch_committed_offsets: "6c049c7379165952",
    GroupCoordinator._do_fetch_commit_offsets: "b0f3598132715552",
    GroupCoordinator._heartbeat_routine: "61d01028952239d0",
    CoordinatorGroupRebalance._on_join_leader: "c57a3e85197dcc20",
    AIOKafkaConsumer.start: "2f1ba70443327538",
    Fetcher.fetched_records: "be4348896b9b66af",
    FetchResult.getall: "3e717e30de5068d5",
    FetchResult.check_assignment: "b5340df67e3f330f",
    PartitionRecords._unpack_records: "b803e6d46480732c",
    Thread.on_start: "38b4e8bd1e10723a",
    Thread._create_worker_consumer: "c2701bfc3e6f6cad",
    Thread._fetch_records: "39a2c6c79fc1455a",
    Thread._commit: "932852ce7a23f658",
    Thread._seek_wait: "9d221e816d940467",
    Consumer.perform_seek: "0e8c130ff4b0afd8",
    Consumer.getmany: "4b168d84882a70d6",
    Consumer._wait_next_records: "6218e1969a636b3f",
    Consumer._drain_messages: "44a2500309e83c63",
    Consumer._new_offset: "1d2c7ea89a7ad4f1",
    Consumer._filter_committable_offsets: "dc5e9baf5d994485",
    Consumer.on_partitions_assigned: "29ce96596f05a18c",
    Consumer.on_partitions_revoked: "d04b7ae72c6fc206",
    Consumer.seek: "b86a9fe05f956b30",
    ThreadDelegateConsumer._seek: "4f95c631420410a5",
    Thread.seek: "1498560d05f02582",
    Fetcher.seek_to: "f0ba6aba6c22ef83",
    Recovery._add: "1584a197b11bf835",
    Recovery.on_rebalance: "aa4d997a1795ceae",
    Recovery._restart_recovery.fun: "6bd8a8558a2dffe4",
    Recovery._build_offsets: "27eec86be06cb51f",
    Recovery._seek_offsets: "19598ca63d94d250",
    Recovery._slurp_changelogs.fun: "7825c7e50f766d5a",
    Recovery.on_recovery_completed: "6ef567acf072e46d",
    Recovery.active_remaining: "0dcc38568ad5018b",
    Recovery._resume_streams: "d986a6710c1aca98",
    Recovery.flush_buffers: "6fa9c17f1071018c",
    Stream._py_aiter: "3a48ee257a65435b",
    Stream._c_aiter: "fa44582a5882e9df",
    Transport.create_producer: "2de47ba78c944b4a",
    driver.Producer.send: "0b5bd08f52e5e2a9",
    driver.Producer._ensure_producer: "5592a4bbdf251325",
    AIOKafkaProducer.send: "08ce81263f439838",
    AIOKafkaProducer.create_batch: "c4efda4bb7a09741",
    AIOKafkaProducer.send_batch: "bf42b0f0c5c0646d",
    Service.add_future: "515996de67f8a056",
    Service._execute_task: "2a976a30f01cbbef",
    CrashingSupervisor._contribute_to_service: "02faf60d8b7faf3e",
    CrashingSupervisor.wakeup: "4200e8caee844e5a",
    QueueServiceThread.call_thread: "479edda75b54734b",
    MethodQueue.call: "57bd4157ba4e349f",
    MethodQueue._process_enqueued: "d88a086d148c8012",
    FlowControlEvent.clear: "dda5e40d80288a8f",
    ThrowableQueue.clear: "d18f09e451acf62e",
    App._on_partitions_revoked: "d5c895bbe57dc73a",
    App._on_partitions_assigned: "de932b7927db85b3",
}


@pytest.mark.parametrize("function", SOURCES, ids=lambda f: f.__qualname__)
def test_what_an_override_copies_or_hooks_into_is_as_it_was_read(function: Any) -> None:
    found = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]
    assert found == SOURCES[function], f"{function.__qualname__} has changed upstream"


def test_the_compiled_stream_is_as_it_was_read() -> None:
    """It passes over what an agent's queue still holds of an assignment before, as `_py_aiter` does."""
    source = (Path(faust.__file__).parent / "_cython" / "streams.pyx").read_bytes()
    assert hashlib.sha256(source).hexdigest()[:16] == "0041622f4a251188"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (BatchCoordinator, GroupCoordinator),
        (BatchThread, Thread),
        (BatchConsumer, driver.Consumer),
        (BatchProducer, driver.Producer),
        (BatchSchema, faust.Schema),
        (RowStore, Store),
    ],
    ids=lambda c: c.__name__,
)
def test_an_override_takes_what_upstream_passes(ours: type, theirs: type) -> None:
    """A renamed method would be dead code; a new parameter a TypeError at the worst time."""
    own = {n: f for n, f in vars(ours).items() if inspect.isfunction(f) and not n.startswith("__")}
    shared = [n for n in own if hasattr(theirs, n)]
    assert shared
    for name in shared:
        known = inspect.signature(getattr(theirs, name)).parameters
        taken = inspect.signature(own[name]).parameters
        variadic = any(p.kind is p.VAR_KEYWORD for p in known.values())
        assert list(known) == list(taken) or variadic, (
            f"{ours.__name__}.{name}{tuple(taken)}, upstream {tuple(known)}"
        )
    added = {n for n in own if n not in shared}
    assert added <= {"forget", "commit_state", "progress", "_restart", "_in_order", "take", "committed", "cut"}, added


# Fetching: our own unpacking against aiokafka's


ATTRIBUTES_AT, CRC_AT, CONTROL = 21, 17, 0x20
Piece = tuple[str, int, int]  # kind, producer, records


def record_batch(base: int, kind: str, producer: int, keys: list[bytes | None], attributes: int = 0) -> bytes:
    """A batch as a broker sends it: with its offset, and the flag of a control batch."""
    builder: Any = DefaultRecordBatchBuilder(2, 0, int(kind != "plain"), producer, 0, 0, 1 << 20)
    for i, key in enumerate(keys):
        builder.append(i, 1000 + i, key, b"v%d" % (base + i), [("h", b"1")])
    data = bytearray(builder.build())
    data[:8] = struct.pack(">q", base)
    (flags,) = struct.unpack_from(">h", data, ATTRIBUTES_AT)
    struct.pack_into(">h", data, ATTRIBUTES_AT, flags | attributes)
    struct.pack_into(">I", data, CRC_AT, calc_crc32c(data[ATTRIBUTES_AT:]))
    return bytes(data)


def fetched(pieces: list[Piece]) -> tuple[bytes, list[tuple[int, int]], int]:
    """A log's bytes, the (producer, first offset) of its aborted transactions, and its end."""
    out, aborted, offset = b"", [], 0
    began: dict[int, int] = {}
    for kind, producer, count in pieces:
        if kind in ("abort", "commit"):
            marker = struct.pack(">hh", 0, int(kind == "commit"))
            out += record_batch(offset, kind, producer, [marker], CONTROL)
            if kind == "abort" and producer in began:
                aborted.append((producer, began[producer]))
            began.pop(producer, None)
            offset += 1
        else:
            if kind == "open":
                began.setdefault(producer, offset)
            out += record_batch(offset, kind, producer if kind == "open" else -1, [b"k"] * count)
            offset += count
    return out, aborted, offset


async def result_of(pieces: list[Piece], start: int) -> FetchResult:
    data, aborted, _ = fetched(pieces)
    subscription = SubscriptionState()
    tp = TopicPartition("t", 0)
    subscription.subscribe({"t"})
    subscription.assign_from_subscribed([tp])
    subscription.seek(tp, start)
    records = PartitionRecords(tp, MemoryRecords(data), list(aborted), start, None, None, True, READ_COMMITTED)
    assignment = subscription.subscription.assignment
    return FetchResult(tp, assignment=assignment, partition_records=records, backoff=0)


LOGS = st.lists(
    st.tuples(st.sampled_from(["plain", "open", "abort", "commit"]), st.integers(1, 3), st.integers(1, 5)),
    min_size=1,
    max_size=12,
)


@given(LOGS, st.integers(0, 20))
def test_a_fetch_holds_the_records_that_aiokafka_would_give_one_by_one(pieces: list[Piece], start: int) -> None:
    async def compare() -> None:
        theirs, ours = await result_of(pieces, start), await result_of(pieces, start)
        state = ours._assignment.state_value(ours._topic_partition)
        want = theirs.getall()
        got = transport._records(ours)
        assert got is not None
        assert [(r.offset, r.key, r.value, r.timestamp, tuple(r.headers)) for r in got] == [
            (r.offset, r.key, r.value, r.timestamp, r.headers) for r in want
        ]
        assert (got.start, got.end) == (start, state.position)
        assert state.position == theirs._assignment.state_value(theirs._topic_partition).position
        assert not ours.has_more()

    asyncio.run(compare())


def test_a_fetch_from_before_a_seek_is_dropped_and_a_broken_one_raises() -> None:
    async def check() -> None:
        stale = await result_of([("plain", 1, 5)], 0)
        stale._assignment.state_value(stale._topic_partition).seek(3)
        assert transport._records(stale) is None
        data, _, _ = fetched([("plain", 1, 5)])
        broken = await result_of([("plain", 1, 5)], 0)
        broken._partition_records._records = MemoryRecords(data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(CorruptRecordException):
            transport._records(broken)

    asyncio.run(check())


def test_what_is_drained_makes_room_for_the_next_fetch() -> None:
    """`_wait_consume_future` is what the fetcher's own task waits for before it asks for more."""

    async def check() -> None:
        client = AIOKafkaClient(bootstrap_servers="127.0.0.1:9")
        result = await result_of([("plain", 1, 5)], 0)
        fetcher = Fetcher(client, SubscriptionState())
        try:
            tp = TopicPartition("t", 0)
            fetcher._records[tp] = result
            room = fetcher._wait_consume_future = asyncio.get_running_loop().create_future()
            assert transport._drain(fetcher, {TopicPartition("other", 0), tp}).keys() == {tp}
            assert room.done()
            assert not fetcher._records
            waiter = fetcher._create_fetch_waiter()
            fetcher._notify(waiter)
            await waiter
        finally:
            await fetcher.close()

    asyncio.run(check())


# The group


class Broker:
    """Stands for the network: what a coordinator's requests are answered with."""

    def __init__(self, error_code: int = 0) -> None:
        self.error_code = error_code
        self.asked = 0.0  # when the last request came, by time.monotonic()

    async def __call__(self, request: Any) -> Any:
        self.asked = time.monotonic()
        return self


class Crashed:
    """Stands for the thread of a consumer."""

    def __init__(self) -> None:
        self.consumer = cast(Any, type("Heard", (), {"heard": 0.0}))()
        self.reasons: list[BaseException] = []

    async def crash(self, reason: BaseException) -> None:
        self.reasons.append(reason)


def with_coordinator(
    check: Callable[[Any, Crashed], Awaitable[None]], assignor: Any = None, kind: type = BatchCoordinator
) -> None:
    """Runs a check with a real coordinator that has no broker."""

    async def run() -> None:
        client = AIOKafkaClient(bootstrap_servers="127.0.0.1:9")
        subscription = SubscriptionState()
        subscription.register_fetch_waiters(set())  # a fetcher's
        coordinator: Any = GroupCoordinator(client, subscription, assignors=(assignor,), enable_auto_commit=False)
        crashed = Crashed()
        coordinator.thread = crashed
        coordinator.__class__ = kind
        await check(coordinator, crashed)
        await coordinator.close()

    asyncio.run(run())


@pytest.mark.parametrize(("code", "answered"), [(0, True), (27, True), (25, False), (15, False)])
def test_a_heartbeat_that_the_coordinator_answers_is_heard(code: int, answered: bool) -> None:
    """No error and "a rebalance is going on" (27) count us in; an unknown member (25) and no coordinator do not."""

    async def check(coordinator: Any, crashed: Crashed) -> None:
        coordinator._send_req = Broker(code)
        assert await coordinator._do_heartbeat() is answered
        assert bool(crashed.consumer.heard) is answered

    with_coordinator(check)


def test_a_heartbeat_counts_from_when_it_was_sent() -> None:
    """A process that stands still between a heartbeat and its answer reads it when it goes on, however late."""

    async def check(coordinator: Any, crashed: Crashed) -> None:
        broker = coordinator._send_req = Broker()
        await coordinator._do_heartbeat()
        assert 0 < crashed.consumer.heard <= broker.asked
        assigned = crashed.consumer.heard = broker.asked + 1e6  # meanwhile
        await coordinator._do_heartbeat()
        assert crashed.consumer.heard == assigned

    with_coordinator(check)


TOPICS = {"a": 4, "b": 4}


class Members:
    """A join response with one member."""

    API_VERSION = 5
    group_protocol = "faust"

    def __init__(self, assignor: Any) -> None:
        self.members = [("m1", "i1", assignor.metadata(set(TOPICS)).encode())]


def metadata(topics: dict[str, int]) -> Any:
    """A broker's answer about topics."""
    described = [(0, t, False, [(0, p, 1, [1], [1]) for p in range(n)]) for t, n in topics.items()]
    unknown: list[Any] = [(3, t, False, []) for t in TOPICS if t not in topics]
    values = {"API_VERSION": 1, "brokers": [(1, "127.0.0.1", 9, None)], "controller_id": 1}
    return type("Metadata", (), values | {"topics": described + unknown})()


def assigned(answer: dict[str, Any]) -> int:
    """How many partitions the one member gets."""
    found = ConsumerProtocol.ASSIGNMENT.decode(answer["m1"].encode())
    return sum(len(partitions) for _, partitions in found.assignment)


def test_stock_faust_assigns_nothing_by_metadata_without_topics() -> None:
    """The defect that `_perform_assignment` is for."""
    assignor = an_app().assignor

    async def check(coordinator: Any, crashed: Crashed) -> None:
        coordinator._client.cluster.update_metadata(metadata({}))
        coordinator._client._topics = set(TOPICS)
        assert assigned(await coordinator._perform_assignment(Members(assignor))) == 0

    with_coordinator(check, assignor, GroupCoordinator)


def test_an_assignment_waits_until_the_metadata_have_every_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "METADATA_RETRY_S", 0.0)
    assignor = an_app().assignor
    answers = [{}, {"a": 4}, TOPICS]

    async def check(coordinator: Any, crashed: Crashed) -> None:
        async def update() -> bool:
            coordinator._client.cluster.update_metadata(metadata(answers.pop(0)))
            return True

        coordinator._client._topics = set(TOPICS)
        coordinator._client.force_metadata_update = update
        await update()
        assert assigned(await coordinator._perform_assignment(Members(assignor))) == 8
        assert not answers

    with_coordinator(check, assignor)


def test_a_topic_that_is_gone_for_good_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "METADATA_S", -1.0)
    assignor = an_app().assignor

    async def check(coordinator: Any, crashed: Crashed) -> None:
        coordinator._client.cluster.update_metadata(metadata({"a": 4}))
        coordinator._client._topics = set(TOPICS)
        with pytest.raises(UnknownTopicOrPartitionError, match="does not know b"):
            await coordinator._perform_assignment(Members(assignor))

    with_coordinator(check, assignor)


def test_what_ends_the_coordination_ends_the_worker() -> None:
    """A real coordination task, which may not even look for its coordinator."""

    async def check(coordinator: Any, crashed: Crashed) -> None:
        async def forbidden(kind: Any, group: str) -> int:
            raise GroupAuthorizationFailedError(group)

        coordinator._client.coordinator_lookup = forbidden
        coordinator._subscription.subscribe({"a"})
        while not crashed.reasons:
            await asyncio.sleep(0)
        assert isinstance(crashed.reasons[0], GroupAuthorizationFailedError)

    with_coordinator(check)


def test_a_log_is_cut_where_it_begins_after_what_the_group_has_committed() -> None:
    """Of any partitions, assigned or not; where nothing is committed, after 0."""
    offsets = {0: 5, 1: 5, 2: -1, 3: -1}
    begins = {0: 5, 1: 6, 2: 0, 3: 1}

    async def check(coordinator: Any, crashed: Crashed) -> None:
        class Answer:
            topics = (("t", [(p, o, "", 0) for p, o in offsets.items()]),)

        async def answer(request: Any) -> Answer:
            return Answer()

        async def begin(*tps: TP) -> dict[TP, int]:
            return {tp: begins[tp.partition] for tp in tps}

        async def called(method: Callable[..., Awaitable[Any]], *args: Any) -> Any:
            return await method(*args)

        coordinator.coordinator_id, coordinator._send_req = 1, answer
        consumer: Any = await a_consumer(an_app())
        consumer._thread._consumer = type("Consumer", (), {"_coordinator": coordinator})
        consumer._thread.call_thread = called
        consumer.earliest_offsets = begin
        assert await consumer.cut({TP("t", p) for p in range(4)}) == {TP("t", 1), TP("t", 3)}

    with_coordinator(check)


def test_faust_itself_never_asks_for_the_coordinators_errors() -> None:
    """Once it does, `_push_error_to_user` need not be overridden."""
    for module in (driver, inspect.getmodule(Consumer)):
        assert "check_errors" not in inspect.getsource(cast(Any, module))


# The consumer


def an_app() -> Any:
    return faust.App("overrides", broker="kafka://127.0.0.1:9", store="memory://", web_enabled=False)


class Seeks(BatchConsumer):
    """The consumer, but for the network: fetches are given, seeks are noted."""

    fetches: list[dict[TP, Batch]]
    seeks: list[tuple[TP, int]]

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        return self.fetches.pop(0)

    async def _seek(self, partition: TP, offset: int) -> None:
        self.seeks.append((partition, offset))


async def a_consumer(app: Any) -> Seeks:
    async def nothing(*args: Any, **kwargs: Any) -> None: ...

    consumer = Seeks(BatchTransport([URL("kafka://127.0.0.1:9")], app), nothing, nothing, nothing)
    consumer.fetches, consumer.seeks = [], []
    return consumer


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
    fetches: list[tuple[str, Batch]], expected: dict[str, int]
) -> tuple[list[tuple[str, int, int]], list[tuple[str, int]]]:
    """(topic, offset of the message, records) of what a consumer hands out, and the (topic, offset) of its seeks."""

    async def run() -> tuple[list[tuple[str, int, int]], list[tuple[str, int]]]:
        app = an_app()
        app.tables._changelogs["log"] = None
        consumer = await a_consumer(app)
        consumer._active_partitions = {TP("t", 0), TP("log", 0)}
        consumer.expected = {TP(t, 0): o for t, o in expected.items()}
        out = []
        for topic, batch in fetches:
            consumer.fetches.append({TP(topic, 0): batch})
            async for tp, message in consumer.getmany(timeout=1.0):
                out.append((tp.topic, message.offset, len(message.value)))
        return out, [(tp.topic, o) for tp, o in consumer.seeks]

    return asyncio.run(run())


def test_a_batch_that_does_not_begin_where_the_last_one_ended_is_fetched_anew() -> None:
    got, seeks = handed_out([("t", a_batch(7, 9)), ("t", a_batch(5, 9)), ("t", a_batch(9, 12))], {"t": 5})
    assert got == [("t", 8, 4), ("t", 11, 3)]
    assert seeks == [("t", 5)]


def test_where_a_seek_does_not_help_what_lay_before_is_gone() -> None:
    got, seeks = handed_out([("t", a_batch(7, 9)), ("t", a_batch(7, 9))], {"t": 5})
    assert got == [("t", 8, 2)]
    assert seeks == [("t", 5)]


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


@pytest.mark.parametrize(("thread", "level"), [(Thread, "read_uncommitted"), (BatchThread, "read_committed")])
def test_only_our_consumer_leaves_out_what_was_aborted(thread: Any, level: str) -> None:
    async def run() -> None:
        app = an_app()
        app.conf.consumer_group_instance_id = "one"
        consumer = await a_consumer(app)
        made = thread(consumer, loop=asyncio.get_running_loop(), beacon=consumer.beacon)
        found: Any = made._create_worker_consumer(consumer.transport)
        found._closed = True
        assert found._isolation_level == level
        assert found._group_instance_id == "one"

    asyncio.run(run())


# The producer


class Partitioned(AIOKafkaProducer):
    """The producer, but for the network: it knows two partitions, and batches are noted."""

    async def partitions_for(self, topic: str) -> set[int]:
        """Two."""
        return {0, 1}

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
        """Notes it."""
        self.batch, self.to = batch, (topic, partition)
        return asyncio.ensure_future(asyncio.sleep(0, "acknowledged"))


def test_a_record_without_key_and_value_is_sent_though_aiokafka_refuses_it() -> None:
    async def run() -> None:
        app = an_app()
        app.transport = BatchTransport([URL("kafka://127.0.0.1:9")], app)
        ours: Any = app.producer
        assert type(ours) is BatchProducer
        theirs = ours._producer = Partitioned(bootstrap_servers="127.0.0.1:9")
        with pytest.raises(AssertionError, match="key or value"):
            await theirs.send("t")
        assert await (await ours.send("t", None, None, None, None, [("why", b"not")])) == "acknowledged"
        assert theirs.to == ("t", 0)
        theirs.batch._set_producer_state(-1, -1, -1)
        records: Any = MemoryRecords(bytes(theirs.batch._build()))
        [record] = records.next_batch()
        assert (record.key, record.value, record.headers) == (None, None, [("why", b"not")])
        theirs._closed = True  # nothing to close: it was never started

    asyncio.run(run())


# Tasks


def test_what_a_task_raises_ends_the_app() -> None:
    """The stages' tasks raise, and do no more about it."""

    async def run() -> None:
        app = an_app()

        @app.task
        async def broken() -> None:
            raise ValueError("planted")

        await app.on_started_init_extra_tasks()
        await app.wait_until_stopped()
        assert app.crashed
        assert isinstance(app.crash_reason, ValueError)

    asyncio.run(run())


def test_our_transport_makes_our_consumer() -> None:
    async def run() -> None:
        app = an_app()
        app.transport = BatchTransport([URL("kafka://127.0.0.1:9")], app)
        assert type(app.consumer) is BatchConsumer
        assert type(app.consumer._thread) is BatchThread
        assert isinstance(app.consumer, ThreadDelegateConsumer)

    asyncio.run(run())


# Tables


def a_table(app: Any) -> Any:
    return row_table(app, "rows", "log", 4)


def test_a_recovery_begins_at_the_beginning_whatever_the_last_one_had_read() -> None:
    """Stock: it goes on from the offset, without the rows that lie before it."""

    async def run() -> None:
        app = an_app()
        stock, ours = app.Table("stock", partitions=4), a_table(app)
        recovery = app.tables.recovery
        tp = TP("log", 1)
        recovery.active_offsets[tp] = 500
        recovery.add_active(stock, tp)
        assert recovery.active_offsets[tp] == 500
        recovery.add_active(ours, tp)
        assert recovery.active_offsets[tp] == -1

        class Logs:
            async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
                return dict.fromkeys(tps, 0)

        await recovery._build_offsets(cast(Any, Logs()), {tp}, recovery.active_offsets, "active")
        assert recovery.active_offsets[tp] == -1

    asyncio.run(run())


class Row:
    """A changelog's record."""

    def __init__(self, key: bytes, value: bytes | None) -> None:
        self.key, self.value = key, value


def test_rows_wait_by_partition_until_they_are_taken_or_a_rebalance_makes_them_stale() -> None:
    async def run() -> None:
        table = a_table(an_app())
        event: Callable[..., Any] = lambda partition, rows: type(  # noqa: E731
            "Event", (), {"message": type("Message", (), {"partition": partition, "value": rows})}
        )
        rows = [Row(b"a", b"1"), Row(b"b", b"1"), Row(b"a", b"2"), Row(b"b", None)]
        table.apply_changelog_batch([event(0, rows), event(1, [Row(b"a", b"9")])])
        await table.on_recovery_completed({TP("log", 1)}, set())
        assert table.data.take(0) == [(b"a", b"2")]
        assert table.data.take(0) == []
        assert table.data.read == 5
        await table.on_rebalance({TP("log", 1)}, set(), set(), 2)
        assert table.data.take(1) == []

    asyncio.run(run())


def test_a_tables_changelog_is_read_undecoded_and_without_acks() -> None:
    async def run() -> None:
        table = a_table(an_app())
        assert type(table.data) is RowStore
        assert table.changelog_topic.get_topic_name() == "log"
        assert isinstance(table.changelog_topic.schema, BatchSchema)
        assert not table.changelog_topic.acks

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
