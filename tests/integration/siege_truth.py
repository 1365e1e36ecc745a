"""What a siege's load comes to, by a plain loop, and as the samples of /metrics.

The truth is worked out from what Kafka holds in the end, read back by another client, record by record in the order
of their offsets: whatever happened to broker and producer meanwhile, that is what there was to count.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from streams import names
from tests import corpus
from tests.expected import WINDOWS, Total
from tests.integration.lab import PARTITIONS
from tests.integration.siege_load import LATENESS_S

Where = tuple[str, int, int]  # topic, partition, offset
FINEST_S = 10  # every bucket is made of whole ones of these
COUNTERS = (
    "cx_events_total", "molehill_received_total", "molehill_accepted_total", "molehill_duplicates_total",
    "molehill_rejected_total", "molehill_late_events_total",
)  # fmt: skip
_SIDES = {  # of: received = accepted + duplicates + rejected
    "molehill_received_total": 1, "molehill_accepted_total": -1, "molehill_duplicates_total": -1,
    "molehill_rejected_total": -1,
}  # fmt: skip


@dataclass
class Truth:
    """What is to come out, by a plain loop."""

    totals: Counter[Total] = field(default_factory=Counter)
    buckets: Counter[tuple[int, Total]] = field(default_factory=Counter)  # by their start, `FINEST_S` long
    watermarks: dict[tuple[str, int], float] = field(default_factory=dict)  # of sources that have events
    received: Counter[tuple[str, str]] = field(default_factory=Counter)
    accepted: Counter[tuple[str, str]] = field(default_factory=Counter)
    duplicates: Counter[tuple[str, str]] = field(default_factory=Counter)
    late: Counter[tuple[str, str]] = field(default_factory=Counter)
    rejected: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    letters: dict[Where, bytes | None] = field(default_factory=dict)

    def windows(self, clock: float) -> dict[str, float]:
        """The samples of the windows at a clock, without zeros: buckets that start in (floor(T) - w, floor(T)]."""
        out: Counter[tuple[Total, str]] = Counter()
        for window, (length, bucket) in WINDOWS.items():
            top = clock // bucket * bucket
            for (finest, total), n in self.buckets.items():
                if top - length < finest // bucket * bucket <= top:
                    out[total, window] += n
        return {
            f'cx_window_events{{moment="{m}",result="{r}",segment="{g}",signal="{s}",window="{w}"}}': n
            for ((m, g, s, r), w), n in out.items()
        }


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
    watermarks = out.watermarks
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
                    total = data["moment"], segment, signal, result
                    out.totals[total] += 1
                    out.buckets[int(when // FINEST_S * FINEST_S), total] += 1
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
    return out + unequal(want, {k: v for k, v in got.items() if k not in lags})


def unequal(want: dict[str, float], got: dict[str, float]) -> list[str]:
    """Where two sets of samples differ; one that is not there is 0."""
    return [f"{k}: {got.get(k, 0):g}, expected {want.get(k, 0):g}"
            for k in sorted(want.keys() | got.keys()) if want.get(k, 0) != got.get(k, 0)]  # fmt: skip


def named(got: dict[str, float], *metrics: str) -> dict[str, float]:
    """The samples of some metrics."""
    return {k: v for k, v in got.items() if k.partition("{")[0] in metrics}


def wrong_windows(
    truth: Truth, got: dict[str, float], clocks: Collection[float], windows: Collection[str]
) -> list[str]:
    """Where some windows are not the truth's, at the clock that all workers have.

    That is not before the slowest source's watermark, so that hardly a bucket is ahead of it. A flush that got lost
    shows here even where the next event of each series told its total again: its buckets stay away.
    """
    if not windows:
        return []
    clock = max(clocks, default=0.0)
    if len(clocks) != 1 or clock < min(truth.watermarks.values(), default=0.0):
        return [f"clocks at {sorted(clocks)}"]
    want, found = (
        {k: v for k, v in some.items() if any(f'window="{w}"' in k for w in windows)}
        for some in (truth.windows(clock), named(got, "cx_window_events"))
    )
    return unequal(want, found)


def unbalanced(got: dict[str, float]) -> list[str]:
    """The source topic-partitions of which received is not accepted, duplicates and rejected taken together."""
    left: dict[str, float] = defaultdict(float)
    for sample, n in got.items():
        name, _, labels = sample.partition("{")
        left[re.sub('reason="[^"]*",', "", labels)] += _SIDES.get(name, 0) * n
    return [f"{{{where}: {n:+g} received, and neither counted nor refused" for where, n in left.items() if n]
