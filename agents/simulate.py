"""A simulated web shop for the demo: customers on journeys, feedback, probes, and moles that come and go.

The moments are those of `deploy/moments.yaml`, and one that it lacks (`gift-wrapping`, from the second day
on). Everything follows from the seed and `now`: each minute has a generator of its own, so the events of a
span are the same however it is cut and wherever one begins, and the truth about the moles is known
(`Shop.moles`). Three days of history are about 75,000 events, made in some 2 s; the present is busier.
"""

import datetime as dt
import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

import orjson

from streams import names

HISTORY = dt.timedelta(days=3)
HISTORY_VISITS_PER_SECOND = 0.063  # averaged over a day; a visit has 4.3 events in the end
LIVE_PER_SECOND = 10.0  # events
LIVE_EVENTS_A_VISIT = 2.9  # those of its first minutes
WARM_UP_S = 600  # the busy time begins so long before `now`: who pays now came minutes ago
ANSWER_S = 14_400.0  # who has not answered by then never will
SPAN_S = 2 * 86_400  # no visit has an event later than this after its start

# Share of a day's visits in each UTC hour, 1 = the average: quiet at night, lunch, a peak in the evening.
RHYTHM = (
    0.55, 0.45, 0.4, 0.4, 0.45, 0.55, 0.7, 0.9, 1.05, 1.15, 1.2, 1.25,
    1.3, 1.25, 1.15, 1.1, 1.15, 1.25, 1.4, 1.55, 1.6, 1.4, 1.05, 0.75,
)  # fmt: skip
REGIONS = ("north", "south", "east", "west", "centre", "islands")
REGION_WEIGHTS = (26, 24, 18, 16, 11, 5)
CUSTOMERS = 40_000
CUSTOMER_REGION = tuple(Random(1).choices(REGIONS, REGION_WEIGHTS, k=CUSTOMERS))
CUSTOMER_PLAN = tuple(Random(2).choices(("free", "pro"), (4, 1), k=CUSTOMERS))
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

Record = tuple[str, bytes, bytes]  # topic, key, value


@dataclass(frozen=True, slots=True)
class Mole:
    """The truth about one harm: `share` of the events that start in it go wrong in the way of `signal`."""

    moment: str
    segment: tuple[str, str] | None  # (dimension, value); None: everyone
    signal: str  # outcome, need, wait, duration or promise
    start: dt.datetime
    end: dt.datetime
    share: float
    what: str


class _Due(NamedTuple):
    """An event on the heap; ordered by time and then id, which is unique."""

    at: float  # seconds since 1970
    id: str
    type: str
    customer: str
    data: dict[str, Any]


# (start and end in minutes from now, moment, segment, signal, share, what)
Script = tuple[float, float, str, tuple[str, str] | None, str, float, str]
NORTH_PAYMENT = ("checkout-payment", ("region", "north"), "outcome", 0.85, "card-gateway-timeout")
PAST: tuple[Script, ...] = (
    (-66 * 60, -65 * 60 - 20, *NORTH_PAYMENT),
    (-52 * 60, -47 * 60, "delivery", ("region", "islands"), "promise", 0.7, "ferry-cancelled"),
    (-43 * 60, -41 * 60, "support-call", None, "wait", 0.9, "half the agents were ill"),
    (-29 * 60, -27.5 * 60, "search-browse", None, "need", 0.6, "search-index-empty"),
    (-19 * 60, -18 * 60 - 20, *NORTH_PAYMENT),  # it comes back
    (-9 * 60, -7 * 60, "order-confirmation", ("plan", "pro"), "outcome", 0.8, "mail-template"),
    (-4 * 60, -3 * 60, "dispatch", ("region", "east"), "promise", 0.8, "conveyor-belt"),
)
# From now on these come again and again: whoever watches sees one pop within the first minute or two.
CYCLE_MINUTES = 20.0
COMING: tuple[Script, ...] = (
    (0.1, 6, *NORTH_PAYMENT),
    (2.5, 8, "support-call", None, "wait", 0.9, "half the agents were ill"),
    (9, 14, "search-browse", ("plan", "pro"), "need", 0.7, "search-index-empty"),
    (12, 17, "order-confirmation", None, "duration", 0.6, "mail-queue"),
)
COMING_CYCLES = 72  # a day of them


class Shop:
    """One shop, by its seed. `now` is where history ends and the busy present begins."""

    def __init__(self, now: dt.datetime, seed: int = 1, per_second: float = LIVE_PER_SECOND) -> None:
        self.now = now
        self._seed = seed
        self._now_s = now.timestamp()
        self._per_second = per_second
        self._second_day_s = (now - HISTORY + dt.timedelta(days=1)).timestamp()
        scripts = [*PAST]
        for cycle in range(COMING_CYCLES):
            shift = cycle * CYCLE_MINUTES
            scripts += [(start + shift, end + shift, *rest) for start, end, *rest in COMING]  # type: ignore[misc]
        self._moles = tuple(
            Mole(moment, segment, signal, self._minutes(start), self._minutes(end), share, what)
            for start, end, moment, segment, signal, share, what in scripts
        )
        self._by_moment: dict[str, list[tuple[float, float, Mole]]] = {}
        for mole in self._moles:
            span = (mole.start.timestamp(), mole.end.timestamp(), mole)
            self._by_moment.setdefault(mole.moment, []).append(span)

    def moles(self) -> tuple[Mole, ...]:
        """The ground truth, past and coming, by start."""
        return tuple(sorted(self._moles, key=lambda mole: (mole.start, mole.moment)))

    def events(self, start: dt.datetime, end: dt.datetime) -> Iterator[Record]:
        """Every event of [start, end), in order of event time."""
        return self.feed(start).until(end)

    def feed(self, start: dt.datetime) -> "Feed":
        """Events from `start` on, as they fall due."""
        return Feed(self, start)

    def _minutes(self, minutes: float) -> dt.datetime:
        return self.now + dt.timedelta(minutes=minutes)

    def visits(self, minute: int, since: float = 0.0) -> list[_Due]:
        """The events, from `since` (s) on, of visits that begin in one minute since 1970; unordered."""
        rng = Random(f"{self._seed}:{minute}")
        start = minute * 60.0
        rhythm = RHYTHM[minute // 60 % 24]
        if start < self._now_s - WARM_UP_S:
            rate = HISTORY_VISITS_PER_SECOND * rhythm
        else:  # a demo at night is worth watching too
            rate = self._per_second / LIVE_EVENTS_A_VISIT * (0.7 + 0.3 * rhythm)
        due: list[_Due] = []
        at, number = start + rng.expovariate(rate), 0
        while at < start + 60:
            _Visit(self, rng, f"{minute:x}-{number:x}", due, since).go(at)
            at += rng.expovariate(rate)
            number += 1
        if minute % 5 == 0:
            self._probe(rng, start + rng.random() * 60, f"{minute:x}-probe", due)
        return due if start >= since else [event for event in due if event.at >= since]

    def harm(self, moment: str, at: float, region: str, plan: str, rng: Random) -> Mole | None:
        """The mole that spoils this event, if one does."""
        for start, end, mole in self._by_moment.get(moment, ()):
            if (
                start <= at < end
                and (mole.segment is None or mole.segment[1] in (region, plan))
                and rng.random() < mole.share
            ):
                return mole
        return None

    def _probe(self, rng: Random, at: float, ident: str, due: list[_Due]) -> None:
        """A robot that is its own customer; it sees what customers see."""
        moment = rng.choice(("search-browse", "product-page", "checkout-payment"))
        region = rng.choice(REGIONS)
        data: dict[str, Any] = {
            "moment": moment,
            "customer": f"probe-{region}",
            "segment": {"region": region, "plan": "free"},
            "probe": True,
        }
        mole = self.harm(moment, at, region, "free", rng)
        if mole is not None and mole.signal == "outcome":
            data |= {"outcome": "failed", "reason": mole.what}
        due.append(_Due(at, ident, names.TOUCHPOINT, data["customer"], data))


class Feed:
    """The shop's events from `start` on, each delivered once."""

    def __init__(self, shop: Shop, start: dt.datetime) -> None:
        self._shop = shop
        self._start_s = start.timestamp()
        self._minute = int(self._start_s - SPAN_S) // 60  # visits that began earlier still have events to come
        self._heap: list[_Due] = []

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


def _record(due: _Due) -> Record:
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


class _Visit:
    """One customer's way through the shop. Times in seconds since 1970."""

    def __init__(self, shop: Shop, rng: Random, journey: str, due: list[_Due], since: float) -> None:
        self._shop = shop
        self._rng = rng
        self._journey = journey
        self._due = due
        self._since = since
        number = int(rng.random() ** 2 * CUSTOMERS)  # some come often
        self._customer = f"c{number}"
        self._region = CUSTOMER_REGION[number]
        self._plan = CUSTOMER_PLAN[number]
        self._segment = {"region": self._region, "plan": self._plan}
        self._step = 0

    def go(self, at: float) -> None:
        """Look around; some buy; some have a question about an earlier order."""
        rng = self._rng
        if rng.random() < 0.06:
            self._call(at)
            if rng.random() < 0.5:
                return
        for _ in range(1 + (rng.random() < 0.3)):
            duration = rng.lognormvariate(-0.9, 0.5)
            found = self.touch("search-browse", at, bad=0.001, need=0.1, duration_s=(duration, 2.0))
            at += 10 + rng.random() * 90
        if not found or rng.random() > 0.72:
            return
        for _ in range(1 + (rng.random() < 0.5)):
            self.touch("product-page", at, bad=0.001)
            at += 15 + rng.random() * 120
        if rng.random() < 0.03:
            stars = self._score((0.02, 0.04, 0.07, 0.3, 1))
            self.answer("rating", "product-page", at, stars, solicited=False)
        if rng.random() < 0.55:
            self._buy(at)
        elif rng.random() < 0.03:
            self._call(at + 60)

    def _buy(self, at: float) -> None:
        rng = self._rng
        if at >= self._shop._second_day_s and rng.random() < 0.12:
            self.touch("gift-wrapping", at - 5, bad=0.01, need=0.03)
        wait = rng.lognormvariate(1.2, 0.7)
        paid = self.touch("checkout-payment", at, bad=0.001, need=0.008, wait_s=(wait, 30.0))
        if not paid:
            self._after_failure(at)
            return
        if rng.random() < 0.08:
            self._survey("csat", "checkout-payment", at + 30, 0.35, (0.01, 0.03, 0.09, 0.4, 1))
        mail = rng.lognormvariate(3, 0.7)
        self.touch("order-confirmation", at + mail, bad=0.001, duration_s=(mail, 300.0))
        packed = at + rng.choice((600, 3_600, 14_400)) * (0.5 + rng.random())
        self.touch("dispatch", packed, bad=0.002, promised=packed + 1_800, late_by=5_400, late=0.008)
        # A courier in town, or a day or two on the road.
        road = 1_500 + rng.random() * 1_800 if rng.random() < 0.35 else 40_000 + rng.random() * 90_000
        arrived = packed + road
        fine = self.touch("delivery", arrived, bad=0.004, promised=arrived + 3_600, late_by=20_000, late=0.015)
        happy = (0.01, 0.03, 0.09, 0.4, 1) if fine else (0.5, 0.75, 0.9, 0.97, 1)
        if rng.random() < 0.3:
            self._survey("csat", "delivery", arrived + 1_800, 0.4, happy)
        if not fine and rng.random() < 0.15:
            self.answer("complaint", "delivery", arrived + 900, None, solicited=False)
        if rng.random() < 0.05:
            self._survey_nps(arrived + 7_200)
        if rng.random() < 0.05:
            self._return(arrived + 4_000 + rng.random() * 20_000)

    def _return(self, at: float) -> None:
        self.touch("returns-refund", at, bad=0.004, promised=at + 7_200, late_by=40_000, late=0.01)
        if self._rng.random() < 0.3:
            survey = "praise" if self._rng.random() < 0.96 else "complaint"
            self.answer(survey, "returns-refund", at + 600, None, solicited=False)

    def _after_failure(self, at: float) -> None:
        """Some call, most are called back, as `closed_loop` of the catalogue wants it."""
        if self._rng.random() < 0.3:
            self._call(at + 120)
        if self._rng.random() < 0.7:
            called = at + 1_800 + self._rng.random() * 10_000
            self.touch("support-callback", called, bad=0.01, promised=called + 3_600, late_by=10_000, late=0.03)

    def _call(self, at: float) -> None:
        rng = self._rng
        wait = rng.lognormvariate(2.2, 0.6)
        solved = self.touch("support-call", at, bad=0.008, need=0.06, wait_s=(wait, 30.0))
        if rng.random() < 0.5:
            ces = (0.01, 0.02, 0.04, 0.09, 0.3, 0.6, 1) if solved else (0.3, 0.5, 0.7, 0.85, 0.93, 0.97, 1)
            mood = round(max(-1.0, min(1.0, rng.gauss(0.5 if solved else -0.5, 0.25))), 2)
            self._survey("ces", "support-call", at + 600, 0.5, ces, sentiment=mood)
        if rng.random() < 0.1:  # what the agents believe of their call: rosier than the customers'
            self.answer("csat", "support-call", at + 700, self._score((0, 0, 0.02, 0.2, 1)), voice="company")
        if rng.random() < 0.05:
            score = self._score((0.01, 0.04, 0.12, 0.5, 1))
            self.answer("csat", "support-call", at + 800, score, voice="probe")

    def _survey_nps(self, at: float) -> None:
        scale = (0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1, 0.18, 0.35, 0.7, 1)
        self._survey("nps", names.RELATIONSHIP, at, 0.4, scale, lowest=0)
        if self._rng.random() < 0.3:
            self._survey("csat", names.RELATIONSHIP, at + 60, 0.4, (0.01, 0.03, 0.1, 0.4, 1))

    def _survey(
        self, survey: str, moment: str, at: float, response: float, scale: tuple[float, ...], **more: Any
    ) -> None:
        """Ask; some answer, minutes later."""
        lowest = more.pop("lowest", 1)
        self._put(names.SURVEY, at, {"moment": moment, "survey": survey})
        if self._rng.random() < response:
            score = self._score(scale, lowest)
            self.answer(survey, moment, at + 60 + min(ANSWER_S, self._rng.expovariate(1 / 1_200)), score, **more)

    def _score(self, cumulative: tuple[float, ...], lowest: int = 1) -> int:
        drawn = self._rng.random()
        return lowest + next(i for i, share in enumerate(cumulative) if drawn < share)

    def answer(self, survey: str, moment: str, at: float, score: int | None, **more: Any) -> None:
        data = {"moment": moment, "survey": survey, **more}
        if score is not None:
            data["score"] = score
        self._put(names.ANSWER, at, data)

    def touch(
        self,
        moment: str,
        at: float,
        bad: float,
        need: float | None = None,
        wait_s: tuple[float, float] | None = None,
        duration_s: tuple[float, float] | None = None,
        promised: float | None = None,
        late_by: float = 0,
        late: float = 0,
    ) -> bool:
        """One touchpoint; true where all went well.

        `bad`, `need`, `late`: shares that fail, go without what they came for, come later than was promised.
        A pair is (what it took, what the catalogue allows), both in seconds.
        """
        rng = self._rng
        mole = self._shop.harm(moment, at, self._region, self._plan, rng)
        spoilt = None if mole is None else mole.signal
        data: dict[str, Any] = {"moment": moment}
        fine = True
        if spoilt == "outcome" or rng.random() < bad:
            data["outcome"] = "failed" if spoilt or rng.random() < 0.8 else "abandoned"
            data["reason"] = mole.what if mole and spoilt == "outcome" else "unknown"
            fine = False
        if need is not None:
            data["need_met"] = fine and spoilt != "need" and rng.random() >= need
            fine = data["need_met"]
        if wait_s is not None:
            data["wait_s"] = round(wait_s[0] + (wait_s[1] * (4 + 20 * rng.random()) if spoilt == "wait" else 0), 1)
        if duration_s is not None:
            slow = duration_s[1] * (2 + 3 * rng.random()) if spoilt == "duration" else 0
            data["duration_s"] = round(duration_s[0] + slow, 2)
        if promised is not None:
            if spoilt == "promise" or rng.random() < late:
                promised -= late_by
                fine = False
            data["promised_by"] = EPOCH + dt.timedelta(seconds=int(promised))
        self._put(names.TOUCHPOINT, at, data)
        return fine

    def _put(self, kind: str, at: float, data: dict[str, Any]) -> None:
        self._step += 1
        if at >= self._since:
            data["customer"] = self._customer
            data["journey"] = self._journey
            data["segment"] = self._segment
            self._due.append(_Due(at, f"{self._journey}-{self._step}", kind, self._customer, data))
