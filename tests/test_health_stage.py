"""agents/health.py without Kafka: what waits for what. The log's messages are the pipeline's own."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

import agents.health
from agents.health import HealthStage
from agents.settings import Settings
from agents.transport import Batch
from streams.moles import Finding
from tests.core import Record, records, routes, touchpoint
from tests.pipeline import SOURCES, Pipeline

TURNS = 10_000  # of the event loop: more than anything here takes that does not wait for ever
SETTINGS = Settings("127.0.0.1:9", Path("moments.yaml"), Path("data"))


class App:
    """What the stage asks of Faust's app, and of its producer."""

    should_stop = False

    def __init__(self) -> None:
        self.producer = self
        self.sent: list[asyncio.Future[None]] = []  # to be acknowledged, or not, by the test
        self.asked = asyncio.Event()

    async def send(self, *record: Any) -> asyncio.Future[None]:
        """Takes a record."""
        self.sent.append(asyncio.get_running_loop().create_future())
        self.asked.set()
        return self.sent[-1]


class Rows:
    """A table that recovery has read nothing into."""

    @property
    def data(self) -> "Rows":
        """Its store."""
        return self

    def take(self, partition: int) -> list[tuple[bytes, bytes]]:
        """Nothing."""
        return []


class Message:
    """A batch of records of the log, as Faust hands it out."""

    def __init__(self, offset: int, *values: bytes) -> None:
        self.message = self
        self.partition = 0
        self.tp = TP(SETTINGS.tallies, 0)
        self.value: Any = Batch(Record(offset + i, value) for i, value in enumerate(values))
        self.acked = False

    def ack(self) -> None:
        """Notes it."""
        self.acked = True


async def told_nobody(partition: int, through: int, findings: list[Finding]) -> None:
    """A desk that has everything at once."""


def a_stage(sources: int, tell: Any = told_nobody) -> HealthStage:
    """The stage of a worker that has been assigned the only tallies partition."""
    stage = HealthStage(SETTINGS, routes(1), App(), Rows(), tell)
    stage.owned = stage.load({TP(SETTINGS.tallies, 0)}, 0)
    stage.owned[0].health.clock.expected = sources
    return stage


async def turns_until(done: Callable[[], bool], what: str) -> None:
    """Lets the event loop turn until something is so."""
    for _ in range(TURNS):
        if done():
            return
        await asyncio.sleep(0)
    raise AssertionError(f"never: {what}")


def log_of(*batches: tuple[tuple[str, int], list[float]]) -> list[bytes]:
    """The tallies of one failed touchpoint at each time, a flush for each batch of a source."""
    some: dict[tuple[str, int], list[Record]] = {}
    for tp, times in batches:
        begin = len(some.setdefault(tp, []))
        events = [touchpoint(f"{begin + i}", at, outcome="failed") for i, at in enumerate(times)]
        some[tp] += records(events, begin)
    pipeline = Pipeline(routes(1), some)
    for tp, times in batches:
        pipeline.feed(tp, len(times))
        pipeline.flush(tp)
    return pipeline.tallies[0]


def test_a_source_that_is_far_ahead_does_not_keep_the_stage_from_reading_what_moves_the_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    source 0        #  # # # # # # # #      a day, read at once
    source 1        #                #      the clock stands here ...   and moves by this message
    """
    monkeypatch.setattr(agents.health, "FAR_BEHIND", 20)
    monkeypatch.setattr(agents.health, "JUDGE_S", 0)
    ahead, behind = SOURCES[0], SOURCES[1]
    day = [hour * 3600.0 for hour in range(24)]
    log = log_of((behind, [0.0]), (ahead, day), (behind, [day[-1]]))

    async def run() -> None:
        stage = a_stage(sources=2)
        judging = asyncio.ensure_future(stage.judge())
        messages = [Message(offset, value) for offset, value in enumerate(log)]

        async def read() -> None:
            for message in messages:
                await stage.take(message)

        reading = asyncio.ensure_future(read())
        await turns_until(reading.done, "everything is read")
        health = stage.owned[0].health
        await turns_until(lambda: not health.behind, "everything is judged")
        assert all(m.acked for m in messages)
        assert health.judging.through == health.clock.now // 10_000_000 * 10
        judging.cancel()

    asyncio.run(run())


def test_reading_waits_for_judging_that_is_far_behind_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.health, "FAR_BEHIND", 20)
    monkeypatch.setattr(agents.health, "JUDGE_S", 0)
    log = log_of((SOURCES[0], [hour * 3600.0 for hour in range(24)]), (SOURCES[0], [24 * 3600.0]))

    async def run() -> None:
        stage = a_stage(sources=1)
        first, second = (Message(offset, value) for offset, value in enumerate(log))

        async def read() -> None:
            await stage.take(first)
            await stage.take(second)

        reading = asyncio.ensure_future(read())
        await turns_until(lambda: first.acked, "the first one is folded in")
        for _ in range(100):
            await asyncio.sleep(0)
        assert not second.acked
        judging = asyncio.ensure_future(stage.judge())
        await turns_until(reading.done, "the second one is read")
        judging.cancel()

    asyncio.run(run())


def test_what_is_found_is_told_while_a_snapshot_is_written_and_not_after_it() -> None:
    """The order of a partition's findings is kept, and what a snapshot holds is told before it is written."""
    log = log_of((SOURCES[0], [0.0, 3600.0]), (SOURCES[0], [7200.0]))

    async def run() -> None:
        told: list[tuple[int, int]] = []  # through, records sent by then

        async def tell(partition: int, through: int, findings: list[Finding]) -> None:
            told.append((through, len(app.sent)))

        stage = a_stage(sources=1, tell=tell)
        app = stage.app
        owned = stage.owned[0]
        owned.recovered = True

        def read(offset: int) -> int:
            owned.health.apply(offset, log[offset])
            while owned.health.judge():
                pass
            return owned.health.judging.through

        one = read(0)
        writing = asyncio.ensure_future(stage.snapshots(all_of_them=True))
        await app.asked.wait()  # it is on its way to the broker, which says nothing
        two = read(1)
        reporting = asyncio.ensure_future(stage.report())
        await turns_until(reporting.done, "what was found meanwhile is told")
        again = asyncio.ensure_future(stage.snapshots(all_of_them=True))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not writing.done()
        assert told == [(one, 0), (two, 1)]
        assert len(app.sent) == 1, "two snapshots of one partition at a time"
        app.asked.clear()
        app.sent[0].set_result(None)
        await app.asked.wait()
        assert writing.done()
        assert owned.snapshots.offset == 0
        app.sent[1].set_result(None)
        app.asked.clear()
        await app.asked.wait()  # the first one is deleted
        app.sent[2].set_result(None)
        await again
        assert owned.snapshots.offset == 1
        assert one < two

    asyncio.run(run())


def test_a_large_fetch_is_folded_in_slices_between_which_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = log_of(*((SOURCES[0], [float(i)]) for i in range(50)))
    monkeypatch.setattr(agents.health, "SLICE_BYTES", sum(map(len, log)) // 10)

    async def run() -> None:
        stage = a_stage(sources=1)
        taking = asyncio.ensure_future(stage.take(Message(0, *log)))
        seen = set[int]()
        while not taking.done():
            await asyncio.sleep(0)
            seen.add(stage.owned[0].health.offset)
        assert len(seen) >= 9
        assert stage.owned[0].health.offset == 49

    asyncio.run(run())


def test_partitions_are_judged_in_turns() -> None:
    log = log_of((SOURCES[0], [0.0, 3600.0]))

    async def run() -> None:
        stage = a_stage(sources=1)
        stage.owned |= {p: a_stage(sources=1).owned[0] for p in range(1, 8)}
        for owned in stage.owned.values():
            owned.health.apply(0, log[0])
        judging = asyncio.ensure_future(stage.judge())
        begun = [0]
        while begun[-1] < 8:
            await asyncio.sleep(0)
            begun.append(sum(not o.health.behind or o.health.judging.busy for o in stage.owned.values()))
        assert begun == list(range(9))
        judging.cancel()

    asyncio.run(run())
