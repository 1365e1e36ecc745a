"""Faust's transport with two changes: a fetch arrives as one event, and positions come from our own state.

One Faust event for each fetched batch of a partition: `event.value` is the list of aiokafka's records. Groups,
assignment, recovery and commits stay Faust's. Each override names the defect that it is for, and the public thread
about it where there is one. They rely on the internals of faust-streaming 0.15.3, of mode 0.7.1 that its services are
made of, and of aiokafka 0.14.0, which is why these are pinned; tests/test_overrides.py fails where a later one has
changed what they rely on.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, cast

import faust
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException, UnknownTopicOrPartitionError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from streams.errors import StateError

log = logging.getLogger("molehill")

SMALL_FETCH = 2000  # records
METADATA_S = 20.0  # for a broker that comes up; the group's coordinator waits no longer than a session, and asks anew
METADATA_RETRY_S = 0.25
IDLE_FETCH_MS = 1500  # Faust's own: how long the broker holds a fetch that finds nothing …
MOVING_FETCH_MS = 100  # … and until the state of an assignment is loaded
LINGER_S = 0.05  # pause after a small fetch: cost is per fetch, at 1,000 events/s 63 % CPU without and 7 % with it


class BatchSchema(faust.Schema[Any, Any]):
    """Passes a batch through undecoded.

    Stock Faust decodes a message before an agent sees it: one that it cannot decode ends the agent, with or without
    a word (github.com/robinhood/faust/issues/586), and so stops a partition.
    """

    def loads_key(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> None:
        """A batch has no key.

        Stock Faust decodes a record's, in recovery too, which ends at the first one that is no text
        (github.com/robinhood/faust/issues/214).
        """

    def loads_value(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        """The list of records, as the consumer made it (github.com/robinhood/faust/issues/586, as above)."""
        return message.value


class Batch(list[Any]):
    """The records that a fetch brought of one partition, asked for from `start` on; the next one is from `end` on.
    `follows`: the offset that was handed out, or sought behind, before it."""

    start = 0
    end = 0
    follows = -1

    def continues(self, tp: TP, taken: int) -> None:
        """Raises StateError where something after `taken` was handed out before this, and never came."""
        if self.follows > taken:
            raise StateError(
                f"{tp.topic}/{tp.partition}: records up to offset {self.follows} were handed out, those "
                f"after {taken} were not taken: begin again from what is stored"
            )


class BatchCoordinator(GroupCoordinator):
    """The member of the consumer group, with what must not go unnoticed."""

    thread: "BatchThread"

    async def _do_heartbeat(self) -> bool:
        """As upstream, and notes when each heartbeat was sent that the group's coordinator has answered.

        aiokafka keeps this to itself: a process that stood still past its session goes on as if the partitions were
        its own until the next answer, while another one already serves and writes them. An answer may have waited
        for as long as the process stood still: it counts from the question. (github.com/aio-libs/aiokafka/issues/1040
        asks for it; the same in github.com/kafka4beam/brod/issues/649.)
        """
        sent = time.monotonic()
        answered: bool = await super()._do_heartbeat()
        if answered:
            consumer = cast(BatchConsumer, self.thread.consumer)
            consumer.heard = max(consumer.heard, sent)
        return answered

    async def _perform_assignment(self, response: Any) -> Any:
        """As upstream, once the metadata have every topic of the group.

        A broker that has just come up answers metadata requests before it knows its topics. A leader that assigns
        by such an answer leaves them out ("Ignoring missing topic") and everybody without partitions, until the
        metadata are due again five minutes later. github.com/aio-libs/aiokafka/issues/118 is the same race; the
        Java client mended it with github.com/apache/kafka/pull/2608.
        """
        deadline = time.monotonic() + METADATA_S
        while True:
            assignments = await super()._perform_assignment(response)
            missing = sorted(topic for topic, count in self._metadata_snapshot.items() if not count)
            if not missing:
                return assignments
            if time.monotonic() > deadline:
                raise UnknownTopicOrPartitionError(f"the broker does not know {', '.join(missing)}")
            await asyncio.sleep(METADATA_RETRY_S)
            await self._client.force_metadata_update()

    async def _push_error_to_user(self, exc: BaseException) -> None:
        """Ends the worker.

        aiokafka stops all coordination until somebody calls `check_errors`, which Faust never does: a worker that
        is no member of its group any more hangs for ever. (github.com/robinhood/faust/issues/259)
        """
        await self.thread.crash(exc)
        await super()._push_error_to_user(exc)


class BatchThread(driver.AIOKafkaConsumerThread):
    """Fetches without making a ConsumerRecord for each message."""

    async def on_start(self) -> None:
        """As upstream, with our coordinator.

        aiokafka makes its own, and has no way to be given another or to be told what it knows: whoever asks for its
        health looks into the private one (github.com/aio-libs/aiokafka/issues/1154).
        """
        await super().on_start()
        coordinator = cast(Any, self._consumer)._coordinator
        coordinator.thread = self
        coordinator.__class__ = BatchCoordinator

    async def committed(self, tps: set[TP]) -> Mapping[TP, int]:
        """The group's next offsets, of any partitions; those without one are left out. (No such call upstream.)"""
        coordinator = cast(Any, self._consumer)._coordinator
        found = await self.call_thread(coordinator.fetch_committed_offsets, tps)
        return {TP(*tp): told.offset for tp, told in found.items()}

    def _create_worker_consumer(self, transport: Any) -> Any:
        """As upstream, but an aborted transaction's records are not read.

        Faust reads committed records only with `processing_guarantee="exactly_once"`, which loses events of its own
        (github.com/robinhood/faust/issues/340) and doubles others (github.com/faust-streaming/faust/issues/517), and
        has no setting for it (no thread found about that).
        """
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = MOVING_FETCH_MS
        return consumer

    def hold(self, ms: int) -> None:
        """How long the broker may hold the next fetches.

        aiokafka asks for the ends of logs on the connection that its fetches wait on, where a broker answers in
        turn: with the 1.5 s that Faust sets, a takeover, which looks twice, took 3 s more than it had to do. (No
        thread found for aiokafka; the same in github.com/ciena/afkak/issues/102.)
        """
        fetcher = cast(Any, self._consumer)._fetcher
        if fetcher is not None:
            fetcher._fetch_max_wait_ms = ms

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Mapping[Any, list[Any]]:
        """As aiokafka's `Fetcher.fetched_records`, for the records as its C parser made them.

        Stock Faust pays for a ConsumerRecord, an event and several turns of the event loop with every message, some
        4,000/s; a plain consumer is ten times as fast (github.com/robinhood/faust/issues/563).
        """
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError()
        with fetcher._subscriptions.fetch_context():
            if fetcher._subscriptions.reassignment_in_progress:
                await fetcher._subscriptions.wait_for_assignment()
            drained = _drain(fetcher, active_partitions)
            if not drained and timeout:
                waiter = fetcher._create_fetch_waiter()
                _, pending = await asyncio.wait([waiter], timeout=timeout)
                if pending:
                    waiter.cancel()
                elif not fetcher._closed:
                    waiter.result()  # raises authorization errors
                    drained = _drain(fetcher, active_partitions)
        if drained and sum(map(len, drained.values())) < SMALL_FETCH:
            await asyncio.sleep(LINGER_S)
        return drained


def _drain(fetcher: Any, active: Any) -> dict[Any, list[Any]]:
    drained: dict[Any, list[Any]] = {}
    for tp in list(fetcher._records):
        if active and tp not in active:
            if not fetcher._subscriptions.is_assigned(tp):
                del fetcher._records[tp]
            continue
        result = fetcher._records[tp]
        if type(result) is FetchResult:
            records = _records(result)
            del fetcher._records[tp]
            fetcher._notify(fetcher._wait_consume_future)
            if records is not None:
                drained[tp] = records
        elif not drained:  # an error: raised when nothing else is to be returned
            del fetcher._records[tp]
            fetcher._notify(fetcher._wait_consume_future)
            result.check_raise()
    return drained


def _records(result: Any) -> Batch | None:
    """Everything that a fetch brought for a partition; as aiokafka's `PartitionRecords._unpack_records`."""
    if not result.check_assignment(result._topic_partition) or not result.has_more():
        return None  # fetched before a seek, or no longer ours
    part = result._partition_records
    out = Batch()
    position = out.start = part.next_fetch_offset
    while part._records.has_next():
        batch = part._records.next_batch()
        if part._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"invalid CRC in {result._topic_partition}")
        aborted = False
        if part._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            part._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and part._contains_abort_marker(batch):
                part._aborted_producers.discard(batch.producer_id)
            aborted = batch.is_transactional and batch.producer_id in part._aborted_producers
        if not batch.is_control_batch and not aborted:
            records = list(batch)
            if records and records[0].offset < position:
                records = [r for r in records if r.offset >= position]
            out += records
        position = part.next_fetch_offset = batch.next_offset
    result._update_position()
    result._partition_records = None
    out.end = position
    return out


class BatchConsumer(driver.Consumer):
    """Delivers batches. `positions` says from which offset each assigned partition is to be read."""

    positions: Callable[[set[TP]], Mapping[TP, int]] = staticmethod(lambda assigned: {})
    delivered: dict[TP, int]  # the last offset of each partition that was handed out, or sought behind
    expected: dict[TP, int]  # where the next batch of each must begin; a partition that lacks is not positioned yet
    heard: float = 0.0  # when we last asked, by time.monotonic(), and were told that we are of the group
    committed: dict[TP, int]  # next offsets, as the coordinator has them
    excused: dict[TP, int]  # a batch that begins elsewhere even after a seek: what lay before it is gone
    skipped: dict[TP, int]  # offsets that were gone before they were read, since the start of the process

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.delivered, self.expected, self.excused, self.committed, self.skipped = {}, {}, {}, {}, {}
        self.opened = asyncio.Event()

    def _new_consumer_thread(self) -> Any:
        """Ours, as the driver makes its own: no defect, but the class has no other place. (No thread found.)"""
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """To where our state is; committed offsets only serve to show lag.

        Stock Faust begins at the committed offset, which the state of a killed worker is ahead of or behind: counts
        go wrong, exactly_once or not (github.com/robinhood/faust/issues/340).
        """
        await super().perform_seek()
        for tp, offset in self.positions(self.assignment()).items():
            await self._restart(tp, offset)
            self.delivered[tp] = offset - 1

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """As upstream, which recovery seeks its changelogs by: they too are to begin where they were asked to.

        Upstream hands out by what it has read before: of a partition that came back it dropped everything, until a
        seek to 0 made it forget (github.com/robinhood/faust/pull/542). What a batch must begin with is noted instead.
        """
        self.expected.update(partitions)
        await super().seek_wait(partitions)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """As upstream; being assigned is as good as a heartbeat, which aiokafka tells nobody of either
        (github.com/aio-libs/aiokafka/issues/1040).
        """
        self.heard = time.monotonic()
        await super().on_partitions_assigned(assigned, generation_id)

    async def _seek(self, partition: TP, offset: int) -> None:
        """In the consumer's own thread.

        Upstream seeks from the app's: aiokafka, which is not made for that, deletes what it has fetched while the
        other thread drains it, and the worker ends with a KeyError (github.com/robinhood/aiokafka/issues/19).
        """
        thread = cast(Any, self._thread)
        await thread.call_thread(thread.seek, partition, offset)

    async def _restart(self, tp: TP, offset: int) -> None:
        await self.seek(tp, offset)
        self.expected[tp] = offset

    def resume_flow(self) -> None:
        """As upstream; once every partition is where it is to be read from, what is read is handed out.

        After a recovery upstream resumes partitions, seeks them one by one, and then empties all queues: what was
        handed out of the first while the others were sought was lost, and counts went on after it. (No thread found.)
        """
        super().resume_flow()
        if all(tp in self.expected for tp in self.assignment() if not self._is_changelog_tp(tp)):
            self.opened.set()

    def forget(self) -> None:
        """At a rebalance: no partition is positioned any more."""
        self.opened.clear()
        cast(BatchThread, self._thread).hold(MOVING_FETCH_MS)
        self.expected.clear()
        self.committed.clear()
        self.excused.clear()
        self.delivered.clear()

    def settle(self) -> None:
        """The state of the assignment is loaded."""
        cast(BatchThread, self._thread).hold(IDLE_FETCH_MS)

    async def _in_order(self, tp: TP, batch: Batch) -> bool:
        """Whether a batch begins where the last one ended.

        aiokafka prefetches from the committed offset while tables recover, and Faust hands that out before it
        seeks: a state that began there would miss what lies between. What was fetched for the assignment before is
        handed out too. (github.com/faust-streaming/faust/issues/221 and 216, mended there for single messages)
        """
        expected = self.expected.get(tp)
        if expected is None:
            return False
        if batch.start != expected and self.excused.get(tp) != batch.start:
            self.excused[tp] = batch.start
            await self._restart(tp, expected)
            return False
        if 0 < expected < batch.start:  # what is gone before anything was read of it was never ours to count
            self.skipped[tp] = self.skipped.get(tp, 0) + batch.start - expected
            log.warning(
                "%s/%d: offsets %d to %d were deleted before they were read, by retention or by hand",
                tp.topic, tp.partition, expected, batch.start - 1,
            )  # fmt: skip
        self.expected[tp] = batch.end
        return True

    def _overtaken(self, generation: int) -> bool:
        """Whether what was fetched for this generation of the group is to be fetched anew, or by somebody else."""
        moved: bool = self.app.consumer_generation_id != generation
        return moved or self.should_stop or self.suspend_flow.is_set()

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """One message for each partition that a fetch brought records of; see `BatchThread._fetch_records`.

        A changelog's message bears the offset that the batch ends before, and is made for an empty batch too:
        recovery waits for the last offset of the log, which compaction and markers may have left without a record
        (github.com/faust-streaming/faust/issues/176, 597).
        """
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            try:
                await self.perform_seek()
            except Exception as e:  # as upstream: a rebalance is under way, and ends with a seek of its own
                self.log.warning("seek while the flow is stopped: %r", e)
            return
        for tp, batch in cast(Mapping[Any, Batch], records).items():
            if self._overtaken(generation):
                return
            tp = TP(tp.topic, tp.partition)
            if not (active is None or tp in active or tp in self._buffered_partitions):
                continue
            changelog = self._is_changelog_tp(tp)
            if tp in self.expected and not (changelog or self.opened.is_set()):
                await self.wait_first(self.opened.wait(), self.suspend_flow.wait())
                if self._overtaken(generation):
                    return
            if await self._in_order(tp, batch) and (batch or changelog):
                offset = batch.end - 1 if changelog else batch[-1].offset
                at, kind = (batch[-1].timestamp / 1000.0, batch[-1].timestamp_type) if batch else (0.0, 0)
                self._read_offset[tp] = offset - 1  # a batch is not a gap (see _new_offset)
                batch.follows = self.delivered.get(tp, -1)
                self.delivered[tp] = offset
                yield tp, ConsumerMessage(
                    tp.topic, tp.partition, offset, at, kind,
                    cast(Any, []), None, cast(Any, batch), None, 0, 0, tp, generation_id=generation,
                )  # fmt: skip

    def _new_offset(self, tp: TP) -> int | None:
        """Nothing: commits follow our state (`commit_state`), not acks.

        Upstream expands the gaps between acks into lists, after which commits crawl
        (github.com/robinhood/faust/issues/401), commits past what is still being worked on
        (github.com/faust-streaming/faust/issues/606), and forgets a commit that failed, so that lag stays until the
        next event (github.com/faust-streaming/faust/issues/611).
        """
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return None

    async def commit_state(self, offsets: Mapping[TP, int]) -> None:
        """Commits next offsets, those that are not committed yet; what fails is tried again next time."""
        due = {tp: o for tp, o in offsets.items() if self.committed.get(tp) != o}
        if due and await self._commit(due):
            self.committed.update(due)

    async def cut(self, tps: set[TP]) -> set[TP]:
        """Partitions whose log begins after what the group has committed, or after 0 where that is nothing."""
        begin = await self.earliest_offsets(*tps)
        committed = await cast(BatchThread, self._thread).committed(tps)
        return {tp for tp in tps if begin[tp] > committed.get(tp, 0)}

    def progress(self, tp: TP) -> tuple[int | None, int | None]:
        """Position and end offset of an assigned partition; None where no fetch has told yet.

        The position is where the next batch to be handed out begins: aiokafka's own is past records that have been
        fetched and still linger, which are lag. Upstream's `highwater` is a lookup that fails for a partition that
        has just gone (as seeks and commits did: github.com/faust-streaming/faust/issues/54 and 94), and counts
        records of open transactions that `read_committed` cannot read (no thread found about that).
        """
        consumer: Any = self._thread._consumer
        assignment = consumer._subscription.subscription and consumer._subscription.subscription.assignment
        if assignment is None or tp not in assignment.tps:
            return None, None
        state = assignment.state_value(tp)
        ends = [e for e in (state.highwater, state.lso) if e is not None and e >= 0]
        return self.expected.get(tp), min(ends, default=None)


class BatchProducer(driver.Producer):
    """Sends any record that a log can hold."""

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[Any]:
        """As upstream, and a record may have neither key nor value: such a one is sent as a batch of its own.

        aiokafka's `send` asserts that it has one of them. Kafka asks for none, so that what is refused may lack
        both. (No thread found for aiokafka.)
        """
        if key is not None or value is not None:
            return await super().send(
                topic, key, value, partition, timestamp, headers, transactional_id=transactional_id
            )
        producer = self._ensure_producer()
        batch = producer.create_batch()
        batch.append(timestamp=None, key=None, value=None, headers=headers or [])
        batch.close()
        if partition is None:
            partition = min(await producer.partitions_for(topic))
        return cast(Awaitable[Any], await producer.send_batch(batch, topic, partition=partition))


class BatchTransport(driver.Transport):
    """The transport of a molehill worker."""

    Consumer = BatchConsumer
    Producer = BatchProducer
