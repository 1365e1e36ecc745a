"""Fetching: our own unpacking against aiokafka's."""

import asyncio
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from agents import transport
from agents.transport import BatchThread

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


def test_the_broker_holds_each_fetch_for_as_long_as_it_is_told() -> None:
    async def check() -> None:
        client = AIOKafkaClient(bootstrap_servers="127.0.0.1:9")
        subscription = SubscriptionState()
        tp = TopicPartition("t", 0)
        subscription.assign_from_user({tp})
        assignment = subscription.subscription.assignment
        assignment.state_value(tp).reset_to(5)
        fetcher = Fetcher(client, subscription)
        fetcher._select_read_replica = lambda tp: 1
        thread: Any = BatchThread.__new__(BatchThread)
        thread._consumer = SimpleNamespace(_fetcher=fetcher)
        try:
            for ms in (transport.MOVING_FETCH_MS, transport.IDLE_FETCH_MS):
                thread.hold(ms)
                ((_, request),) = fetcher._get_actions_per_node(assignment)[0]
                assert request._max_wait_ms == ms
        finally:
            await fetcher.close()

    asyncio.run(check())
