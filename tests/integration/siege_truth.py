"""What a siege's load comes to, by a plain loop, and as the samples of /metrics.

The truth is worked out from what Kafka holds in the end, read back by another client, record by record in the order
of their offsets: whatever happened to broker and producer meanwhile, that is what there was to count.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from streams import names
from tests import corpus
from tests.integration.lab import PARTITIONS
from tests.integration.siege_load import LATENESS_S

Where = tuple[str, int, int]  # topic, partition, offset


@dataclass
class Truth:
    """What is to come out, by a plain loop."""

    totals: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    received: Counter[tuple[str, str]] = field(default_factory=Counter)
    accepted: Counter[tuple[str, str]] = field(default_factory=Counter)
    duplicates: Counter[tuple[str, str]] = field(default_factory=Counter)
    late: Counter[tuple[str, str]] = field(default_factory=Counter)
    rejected: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    letters: dict[Where, bytes | None] = field(default_factory=dict)


def verdicts(event: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Signal and result of one of the load's events, by the contract's words."""
    data = event["data"]
    if event["type"] == "cx.feedback":
        if data["moment"] in ("support", "kiosk"):
            yield "csat", "good" if data["score"] >= 4 else "bad"
        return
    yield "outcome", "good" if data.get("outcome", "ok") == "ok" else "bad"
    if "wait_s" in data and data["moment"] == "pay":
        yield "wait", "good" if data["wait_s"] <= 30 else "bad"


PLANS = ("free", "pro")


def truth_of(records: list[Any], now: float | None = None) -> Truth:
    """Counts what Kafka holds; a load's bad records are known by their key."""
    out = Truth()
    reasons = {(c.value, tuple(c.headers)): c.reason for c in corpus.BAD}
    watermarks: dict[tuple[str, int], float] = {}
    seen: dict[tuple[str, int], set[str]] = defaultdict(set)
    for r in sorted(records, key=lambda r: (r.topic, r.partition, r.offset)):
        tp = r.topic, r.partition
        at = r.topic, str(r.partition)
        out.received[at] += 1
        if r.key == b"bad":
            out.rejected[*at, reasons[r.value, tuple(r.headers)]] += 1
            out.letters[*tp, r.offset] = r.value
            continue
        event = orjson.loads(r.value)
        when = datetime.fromisoformat(event["time"]).timestamp()
        if when > (r.timestamp / 1000 if now is None else now) + 300:
            out.rejected[*at, names.FROM_FUTURE] += 1
            out.letters[*tp, r.offset] = r.value
        elif when < watermarks.get(tp, 0) - LATENESS_S:
            out.rejected[*at, names.TOO_LATE] += 1
            out.letters[*tp, r.offset] = r.value
        elif event["id"] in seen[tp]:
            out.duplicates[at] += 1
        else:
            seen[tp].add(event["id"])
            out.late[at] += when < watermarks.get(tp, 0)
            watermarks[tp] = max(watermarks.get(tp, 0), when)
            out.accepted[at] += 1
            data = event["data"]
            segments = ["all"]
            for name, value in data.get("segment", {}).items():
                segments.append(f"{name}={value if name != 'plan' or value in PLANS else 'other'}")
            for signal, result in verdicts(event):
                for segment in segments:
                    out.totals[data["moment"], segment, signal, result] += 1
    return out


def expected(truth: Truth) -> dict[str, float]:
    """The samples that the truth asks for, as the exposition format writes them, without zeros."""
    out: dict[str, float] = {}
    for (moment, segment, signal, result), n in truth.totals.items():
        out[f'cx_events_total{{moment="{moment}",result="{result}",segment="{segment}",signal="{signal}"}}'] = n
    for metric, counts in (("received", truth.received), ("accepted", truth.accepted),
                           ("duplicates", truth.duplicates), ("late_events", truth.late)):  # fmt: skip
        for (topic, partition), n in counts.items():
            out[f'molehill_{metric}_total{{partition="{partition}",topic="{topic}"}}'] = n
    for (topic, partition, reason), n in truth.rejected.items():
        out[f'molehill_rejected_total{{partition="{partition}",reason="{reason}",topic="{topic}"}}'] = n
    return out


def differences(want: dict[str, float], got: dict[str, float]) -> list[str]:
    """What is not as it should be; a lag must be exported, and 0, for every source partition."""
    lags = {k: v for k, v in got.items() if k.startswith("molehill_lag_events")}
    out = [f"{k} is {v:g}" for k, v in lags.items() if v]
    if len(lags) != 2 * PARTITIONS:
        out.append(f"{len(lags)} lags")
    rest = {k: v for k, v in got.items() if v and k not in lags}
    return out + [f"{k}: {rest.get(k, 0):g}, expected {want.get(k, 0):g}"
                  for k in sorted(want.keys() | rest.keys()) if want.get(k, 0) != rest.get(k, 0)]  # fmt: skip
