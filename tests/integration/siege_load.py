"""The load of a siege: events of five moments, some late, some twice, some bad."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from tests import corpus
from tests.integration.lab import Record

LATENESS_S = 3600
BEGIN = datetime(2025, 3, 1, tzinfo=UTC).timestamp()
CATALOGUE = """
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: siege}
segments:
  region: {limit: 20}
  plan: {values: [free, pro]}
moments:
  pay:
    title: Pay
    tier: game-over
    signals: {outcome: {objective: 99%}, wait: {objective: 95%, within: 30s}}
  browse:
    title: Browse
    tier: important
    signals: {outcome: {objective: 99%}}
  support:
    title: Ask for help
    tier: tolerable
    signals: {csat: {objective: 80%}, outcome: {objective: 90%}}
  delivery:
    title: Receive
    tier: important
    signals: {outcome: {objective: 90%}}
"""
MOMENTS = ("pay", "browse", "support", "delivery", "kiosk")  # nobody declared the last one
BAD: list[Record] = [
    (c.kind, b"bad", c.value, list(c.headers)) for c in corpus.TIMELESS if len(c.value or b"") < 70_000
]


def event_bytes(kind: str, ident: str, at: float, customer: str, data: dict[str, Any]) -> bytes:
    """One CloudEvent."""
    time_ = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    whole = {"specversion": "1.0", "id": ident, "source": "/siege", "type": kind, "time": time_}
    return orjson.dumps(whole | {"data": {"customer": customer, **data}})


def load(count: int, seed: int, begin: float = BEGIN, step_s: float = 0.5, prefix: str = "") -> Iterator[Record]:
    """Events in a rising event time; one in twenty is late, one in thirty comes twice, one in 200 is bad."""
    rng = random.Random(seed)
    repeats: list[Record] = []
    for i in range(count):
        at = begin + i * step_s
        if (dice := rng.random()) < 0.05:
            at -= rng.uniform(0, 1.05 * LATENESS_S)  # a few of them are too late
        customer = f"c{rng.randrange(2000)}"
        moment = rng.choice(MOMENTS)
        data: dict[str, Any] = {"moment": moment, "segment": {"region": f"r{rng.randrange(6)}"}}
        if rng.random() < 0.5:
            data["segment"]["plan"] = rng.choice(("free", "pro", "gold"))
        if rng.random() < 0.2:
            kind = "feedback"
            value = event_bytes("cx.feedback", f"{prefix}f{seed}-{i}", at, customer,
                                data | {"survey": "csat", "score": rng.randint(1, 5)})  # fmt: skip
        else:
            kind = "touchpoints"
            data["outcome"] = "failed" if rng.random() < 0.1 else "ok"
            if moment == "pay":
                data["wait_s"] = round(rng.expovariate(1 / 15), 1)
            value = event_bytes("cx.touchpoint", f"{prefix}t{seed}-{i}", at, customer, data)
        record: Record = kind, customer.encode(), value, []
        yield record
        if dice > 0.967:
            repeats.append(record)
        if repeats and rng.random() < 0.03:
            yield repeats.pop(rng.randrange(len(repeats)))
        if rng.random() < 0.005:
            yield BAD[rng.randrange(len(BAD))]
