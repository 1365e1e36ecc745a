"""What the simulated shop's customers do, and what they say of it: one visit after another, and a probe."""

import datetime as dt
from random import Random
from typing import Any, NamedTuple

from agents.simulate_moles import Moles
from streams import names
from streams.events import EPOCH

ANSWER_S = 14_400.0  # who has not answered by then never will
SPAN_S = 2 * 86_400  # no visit has an event later than this after its start

REGIONS = ("north", "south", "east", "west", "centre", "islands")
REGION_WEIGHTS = (26, 24, 18, 16, 11, 5)
CUSTOMERS = 40_000
CUSTOMER_REGION = tuple(Random(1).choices(REGIONS, REGION_WEIGHTS, k=CUSTOMERS))
CUSTOMER_PLAN = tuple(Random(2).choices(("free", "pro"), (4, 1), k=CUSTOMERS))


class Due(NamedTuple):
    """An event on the heap; ordered by time and then id, which is unique."""

    at: float  # seconds since 1970
    id: str
    type: str
    customer: str
    data: dict[str, Any]


class Visit:
    """One customer's way through the shop. Times in seconds since 1970; gift wrapping is new at `gifts_from`."""

    def __init__(self, moles: Moles, gifts_from: float, rng: Random, journey: str) -> None:
        self.due: list[Due] = []  # the events, in no order
        self._moles = moles
        self._gifts_from = gifts_from
        self._rng = rng
        self._journey = journey
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
        if at >= self._gifts_from and rng.random() < 0.12:
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
        mole = self._moles.harm(moment, at, self._region, self._plan, rng)
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
        data |= {"customer": self._customer, "journey": self._journey, "segment": self._segment}
        self.due.append(Due(at, f"{self._journey}-{self._step}", kind, self._customer, data))


def probe(moles: Moles, rng: Random, at: float, ident: str) -> Due:
    """A robot that is its own customer; it sees what customers see."""
    moment = rng.choice(("search-browse", "product-page", "checkout-payment"))
    region = rng.choice(REGIONS)
    data: dict[str, Any] = {
        "moment": moment,
        "customer": f"probe-{region}",
        "segment": {"region": region, "plan": "free"},
        "probe": True,
    }
    mole = moles.harm(moment, at, region, "free", rng)
    if mole is not None and mole.signal == "outcome":
        data |= {"outcome": "failed", "reason": mole.what}
    return Due(at, ident, names.TOUCHPOINT, data["customer"], data)
