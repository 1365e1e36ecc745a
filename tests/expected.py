"""The contract as a plain loop: what the core must come to.

It knows nothing of the core: it reads the events as dicts, in the contract's words, and adds up in Counters.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from streams.catalogue import Catalogue
from tests.core import EPOCH, HOUR_S, Event

Total = tuple[str, str, str, str]  # moment, segment, signal, result
GOOD = {"csat": 4, "rating": 4, "ces": 5, "nps": 9, "sentiment": 0}
WINDOWS = {"5m": (300, 10), "30m": (1800, 10), "1h": (3600, 60), "2h": (7200, 60), "6h": (21600, 60)}
WINDOWS |= {"1d": (86_400, 600), "3d": (259_200, 600)}
NEVER = ("wait", "duration")  # not measured in a discovered moment


def micros_of(time: str) -> int:
    return (datetime.fromisoformat(time) - EPOCH) // timedelta(microseconds=1)


def verdicts(e: Event, c: Catalogue) -> dict[str, str]:
    """What an event says of its moment's signals, by the contract's words: signal → good | bad."""
    d, out = e["data"], {}
    moment = d.get("moment", "relationship")
    declared = c.moments[moment].signals if moment in c.moments else None
    within = {s: declared[s].within for s in NEVER if declared and s in declared}
    limit = dict(GOOD)
    if declared:
        limit |= {s: declared[s].good for s in GOOD if s in declared}  # type: ignore[misc]
    if e["type"] == "cx.touchpoint":
        ok = d.get("outcome", "ok") == "ok"
        out["outcome"] = ok
        if d.get("need_met") is not None:
            out["need"] = d["need_met"]
        for s in NEVER:
            if d.get(f"{s}_s") is not None and within.get(s) is not None:
                out[s] = d[f"{s}_s"] <= within[s]
        if d.get("promised_by") is not None:
            out["promise"] = ok and micros_of(e["time"]) <= micros_of(d["promised_by"])
    elif e["type"] == "cx.feedback":
        score = d.get("score")
        if d["survey"] in ("complaint", "praise"):
            out["complaint"] = d["survey"] == "praise"
        elif score is not None and (d["survey"] != "nps" or score >= limit["nps"] or score <= 6):
            out[d["survey"]] = score >= limit[d["survey"]]
        if d.get("sentiment") is not None:
            out["sentiment"] = d["sentiment"] >= limit["sentiment"]
    return {s: "good" if v else "bad" for s, v in out.items() if declared is None or s in declared}


def segments_of(e: Event, c: Catalogue) -> list[str]:
    """The segments that an event counts under, where no limit is reached."""
    d = e["data"]
    if d.get("probe") or d.get("voice") == "probe":
        return ["voice=probe"]
    if d.get("voice") == "company":
        return ["voice=company"]
    out = ["all"]
    for name, value in (d.get("segment") or {}).items():
        if name in c.dimensions:
            values = c.dimensions[name].values
            out.append(f"{name}={value if values is None or value in values else 'other'}")
    return out


@dataclass
class Expected:
    """What the contract says of the records of several sources, each in the order of its offsets."""

    catalogue: Catalogue
    counts: dict[tuple[str, int], Counter[str]] = field(default_factory=dict)
    watermarks: dict[tuple[str, int], int | None] = field(default_factory=dict)
    accepted: list[Event] = field(default_factory=list)

    def read(self, source: tuple[str, int], events: Iterable[Event | str]) -> None:
        """A whole source; a str stands for a bad message, and is its reason."""
        lateness = int(self.catalogue.allowed_lateness * 1e6)
        seen: set[tuple[str, str]] = set()
        count: Counter[str] = Counter()
        mark: int | None = None
        for e in events:
            count["received"] += 1
            if isinstance(e, str):
                count[e] += 1
                continue
            at, name = micros_of(e["time"]), (e["source"], e["id"])
            if mark is not None and at < mark - lateness:
                count["too_late"] += 1
            elif name in seen:
                count["duplicates"] += 1
            else:
                seen.add(name)
                count["accepted"] += 1
                mark = at if mark is None else max(mark, at)
                self.accepted.append(e)
        self.counts[source], self.watermarks[source] = count, mark

    def totals(self) -> Counter[Total]:
        """All that was ever counted."""
        return self._sum(self.accepted)

    def window(self, window: str, clock: int) -> Counter[Total]:
        """The events whose bucket starts in (floor(T) - w, floor(T)]; `clock` in microseconds."""
        length, bucket = WINDOWS[window]
        return self._between(length, bucket, clock)

    def budget(self, clock: int) -> Counter[Total]:
        return self._between(int(self.catalogue.budget_period), HOUR_S, clock)

    def _between(self, length: int, bucket: int, clock: int) -> Counter[Total]:
        top = clock // 1_000_000 // bucket * bucket
        starts = [(micros_of(e["time"]) // 1_000_000 // bucket * bucket, e) for e in self.accepted]
        return self._sum(e for start, e in starts if top - length < start <= top)

    def _sum(self, events: Iterable[Event]) -> Counter[Total]:
        out: Counter[Total] = Counter()
        for e in events:
            for signal, result in verdicts(e, self.catalogue).items():
                for segment in segments_of(e, self.catalogue):
                    out[e["data"].get("moment", "relationship"), segment, signal, result] += 1
        return out
