"""`molehill worker` that dies, fails or dawdles at a chosen point: the real program, and one event more.

    MORTAL=journal:3 MORTAL_SET=agents.health.SNAPSHOT_S=1 python -m tests.integration.mortal worker --brokers …

MORTAL is `what:n`; the process ends with `DEAD` at the n-th time:
    journal     an entry's record is acknowledged; the tallies after it were never handed to the producer
    tallies     tallies are acknowledged; the journal's entry of that flush was never handed over
    letters     a dead letter is acknowledged; nothing after it was handed over
    tombstones  a freed journal row's deletion is acknowledged
    snapshots   a chunk of a snapshot is acknowledged, and no later one was handed over
    commit      offsets are committed
    ingest      the ingest agent raises (once)
    health      the health agent raises (once)
    lost, lost-tallies
                no death of ours: the n-th batch never comes to the agent, as if somebody had emptied its queue
    dawdle      no death: until a second load begins, each tallies record takes n tenths of a second; the log tells
                of each load's begin and end
    seeks       no death: seeking a partition takes n tenths of a second more, and taking the first batch five seconds
    blind       no death: the first n answers about topics say that there are none, as a young broker's do
    weigh       no death: at each SIGRTMIN a line of the log says what is alive: `weighed: BLOCKS BYTES`
MORTAL_SET changes constants, `module.NAME=number`, comma-separated: rare things become frequent.
"""

import asyncio
import ctypes
import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import psutil
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import UnknownTopicOrPartitionError

import agents.health
import agents.ingest
from agents import cli
from agents.sinks import Outbox
from agents.transport import BatchConsumer
from streams.wire import Frontier, decode

DEAD = 77
KINDS = ("journal", "tallies", "letters", "tombstones", "snapshots")
LOST = {"lost": (agents.ingest, "Ingest"), "lost-tallies": (agents.health, "HealthStage")}


class Death:
    """Counts what happens; ends the process at the n-th."""

    def __init__(self, what: str, nth: int) -> None:
        self.what = what
        self.left = nth
        self.asked = nth  # to be handed to the producer before everything else is held back

    def strike(self) -> None:
        """It happened once more."""
        self.left -= 1
        if self.left <= 0:
            os._exit(DEAD)

    def acknowledged(self, future: Any) -> None:
        """The broker has answered."""
        if future.exception() is None:
            self.strike()

    def kind_of(self, topic: str, value: bytes | None) -> str:
        """What a record is."""
        if topic.endswith(".journal"):
            return "tombstones" if value is None else "journal"
        if topic.endswith(".tallies") and value is not None and isinstance(decode(value), Frontier):
            return "frontier"
        return topic.rpartition(".")[2]

    async def before(self, kind: str) -> None:
        """Holds records back so that the death falls between two of them."""
        if kind == self.what:
            if self.asked <= 0:
                await asyncio.Event().wait()
            self.asked -= 1
        elif self.asked <= 0 and self.what in KINDS:
            await asyncio.Event().wait()


def arm(death: Death) -> None:
    """Puts a death where it belongs."""
    if death.what in KINDS:
        _arm_outbox(death)
    elif death.what == "commit":
        _arm_commit(death)
    elif death.what in ("ingest", "health"):
        _arm_agent(death)
    elif death.what in LOST:
        _arm_loss(death, *LOST[death.what])
    elif death.what == "dawdle":
        _arm_load(death)
    elif death.what == "seeks":
        _arm_seeks(death)
    elif death.what == "blind":
        _arm_metadata(death)
    elif death.what == "weigh":
        signal.signal(signal.SIGRTMIN, _weigh)
    else:
        raise SystemExit(f"MORTAL: {death.what}?")


def _arm_outbox(death: Death) -> None:
    send, acknowledged = Outbox.send, Outbox._acknowledged

    async def mortal_send(
        self: Any, topic: str, partition: int | None, key: bytes | None, value: bytes | None, *more: Any
    ) -> None:
        kind = death.kind_of(topic, value)
        if death.what == "tallies" and kind == "journal" and death.left <= 1:
            return  # this flush's entry never leaves, its tallies do
        await death.before(kind)
        await send(self, topic, partition, key, value, *more)
        if kind == death.what:
            self.pending[-1].add_done_callback(death.acknowledged)

    async def mortal_letter(self: Any, to: str, key: Any, value: Any, headers: Any) -> None:
        await death.before("letters")
        await acknowledged(self, to, key, value, headers)
        if death.what == "letters":
            death.strike()

    replace(Outbox, "send", mortal_send)
    replace(Outbox, "_acknowledged", mortal_letter)


def _arm_commit(death: Death) -> None:
    commit: Callable[..., Any] = BatchConsumer._commit

    async def mortal(self: Any, offsets: Any) -> bool:
        done = await commit(self, offsets)
        death.strike()
        return bool(done)

    replace(BatchConsumer, "_commit", mortal)


def _arm_agent(death: Death) -> None:
    def count() -> None:
        death.left -= 1
        if death.left == 0:
            raise RuntimeError("planted by a test")

    if death.what == "ingest":
        ingest_take = agents.ingest.Ingest.take

        async def mortal_ingest(self: Any, event: Any) -> None:
            count()
            await ingest_take(self, event)

        replace(agents.ingest.Ingest, "take", mortal_ingest)
    else:
        health_take = agents.health.HealthStage.take

        async def mortal_health(self: Any, event: Any) -> None:
            count()
            await health_take(self, event)

        replace(agents.health.HealthStage, "take", mortal_health)


def _arm_loss(death: Death, module: Any, stage: str) -> None:
    take = getattr(module, stage).take

    async def forgetful(self: Any, event: Any) -> None:
        death.left -= 1
        if death.left != 0:
            await take(self, event)

    replace(getattr(module, stage), "take", forgetful)


def _arm_load(death: Death) -> None:
    load, send = agents.ingest.Ingest.load, Outbox.send
    begun = [0]

    async def slow_load(self: Any, assigned: Any, generation: int) -> Any:
        begun[0] += 1
        mine = begun[0]
        print("load", mine, "begins", flush=True)
        try:
            return await load(self, assigned, generation)
        finally:
            print("load", mine, "ends", flush=True)

    async def slow_send(
        self: Any, topic: str, partition: int | None, key: bytes | None, value: bytes | None, *more: Any
    ) -> None:
        if begun[0] == 1 and topic.endswith(".tallies"):
            await asyncio.sleep(death.left / 10)
        await send(self, topic, partition, key, value, *more)

    replace(agents.ingest.Ingest, "load", slow_load)
    replace(Outbox, "send", slow_send)


def _arm_seeks(death: Death) -> None:
    restart, take = BatchConsumer._restart, agents.ingest.Ingest.take
    pauses = [5.0]

    async def slow_restart(self: Any, tp: Any, offset: int) -> None:
        await restart(self, tp, offset)
        await asyncio.sleep(death.left / 10)

    async def slow_take(self: Any, event: Any) -> None:
        await asyncio.sleep(pauses.pop() if pauses else 0)
        await take(self, event)

    replace(BatchConsumer, "_restart", slow_restart)
    replace(agents.ingest.Ingest, "take", slow_take)


def _arm_metadata(death: Death) -> None:
    update = ClusterMetadata.update_metadata

    def blind(self: Any, metadata: Any) -> None:
        if metadata.topics and death.left > 0:
            death.left -= 1
            metadata.topics = [(UnknownTopicOrPartitionError.errno, t[1], t[2], []) for t in metadata.topics]
        update(self, metadata)

    replace(ClusterMetadata, "update_metadata", blind)


def _weigh(*_: object) -> None:
    """Blocks that live objects hold (a test's measure: the same state has about as many), and bytes resident.

    Garbage is collected and free memory given back first: without that, resident memory rises and falls by a quarter.
    """
    gc.unfreeze()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    print("weighed:", sys.getallocatedblocks(), psutil.Process().memory_info().rss, flush=True)
    gc.freeze()


def replace(owner: Any, name: str, value: Any) -> None:
    """Sets an attribute of a class or a module."""
    if not hasattr(owner, name):
        raise SystemExit(f"mortal.py is out of date: {owner} has no {name}")
    setattr(owner, name, value)


def main() -> None:
    """Arms, then runs the command line."""
    for part in filter(None, os.environ.get("MORTAL_SET", "").split(",")):
        path, _, value = part.partition("=")
        module, _, name = path.rpartition(".")
        replace(importlib.import_module(module), name, float(value) if "." in value else int(value))
    what, _, nth = os.environ.get("MORTAL", "").partition(":")
    if what:
        arm(Death(what, int(nth or 1)))
    cli.main()


if __name__ == "__main__":
    main()
