"""A simulated web shop for the demo: customers on journeys, feedback, probes, and moles that come and go.

The moments are those of `deploy/moments.yaml`, and one that it lacks (`gift-wrapping`, from the second day
on). Everything follows from the seed and `now`: each minute has a generator of its own, so the events of a
span are the same however it is cut and wherever one begins, and the truth about the moles is known
(`Shop.moles`). Three days of history are about 75,000 events, made in some 2 s; the present is busier.
"""

import datetime as dt
import heapq
from collections.abc import Iterator
from random import Random

import orjson

from agents.simulate_customers import SPAN_S, Due, Visit, probe
from agents.simulate_moles import Mole, Moles
from streams import names
from streams.events import EPOCH

HISTORY = dt.timedelta(days=3)
HISTORY_VISITS_PER_SECOND = 0.063  # averaged over a day; a visit has 4.3 events in the end
LIVE_PER_SECOND = 10.0  # events
LIVE_EVENTS_A_VISIT = 2.9  # those of its first minutes
WARM_UP_S = 600  # the busy time begins so long before `now`: who pays now came minutes ago

# Share of a day's visits in each UTC hour, 1 = the average: quiet at night, lunch, a peak in the evening.
RHYTHM = (
    0.55, 0.45, 0.4, 0.4, 0.45, 0.55, 0.7, 0.9, 1.05, 1.15, 1.2, 1.25,
    1.3, 1.25, 1.15, 1.1, 1.15, 1.25, 1.4, 1.55, 1.6, 1.4, 1.05, 0.75,
)  # fmt: skip

Record = tuple[str, bytes, bytes]  # topic, key, value


class Shop:
    """One shop, by its seed. `now` is where history ends and the busy present begins."""

    def __init__(self, now: dt.datetime, seed: int = 1, per_second: float = LIVE_PER_SECOND) -> None:
        self.now = now
        self._seed = seed
        self._now_s = now.timestamp()
        self._per_second = per_second
        self._gifts_from = (now - HISTORY + dt.timedelta(days=1)).timestamp()
        self._moles = Moles(now)

    def moles(self) -> tuple[Mole, ...]:
        """The ground truth, past and coming, by start."""
        return self._moles.by_start

    def events(self, start: dt.datetime, end: dt.datetime) -> Iterator[Record]:
        """Every event of [start, end), in order of event time."""
        return self.feed(start).until(end)

    def feed(self, start: dt.datetime) -> "Feed":
        """Events from `start` on, as they fall due."""
        return Feed(self, start)

    def visits(self, minute: int, since: float = 0.0) -> list[Due]:
        """The events, from `since` (s) on, of visits that begin in one minute since 1970; unordered."""
        rng = Random(f"{self._seed}:{minute}")
        start = minute * 60.0
        rhythm = RHYTHM[minute // 60 % 24]
        if start < self._now_s - WARM_UP_S:
            rate = HISTORY_VISITS_PER_SECOND * rhythm
        else:  # a demo at night is worth watching too
            rate = self._per_second / LIVE_EVENTS_A_VISIT * (0.7 + 0.3 * rhythm)
        due: list[Due] = []
        at, number = start + rng.expovariate(rate), 0
        while at < start + 60:
            visit = Visit(self._moles, self._gifts_from, rng, f"{minute:x}-{number:x}")
            visit.go(at)
            due += visit.due
            at += rng.expovariate(rate)
            number += 1
        if minute % 5 == 0:
            due.append(probe(self._moles, rng, start + rng.random() * 60, f"{minute:x}-probe"))
        return due if start >= since else [event for event in due if event.at >= since]


class Feed:
    """The shop's events from `start` on, each delivered once."""

    def __init__(self, shop: Shop, start: dt.datetime) -> None:
        self._shop = shop
        self._start_s = start.timestamp()
        self._minute = int(self._start_s - SPAN_S) // 60  # visits that began earlier still have events to come
        self._heap: list[Due] = []

    def until(self, end: dt.datetime) -> Iterator[Record]:
        """The events before `end` that have not been delivered yet, in order of event time."""
        end_s = end.timestamp()
        while True:
            horizon = self._minute * 60.0  # no later visit has an event before it
            while self._heap and self._heap[0].at < min(horizon, end_s):
                due = heapq.heappop(self._heap)
                yield _record(due)
            if horizon >= end_s:
                return
            for due in self._shop.visits(self._minute, self._start_s):
                heapq.heappush(self._heap, due)
            self._minute += 1


def _record(due: Due) -> Record:
    event = {
        "specversion": "1.0",
        "id": due.id,
        "source": "shop",
        "type": due.type,
        "time": EPOCH + dt.timedelta(milliseconds=int(due.at * 1000)),
        "data": due.data,
    }
    topic = names.TOUCHPOINTS if due.type == names.TOUCHPOINT else names.FEEDBACK
    return topic, due.customer.encode(), orjson.dumps(event, option=orjson.OPT_UTC_Z)
