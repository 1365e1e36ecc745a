"""The Faust app of a worker: topics, tables, the two stages, and what happens when partitions move."""

import asyncio
import contextlib
import gc
import time
from typing import Any

import faust
from aiokafka.errors import KafkaError
from faust.types import TP
from mode.supervisors import CrashingSupervisor
from yarl import URL

from agents.desk import DeskStage
from agents.health import HealthStage, Owned
from agents.ingest import FLUSH_S, FRONTIER_S, Ingest, Source
from agents.settings import Settings
from agents.sinks import Outbox
from agents.store import row_table
from agents.transport import BatchSchema, BatchTransport
from streams.errors import StateError
from streams.route import Routes

BOARD_S = 5.0
REPORT_S = 0.4
SNAPSHOTS_S = 1.0  # between two looks at whether one is due
CUT_EVERY = 30  # frontiers


class Molehill:
    """One worker's app. `ready` once its partitions are recovered and being consumed."""

    def __init__(self, settings: Settings, routes: Routes) -> None:
        self.settings = settings
        self.routes = routes
        self.app = _app(settings, routes.partitions)
        self.app.transport = BatchTransport([URL(f"kafka://{b}") for b in settings.brokers.split(",")], self.app)
        journal = row_table(self.app, "journal", settings.journal, routes.partitions)
        snapshots = row_table(self.app, "snapshots", settings.snapshots, routes.partitions)
        self.ingest = Ingest(settings, routes, self.app, journal, lambda: self.in_session)
        self.desk = DeskStage(settings, routes, self.app, self._owns_desk)
        self.health = HealthStage(settings, routes, self.app, snapshots, self.desk.tell)
        self.loaded = False
        self.moving = True  # between what is taken from us and what is given
        self.assignments = 0  # counts them: what a rebalance has overtaken must not be installed
        self.began = time.monotonic()  # of the last recovery
        self.recovery_s = 0.0
        self._wire(journal, snapshots)

    def _wire(self, journal: Any, snapshots: Any) -> None:
        app, settings = self.app, self.settings
        sources = app.topic(*self.ingest.kinds, schema=BatchSchema())
        tallies = app.topic(settings.tallies, schema=BatchSchema())

        async def ingest(stream: Any) -> None:
            async for event in stream.noack().events():
                await self.ingest.take(event)

        async def health(stream: Any) -> None:
            async for event in stream.noack().events():
                await self.health.take(event)

        app.agent(sources, name="ingest", supervisor_strategy=CrashingSupervisor)(ingest)
        app.agent(tallies, name="health", supervisor_strategy=CrashingSupervisor)(health)
        app.on_partitions_revoked.connect(self._on_revoked, weak=False)
        app.on_partitions_assigned.connect(self._on_assigned, weak=False)
        snapshots.on_recover(self._on_recovered)
        app.task(self.desk.run)
        app.task(self.health.judge)
        app.task(self._flushes)
        app.task(self._reports)
        app.task(self._frontiers)
        app.task(self._snapshots)
        app.task(self._boards)

    @property
    def consumer(self) -> Any:
        """Faust's consumer, a BatchConsumer."""
        return self.app.consumer

    @property
    def ready(self) -> bool:
        """Recovered and consuming."""
        return self.serving and self.desk.loaded and all(o.recovered for o in list(self.health.owned.values()))

    def _owns_desk(self) -> bool:
        first = self.health.owned.get(0)
        return self.serving and first is not None and first.recovered

    @property
    def in_session(self) -> bool:
        """Whether the group still counts us in. Out of it others may serve and write what was ours."""
        silent = time.monotonic() - self.consumer.heard
        return self.settings.embedded or bool(silent < self.settings.session_timeout_s)

    @property
    def serving(self) -> bool:
        """Whether what is loaded is ours: to write, and to export once it is recovered."""
        return self.loaded and self.in_session

    def remaining(self) -> dict[TP, int]:
        """Changelog records that the recovery still has to read; never negative."""
        found = self.app.tables.recovery.active_remaining()
        return {tp: max(0, n) for tp, n in found.items()}

    def progress(self, tp: TP) -> tuple[int | None, int | None]:
        """Position and end offset of a partition."""
        found: tuple[int | None, int | None] = self.consumer.progress(tp)
        return found

    def lag(self, tp: TP) -> int | None:
        """Records of a source partition that are not counted yet."""
        return self.ingest.lag(tp, *self.progress(tp), self.consumer.delivered.get(tp))

    def tallies_lag(self, partition: int) -> int | None:
        """Records of a tallies partition that are not folded yet."""
        tp = TP(self.settings.tallies, partition)
        position, end = self.progress(tp)
        if position is None or end is None:
            return None
        end = max(end, Outbox.written.ends.get(tp, 0))  # a fetch learns of new records only as it brings them
        offset, delivered = self.health.owned[partition].health.offset, self.consumer.delivered.get(tp, -1)
        return max(0, end - (position if offset >= delivered else offset + 1))

    async def _on_revoked(self, app: Any, revoked: set[TP], **kwargs: Any) -> None:
        """Everything goes at each rebalance: what stays ours is read again, so that there is one way to begin."""
        self.loaded, self.moving = False, True
        self.began = time.monotonic()
        self.consumer.forget()
        if self.settings.embedded and self.ingest.sources:
            return  # nobody else could have had them, and its end offsets are wrong (agents/embedded.py)
        self.assignments += 1
        self.ingest.sources, self.health.owned = {}, {}

    async def _on_assigned(self, app: Any, assigned: set[TP], **kwargs: Any) -> None:
        """Its recovery is due, but has not begun."""
        self.moving = False

    async def _on_recovered(self) -> None:
        """Faust neither cancels this at the next rebalance nor looks at what it raises; and it calls it for a
        recovery that a rebalance has overtaken, whose rows are gone: the one that is due calls again."""
        if self.moving or self.app.tables.recovery.signal_recovery_start.is_set():
            return
        try:
            await self._load()
        except Exception as e:
            await self.app.crash(e)

    async def _load(self) -> None:
        assignment = self.assignments
        if not (self.settings.embedded and self.ingest.sources):
            assigned = set(self.consumer.assignment())
            owned = self.health.load(assigned, self.ingest.turn)
            sources = await self.ingest.load(assigned, max(self.app.consumer_generation_id or 0, 0))
            await self._check_ends(sources, owned)
            cut = await self._tell_again(sources)
            for partition, one in owned.items():
                one.cut = TP(self.settings.tallies, partition) in cut
            if assignment != self.assignments:
                return
            self.ingest.sources, self.health.owned = sources, owned
            self.desk.assigned(assignment)
        self.consumer.positions = self._positions
        gc.unfreeze()  # what the assignment before had is garbage now
        gc.collect()
        gc.freeze()
        self.consumer.settle()
        self.recovery_s = time.monotonic() - self.began
        self.loaded = True

    async def _check_ends(self, sources: dict[TP, Source], owned: dict[int, Owned]) -> None:
        """A topic that was deleted and made anew begins at 0: its events would pass for known ones."""
        known = {tp: source.tally.offset for tp, source in sources.items()}
        known |= {TP(self.settings.tallies, p): one.health.offset for p, one in owned.items()}
        if self.settings.embedded or not known:
            return
        ends = await self.consumer.highwaters(*known)
        for tp, offset in known.items():
            end = ends.get(tp)
            if end is not None and end <= offset:
                raise StateError(
                    f"{tp.topic}/{tp.partition} ends at offset {end}, but {offset} is counted already: "
                    "was the topic made anew? Begin again with another --app"
                )

    async def _tell_again(self, sources: dict[TP, Source]) -> set[TP]:
        """Where tallies are gone that no snapshot holds, every source tells everything once more; returns where.

        They are kept for 7 days: a set of workers that was down for longer may miss what was told after the last
        snapshot. All workers see it, for what is committed of the tallies is what snapshots hold. Totals and what is
        within `allowed_lateness` come back; what windows held of older buckets since that snapshot does not.
        """
        if self.settings.embedded:
            return set()
        cut: set[TP] = await self.consumer.cut({TP(self.settings.tallies, p) for p in range(self.routes.partitions)})
        for source in sources.values():
            source.tally.whole |= bool(cut) and source.tally.offset >= 0
        return cut

    def _positions(self, assigned: set[TP]) -> dict[TP, int]:
        own = self.ingest.positions() | self.health.positions()
        return {tp: offset for tp, offset in own.items() if tp in assigned}

    async def _flushes(self) -> None:
        while not self.app.should_stop:
            await asyncio.sleep(FLUSH_S)
            if self.loaded:
                await self.ingest.flush()

    async def _reports(self) -> None:
        while not self.app.should_stop:
            await asyncio.sleep(REPORT_S)
            if self.serving:
                await self.health.report()

    async def _snapshots(self) -> None:
        """A task of its own: packing and acknowledging megabytes holds up no flush, frontier or commit."""
        while not self.app.should_stop:
            await asyncio.sleep(SNAPSHOTS_S)
            if self.serving:
                await self.health.snapshots()

    async def _boards(self) -> None:
        while not self.app.should_stop:
            await asyncio.sleep(BOARD_S)
            if self.serving:
                await self.desk.post(self.health.summaries())

    async def _frontiers(self) -> None:
        while not self.app.should_stop:
            await asyncio.sleep(FRONTIER_S)
            if self.serving:
                await self.ingest.frontier(self.progress)
                await self._commit()
                if self.ingest.turn % CUT_EVERY == 0:  # for one that has been loading alone
                    with contextlib.suppress(KafkaError):  # next time
                        await self._tell_again(self.ingest.sources)

    async def _commit(self) -> None:
        next_ = self.health.kept()
        next_ |= {tp: self._next(tp, source.published.to) for tp, source in self.ingest.sources.items()}
        assigned = self.consumer.assignment()
        await self.consumer.commit_state({tp: offset for tp, offset in next_.items() if tp in assigned})

    def _next(self, tp: TP, counted: int) -> int:
        """The offset to be read next: where all that was delivered is counted, after what is no event (aborted
        transactions, markers) too."""
        position = self.consumer.expected.get(tp, 0) if counted >= self.consumer.delivered.get(tp, -1) else 0
        return max(counted + 1, int(position))

    async def settle(self) -> None:
        """Flushes everything before a clean end, after which nothing is sent or exported any more."""
        if self.loaded:
            await self.ingest.flush(wait=True)
            if self.in_session:
                await self.health.snapshots(all_of_them=True)
            await self._commit()
            self.loaded = False
            self.health.owned = {}  # who waits for its turn to report finds nothing to say


def _app(settings: Settings, partitions: int) -> Any:
    gc.set_threshold(100_000, 50, 1000)
    return faust.App(
        settings.app,
        broker=f"kafka://{settings.brokers.replace(',', ';')}",
        store="memory://",
        datadir=str(settings.data_dir / "faust"),
        topic_partitions=partitions,
        topic_allow_declare=False,  # all topics exist before the app starts (agents/topics.py)
        topic_disable_leader=True,
        web_enabled=False,  # its pages would show state; ours are in agents/web.py
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=None if settings.embedded else f"{settings.app}-{settings.member}",
        consumer_max_fetch_size=4 * 1024 * 1024,
        broker_max_poll_records=20_000,
        broker_commit_interval=1.0,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 4,
        broker_check_crcs=False,  # TCP has its checksums, the broker checked the batch's when it came
        broker_request_timeout=30.0,
        stream_buffer_maxsize=8,  # of whole batches
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        producer_linger=0.005,
        producer_max_batch_size=900_000,
        producer_max_request_size=2_200_000,
        producer_compression_type="zstd",  # aiokafka packs lz4 at its slowest level: 3 times the time for more bytes
    )
