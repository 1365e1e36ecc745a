"""The health stage: the log of each assigned tallies partition, folded; and a snapshot of it now and then.

Because a partition's state is a fold over its log, nothing is journaled: on assignment the newest snapshot is
loaded and the log read from there. A partition counts as recovered, and is exported, once the worker has read its
own frontier back from the log: everything that was ever exported lies before it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from faust.types import TP

from agents.settings import Settings
from agents.snapshots import Snapshots
from streams import names
from streams.board import hours, summaries
from streams.health import Health
from streams.moles import Finding
from streams.route import Routes
from streams.tally import LOG_APPEND_TIME
from streams.view import Viewer

Tell = Callable[[int, int, list[Finding]], Awaitable[None]]  # partition, through, what was found; until acked

log = logging.getLogger("molehill")

JUDGE_S = 0.2
SLICE_BYTES = 50_000  # of the log between two turns of the event loop: 8 ms, or 20 where messages are small
FAR_BEHIND = 4_000_000  # cells that wait to be judged, 24 bytes each
SNAPSHOT_S = 30.0
SNAPSHOT_BYTES = 16_000_000  # of log, or twice the last snapshot


class Owned:
    """One assigned tallies partition."""

    def __init__(self, health: Health, snapshots: Snapshots, turn: int) -> None:
        self.health = health
        self.viewer = Viewer(health)
        self.snapshots = snapshots
        self.turn = turn  # of our last frontier before the assignment
        self.recovered = False
        self.cut = False  # the log begins after our snapshot: not recovered until `Health.whole`
        self.snapshot_at = time.monotonic()
        self.read_bytes = 0
        self.told: int | None = None  # the end of the last step whose findings the desk has

    @property
    def far_behind(self) -> bool:
        """Whether reading is to wait for judging."""
        return self.health.judging.steps.cells > FAR_BEHIND and self.health.behind


class HealthStage:
    """All assigned tallies partitions of this worker."""

    def __init__(self, settings: Settings, routes: Routes, app: Any, table: Any, tell: Tell) -> None:
        self.settings = settings
        self.routes = routes
        self.app = app
        self.table = table
        self.tell = tell
        self.owned: dict[int, Owned] = {}
        self._telling = asyncio.Lock()  # a partition's findings leave in their order
        self._writing = asyncio.Lock()  # of a snapshot, which nobody else waits for

    def load(self, assigned: set[TP], turn: int) -> dict[int, Owned]:
        """The newest whole snapshot of each assigned partition; the caller installs them."""
        loaded: dict[int, Owned] = {}
        for tp in sorted(assigned):
            if tp.topic != self.settings.tallies:
                continue
            health = Health(self.routes, tp.partition, len(self.routes.sources) * self.routes.partitions)
            snapshots = Snapshots(self.app, self.settings.snapshots, tp.partition, self.settings.nonce)
            health.judging.on = self.settings.judging
            blob = snapshots.load(self.table.data.take(tp.partition))
            if blob is not None:
                health.restore(blob)
            if health.judging.unread:
                log.warning(
                    "tallies partition %d: the past of %d moments is of another version, and is learnt anew; moles "
                    "of theirs that are up stay up until somebody whacks them", tp.partition, health.judging.unread,
                )  # fmt: skip
            loaded[tp.partition] = Owned(health, snapshots, turn)
        return loaded

    def positions(self) -> dict[TP, int]:
        """The next offset of each partition."""
        return {TP(self.settings.tallies, p): o.health.offset + 1 for p, o in self.owned.items()}

    def kept(self) -> dict[TP, int]:
        """The next offset of each partition after its snapshot: what a restart reads from."""
        return {TP(self.settings.tallies, p): o.snapshots.offset + 1 for p, o in self.owned.items()}

    async def take(self, event: Any) -> None:
        """Folds one fetched batch in; waits where judging is far behind the clock.

        Not for what is ahead of the clock: it moves by what comes later in this log. Raises StateError where
        something was handed out before it that never came.
        """
        owned = self.owned.get(event.message.partition)
        if owned is not None:
            event.value.continues(event.message.tp, owned.health.offset)
            turn = owned.read_bytes + SLICE_BYTES
            for record in event.value:
                appended = record.timestamp * 1000 if record.timestamp_type == LOG_APPEND_TIME else None
                owned.health.apply(record.offset, record.value, appended)
                owned.read_bytes += len(record.value)
                if owned.read_bytes >= turn:
                    await asyncio.sleep(0)  # scrapes, heartbeats, acknowledgements
                    turn = owned.read_bytes + SLICE_BYTES
            if not owned.recovered:
                ours = owned.health.workers.get(self.settings.nonce, 0) > owned.turn
                owned.recovered = ours and (owned.health.whole or not owned.cut)
        event.value = event.message.value = None
        event.ack()
        while owned is not None and owned.far_behind and owned in self.owned.values():
            await asyncio.sleep(JUDGE_S)

    async def judge(self) -> None:
        """Judges what the clock has passed, a slice at a time: reading, scrapes and heartbeats go on meanwhile."""
        while not self.app.should_stop:
            more = False
            for owned in list(self.owned.values()):
                if owned.health.judge():
                    more = True
                    await asyncio.sleep(0)
            if not more:
                await asyncio.sleep(JUDGE_S)

    async def report(self) -> None:
        """Tells the desk what the judges found, once what is told here is not what somebody told before."""
        async with self._telling:
            for partition, owned in list(self.owned.items()):
                ours = owned.recovered and self.owned.get(partition) is owned
                if ours and owned.told != owned.health.judging.through:
                    await self._report(partition, owned)

    async def _report(self, partition: int, owned: Owned) -> None:
        through = owned.told = owned.health.judging.through
        await self.tell(partition, through, owned.health.judging.take())

    async def snapshots(self, all_of_them: bool = False) -> None:
        """Writes the snapshots that are due."""
        async with self._writing:
            for partition, owned in list(self.owned.items()):
                age = time.monotonic() - owned.snapshot_at
                due = age >= SNAPSHOT_S or owned.read_bytes >= max(SNAPSHOT_BYTES, 2 * owned.snapshots.size)
                if (due or all_of_them) and owned.recovered and owned.health.offset > owned.snapshots.offset:
                    await self._snapshot(partition, owned)

    async def _snapshot(self, partition: int, owned: Owned) -> None:
        """State and what was found up to it are taken at one instant, and the desk has what was found before the
        snapshot is written: nobody judges again what it holds. What is found meanwhile need not wait for it."""
        async with self._telling:
            while owned.health.judging.busy and self.owned.get(partition) is owned:
                await asyncio.sleep(0)
            if self.owned.get(partition) is not owned:
                return  # its next owner goes on from what is written
            offset, blob = owned.health.offset, owned.health.snapshot()
            owned.read_bytes, owned.snapshot_at = 0, time.monotonic()
            await self._report(partition, owned)
        await owned.snapshots.write(offset, blob)

    def summaries(self) -> dict[str, bytes]:
        """What the board says of each moment that is ours."""
        out: dict[str, bytes] = {}
        for owned in self.owned.values():
            if owned.recovered:
                v = owned.viewer.view()
                recent = {(m, s): hours(owned.health, m, s) for m, segment, s in v.series if segment == names.ALL}
                out |= summaries(v, self.routes.catalogue, recent)
        return out
