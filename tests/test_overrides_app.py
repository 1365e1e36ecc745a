"""The app around the consumer: its producer, its tasks, its tables."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from aiokafka.producer import AIOKafkaProducer
from aiokafka.record.memory_records import MemoryRecords
from faust.stores.memory import Store
from faust.transport.consumer import ThreadDelegateConsumer
from faust.types import TP
from yarl import URL

from agents.store import RowStore, row_table
from agents.transport import BatchConsumer, BatchProducer, BatchSchema, BatchThread, BatchTransport
from tests.unconnected import an_app


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


def a_table(app: Any) -> Any:
    return row_table(app, "rows", "log", 4)


def test_a_tables_store_is_ours_though_stock_passes_over_a_tables_own_url() -> None:
    async def run() -> None:
        app = an_app()
        assert type(app.Table("stock", store="rocksdb://").data) is Store  # the app's, in memory
        assert type(a_table(app).data) is RowStore

    asyncio.run(run())


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
