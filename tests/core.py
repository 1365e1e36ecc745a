"""What the tests of the core share: a catalogue, and records and events of it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from streams.catalogue import Catalogue, parse
from streams.route import Routes

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BASE = datetime(2024, 3, 1, tzinfo=UTC)
BASE_S = int(BASE.timestamp())
HOUR_S = 3600
DAY_S = 86_400
FAR_MS = 253_402_300_800_000  # a broker's timestamp that no event of these tests is ahead of

TEXT = """
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: test}
budget_period: 5d
allowed_lateness: 1h
segments:
  region: {limit: 4}
  plan: {values: [free, pro]}
discovered: {tier: tolerable, limit: 3, objective: 90%}
moments:
  pay:
    title: Pay
    tier: game-over
    signals:
      outcome: {objective: 99%}
      need: {objective: 97%}
      wait: {objective: 95%, within: 30s}
      promise: {objective: 97%}
      csat: {objective: 80%}
      nps: {objective: 70%}
  browse:
    title: Browse
    tier: tolerable
    signals:
      outcome: {objective: 90%}
      duration: {objective: 95%, within: 2s}
      rating: {objective: 75%, good: 3}
      ces: {objective: 75%}
      sentiment: {objective: 75%, good: 0.5}
      complaint: {objective: 90%}
"""
NEWLY = """  {name}:
    title: Not yet declared
    tier: important
    signals: {{outcome: {{objective: 90%}}}}
"""


def catalogue(text: str = TEXT, **changes: tuple[str, str]) -> Catalogue:
    """The test's catalogue; each change replaces its first text by its second."""
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    return parse(text, "test.yaml")


def routes(partitions: int = 3, text: str = TEXT) -> Routes:
    return Routes(catalogue(text), partitions)


@dataclass(slots=True)
class Record:
    """What a Kafka client gives for a record; `timestamp` in milliseconds."""

    offset: int
    value: bytes | None
    key: bytes | None = b"customer"
    timestamp: int = FAR_MS
    timestamp_type: int = 1
    headers: Sequence[tuple[str, bytes | None]] = ()


Event = dict[str, Any]


def iso(seconds: float) -> str:
    """An RFC 3339 time, `seconds` after BASE."""
    return (BASE + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def event(kind: str, name: str, at_s: float, **data: Any) -> Event:
    """A CloudEvent as a dict, `at_s` seconds after BASE."""
    full = {"customer": "customer", **data}
    return {
        "specversion": "1.0", "id": name, "source": "test", "type": kind, "time": iso(at_s), "data": full,
    }  # fmt: skip


def touchpoint(name: str = "1", at_s: float = 0, **data: Any) -> Event:
    return event("cx.touchpoint", name, at_s, **{"moment": "pay", **data})


def answer(name: str = "1", at_s: float = 0, **data: Any) -> Event:
    return event("cx.feedback", name, at_s, **{"moment": "pay", "survey": "csat", **data})


def survey(name: str = "1", at_s: float = 0, **data: Any) -> Event:
    return event("cx.survey", name, at_s, **{"moment": "pay", "survey": "csat", **data})


def body(event: object) -> bytes:
    return json.dumps(event).encode()


def records(events: Iterable[Event], first: int = 0) -> list[Record]:
    return [Record(i, body(e)) for i, e in enumerate(events, first)]


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)
