"""A small shop near the wall clock: days without harm, and then a collapse that any detector must see."""

import datetime as dt
import random
from collections.abc import Iterator

import orjson

from tests.integration.lab import Record, as_record

MOMENTS = """
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: collapse}
segments:
  region: {values: [north, south]}
moments:
  pay:
    title: Pay for the order
    tier: game-over
    owner: payments
    runbook: https://example.com/runbooks/pay
    signals: {outcome: {objective: 99%}}
  ask:
    title: Ask for help
    tier: important
    signals: {outcome: {objective: 95%}}
  browse:
    title: Look around
    tier: tolerable
    signals: {outcome: {objective: 90%}}
"""
HISTORY = dt.timedelta(days=3)
EVERY_S = 120  # between two events of a moment in the history
COLLAPSED = 400  # events that fail, in a minute


def _event(ident: str, at: dt.datetime, moment: str, customer: str, region: str, outcome: str) -> Record:
    data = {"moment": moment, "customer": customer, "segment": {"region": region}, "outcome": outcome}
    event = {"specversion": "1.0", "id": ident, "source": "/shop", "type": "cx.touchpoint", "time": at, "data": data}
    return as_record(orjson.dumps(event))


def quiet_days(now: dt.datetime) -> Iterator[Record]:
    """Three days up to `now`, a failure in a thousand."""
    rng = random.Random(1)
    at, n = now - HISTORY, 0
    while at < now:
        for moment in ("pay", "ask", "browse"):
            outcome = "failed" if rng.random() < 0.001 else "ok"
            region = rng.choice(("north", "south"))
            yield _event(f"h{n}", at, moment, f"c{rng.randrange(5000)}", region, outcome)
            n += 1
        at += dt.timedelta(seconds=EVERY_S)


def collapse(now: dt.datetime, moment: str = "pay", region: str = "north", turn: int = 0) -> Iterator[Record]:
    """The minute before `now`: whoever comes from the region fails, whoever does not is served. Another turn has
    other events."""
    rng = random.Random(2)
    for i in range(COLLAPSED):
        at = now - dt.timedelta(seconds=60 * (1 - i / COLLAPSED))
        yield _event(f"x{moment}{turn}-{i}", at, moment, f"c{rng.randrange(5000)}", region, "failed")
        if i % 8 == 0:
            other = "south" if region == "north" else "north"
            yield _event(f"y{moment}{turn}-{i}", at, moment, f"c{rng.randrange(5000)}", other, "ok")
