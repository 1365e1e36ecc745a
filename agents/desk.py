"""The desk: every worker folds the candidates log and so has all moles; one of them tells the world.

The log has one partition and is read whole by everyone, outside the consumer group: whoever answers a page knows
every mole, and a worker that dies takes none with it. The owner is whoever owns tallies partition 0 and has read its
own word back. It writes each transition to `cx.moles`, then a snapshot: what lies before the newest snapshot has been
told. A new owner tells what lies after it, some of it perhaps twice, with the same ids.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from agents.settings import Settings
from agents.sinks import Header, Outbox
from agents.snapshots import Snapshots
from streams.candidates import Asked, Candidates, Judged, announcement, encode
from streams.errors import MolehillError
from streams.moles import Command, Finding, IllegalTransition, Mole, Transition
from streams.route import Routes

FINDINGS = 200  # in a message, some 100 KB
SNAPSHOT_S = 60.0
POLL_MS = 500
RETRY_S = 1.0
ANSWER_S = 10.0
HEADERS: Final[list[Header]] = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
log = logging.getLogger("molehill")


class Unanswered(MolehillError):
    """A command was written, or may have been, and no answer came in time."""


class DeskStage:
    """The fold of this worker. `owner()`: whether this worker owns tallies partition 0, recovered and in session."""

    def __init__(self, settings: Settings, routes: Routes, app: Any, owner: Callable[[], bool]) -> None:
        self.settings = settings
        self.app = app
        self.fold = Candidates(routes.catalogue, routes.partitions)
        self.board: dict[str, bytes] = {}  # moment → its summary, JSON; of all workers
        self.version = 0  # counts what has been read: of moles, summaries and the clock
        self.loaded = False
        self._owner = owner
        self._tp = TopicPartition(settings.candidates, 0)
        self._snapshots = Snapshots(app, settings.desk, 0, settings.nonce)
        self._snapshot_at = time.monotonic()
        self._token = ""
        self._untold: list[tuple[int, Transition]] = []
        self._caught_up = ""
        self._requests = itertools.count()
        self._answers: dict[str, asyncio.Future[list[Transition]]] = {}
        self._changed = asyncio.Condition()

    @property
    def serving(self) -> bool:
        """Whether this worker exports the moles: it owns them and its fold has read its own word back."""
        return self.loaded and self._owner() and self._caught_up == self._token

    # Writing

    def assigned(self, assignment: int) -> None:
        """Partitions have moved: what we say from now on is ours in this assignment."""
        self._token = f"{self.settings.nonce}-{assignment}"

    async def tell(self, partition: int, through: int, findings: list[Finding]) -> None:
        """Writes what a partition's judges found; returns when the broker has it."""
        outbox = Outbox(self.app)
        while True:
            some, findings = findings[:FINDINGS], findings[FINDINGS:]
            message = Judged(partition, 0 if findings else through, some, self._token)
            await outbox.send(self.settings.candidates, 0, None, encode(message))
            if not findings:
                return await outbox.settled()

    async def ask(self, command: Command) -> list[Transition]:
        """Writes a command and waits until it is done. Raises IllegalTransition, Unanswered."""
        request = f"{self.settings.nonce}-{next(self._requests)}"
        answer = self._answers[request] = asyncio.get_running_loop().create_future()
        outbox = Outbox(self.app)
        try:
            async with asyncio.timeout(ANSWER_S):
                await outbox.send(self.settings.candidates, 0, None, encode(Asked(command, request)))
                await outbox.settled()
                done: list[Transition] = await answer
                return done
        except TimeoutError:
            raise Unanswered(f"{command.action}: no answer within {ANSWER_S:.0f} s; look at the mole") from None
        finally:
            del self._answers[request]

    def moles(self) -> list[Mole]:
        """Those that are up, and those that ended lately."""
        return self.fold.desk.moles()

    async def post(self, summaries: dict[str, bytes]) -> None:
        """Tells everyone's board of moments that have changed."""
        outbox = Outbox(self.app)
        for moment, summary in summaries.items():
            if self.board.get(moment) != summary:
                await outbox.send(self.settings.board, 0, moment.encode(), summary)
        await outbox.settled()

    async def changed(self, version: int, timeout_s: float) -> None:
        """Returns when something is newer than `version`, or after the timeout."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: self.version != version)

    # Reading

    async def run(self) -> None:
        """Folds the log for as long as the worker lives."""
        while not self.app.should_stop:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.settings.brokers,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=POLL_MS,
            )
            try:
                await consumer.start()
                await self._read(consumer)
            except KafkaError as e:
                log.warning("the desk's log cannot be read (%s); trying again", type(e).__name__)
                await asyncio.sleep(RETRY_S)
            finally:
                await consumer.stop()

    async def _read(self, consumer: Any) -> None:
        boards = [TopicPartition(self.settings.board, 0), TopicPartition(self.settings.desk, 0)]
        consumer.assign([self._tp, *boards])
        ends: dict[TopicPartition, int] = {}  # as they are now: who has read less would show an empty board
        if not self.loaded and not self.settings.embedded:
            await self._restore(consumer, boards[1])
            ends = await consumer.end_offsets([self._tp, boards[0]])
        consumer.seek(self._tp, self.fold.offset + 1)
        consumer.seek(boards[0], 0)
        while not self.app.should_stop:
            if not self.loaded:
                self.loaded = all([await consumer.position(tp) >= end for tp, end in ends.items()])
            found = await consumer.getmany(timeout_ms=POLL_MS)
            for tp, records in found.items():
                for record in records:
                    self._take(tp.topic, record)
            if found:
                async with self._changed:
                    self.version += 1
                    self._changed.notify_all()
            await self._publish()

    async def _restore(self, consumer: Any, tp: TopicPartition) -> None:
        """The newest snapshot of the desk; the topic is compacted, and small."""
        end = (await consumer.end_offsets([tp]))[tp]
        rows: dict[bytes, bytes] = {}
        consumer.seek(tp, 0)
        while await consumer.position(tp) < end:
            for record in (await consumer.getmany(tp, timeout_ms=POLL_MS)).get(tp, ()):
                if record.value is None:
                    rows.pop(record.key, None)
                else:
                    rows[record.key] = record.value
        blob = self._snapshots.load(rows.items())
        if blob is not None:
            self.fold.restore(blob)

    def _take(self, topic: str, record: Any) -> None:
        if topic == self.settings.board:
            self.board[record.key.decode()] = record.value
        elif topic == self.settings.desk:
            self._snapshots.saw(record.key, record.value)
            if record.value is not None:  # somebody's snapshot: what it holds has been told
                told = int(record.key.split(b"|")[1].split(b"-")[0])
                self._untold = [u for u in self._untold if u[0] > told]
        else:
            found = self.fold.apply(record.offset, record.value)
            self._untold += [(record.offset, t) for t in found]
            if self.fold.tokens.get(0) == self._token:
                self._caught_up = self._token
            answer = self._answers.get(self.fold.answered)
            if answer is not None and not answer.done():
                if self.fold.refusal:
                    answer.set_exception(IllegalTransition(self.fold.refusal))
                else:
                    answer.set_result(found)

    async def _publish(self) -> None:
        """Tells the world what it has not been told, if that is ours to do, and remembers it."""
        if not self.serving:
            return
        untold, self._untold = self._untold, []
        offset, due = self.fold.offset, time.monotonic() - self._snapshot_at >= SNAPSHOT_S
        outbox = Outbox(self.app)
        for _, transition in untold:
            value = announcement(transition, f"/molehill/{self.settings.app}")
            await outbox.send(self.settings.moles, None, transition.mole.id.encode(), value, HEADERS)
        await outbox.settled()
        if (untold or (due and offset > self._snapshots.offset)) and not self.settings.embedded:
            self._snapshot_at = time.monotonic()
            await self._snapshots.write(offset, self.fold.snapshot())
