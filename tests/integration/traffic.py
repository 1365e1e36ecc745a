"""Customers in real time: each event is sent when its time has come, so that event time is the wall clock's."""

import contextlib
import datetime as dt
import itertools
import json
import threading
import time
from collections.abc import Iterator
from random import Random
from typing import Any

from agents.sender import Sender, partition_of
from agents.simulate import Shop
from streams import names
from tests.integration.lab import PARTITIONS, Lab

EVERY_S = 0.25
PER_SECOND = 8  # events of each moment that is being hurt
CALM = dt.timedelta(hours=33)  # before its `now` the simulated shop has two hours without moles of its own
HEARD_S = 1.0  # so often each partition of either topic has an event: the clock waits for the slowest


class Traffic:
    """A shop at work. What is in `hurt`, moment → share of failures by region, goes wrong meanwhile."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self.hurt: dict[str, dict[str, float]] = {}
        self._waits: list[tuple[float, float]] = []  # when, and how much later than wanted
        self._lab = lab
        self._seed = seed
        self._count = itertools.count()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        rng = Random(self._seed)
        topic_of = {True: self._lab.topics["touchpoints"], False: self._lab.topics["feedback"]}
        began = dt.datetime.now(dt.UTC)
        feed = Shop(began + CALM, self._seed).feed(began)
        with Sender(self._lab.brokers, None, topic_of[True], topic_of[False]) as sender:
            heard, last = 0.0, time.time()
            while not self._end.wait(EVERY_S):
                now = time.time()
                for topic, key, value in feed.until(dt.datetime.fromtimestamp(now, dt.UTC)):
                    sender.send(topic_of[topic == names.TOUCHPOINTS], key, value)
                for moment, shares in list(self.hurt.items()):
                    for _ in range(round(PER_SECOND * (now - last))):
                        region = rng.choice(list(shares))
                        outcome = "failed" if rng.random() < shares[region] else "ok"
                        data = {"moment": moment, "outcome": outcome, "segment": {"region": region}}
                        key, value = self._event(names.TOUCHPOINT, now, f"c{rng.randrange(5000)}", data)
                        sender.send(topic_of[True], key, value)
                if now - heard >= HEARD_S:
                    heard = now
                    for customer in self._one_of_each():
                        browse = {"moment": "search-browse", "outcome": "ok"}
                        asked = {"moment": names.RELATIONSHIP, "survey": "nps"}
                        sender.send(topic_of[True], *self._event(names.TOUCHPOINT, now, customer, browse))
                        sender.send(topic_of[False], *self._event(names.SURVEY, now, customer, asked))
                sender.flush()
                self._waits.append((now, now - last - EVERY_S))
                last = now

    def late_s(self, since: float) -> float:
        """By how many seconds in all events came later than they happened: a machine without time, a slow broker."""
        return sum(late for at, late in list(self._waits) if at >= since)

    def _event(self, kind: str, at: float, customer: str, data: dict[str, Any]) -> tuple[bytes, bytes]:
        when = dt.datetime.fromtimestamp(at, dt.UTC).isoformat()
        event = {"specversion": "1.0", "id": f"{next(self._count)}", "source": "traffic", "type": kind, "time": when}
        return customer.encode(), json.dumps(event | {"data": data | {"customer": customer}}).encode()

    @staticmethod
    def _one_of_each() -> list[str]:
        """A customer of each partition."""
        found: dict[int, str] = {}
        for i in range(PARTITIONS * 20):
            found.setdefault(partition_of(f"regular{i}".encode(), PARTITIONS), f"regular{i}")
        return list(found.values())

    @contextlib.contextmanager
    def flowing(self) -> Iterator["Traffic"]:
        """Goes on until the end of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._end.set()
            self._thread.join(60)
