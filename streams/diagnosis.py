"""What the doctor concludes from what it found: pure, so that every sickness can be tested without being caught.

A `Finding` is one line: ok, warn (it works, but not as well as it could, or it could not be looked at) or fail
(events are lost, late, unread or counted wrong), and what to do about it.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from streams.catalogue import Catalogue
from streams.events import EPOCH, SECOND
from streams.yaml_readers import nearest

Status = Literal["ok", "warn", "fail"]

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
BEHIND_WARN_S: Final = 60.0  # of lag; a worker flushes every 0.4 s
BEHIND_FAIL_S: Final = 900.0
SKEW_WARN_S: Final = 2.0
SKEW_FAIL_S: Final = 60.0  # a fifth of the 5 min that an event may be ahead of the broker
STALE_S: Final = 3600.0  # contract: farther behind, the clock stands still when all is idle
SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. `todo` is empty where nothing is to be done."""

    check: str
    status: Status
    what: str
    todo: str = ""


@dataclass(slots=True)
class Sample:
    """The newest records of one source topic, as the reader found them. Times in microseconds since 1970."""

    records: int = 0
    keyless: int = 0
    other_key: int = 0
    misplaced: int = 0  # not where Java's default partitioner puts their key
    ahead: int = 0  # events over 5 min ahead of their record
    stamped: bool = True  # by the broker (LogAppendTime), as far as records tell
    refused: dict[str, int] = field(default_factory=dict)  # reason → count
    moments: set[str] = field(default_factory=set)
    values: dict[str, set[str]] = field(default_factory=dict)  # dimension → values
    newest: dict[int, int] = field(default_factory=dict)  # partition → the latest event time
    appended: dict[int, int] = field(default_factory=dict)  # partition → the latest record's timestamp


def keys(samples: Mapping[str, Sample]) -> list[Finding]:
    """Whether the newest records have their customer for a key, and lie where every other producer would put them."""
    out: list[Finding] = []
    for name, s in samples.items():
        check = f"keys {name}"
        events = s.records - sum(s.refused.values())
        faults = [
            f"{n} of {events} newest events {what}"
            for n, what in ((s.keyless, "have no key"), (s.other_key, "have a key other than their customer"))
            if n
        ]
        if faults:
            todo = "key by customer: only then are one's repeats and journeys seen together"
            out.append(Finding(check, "warn", "; ".join(faults), todo))
        elif s.misplaced:
            what = f"{s.misplaced} of {events} newest events are not where murmur2 puts their key"
            todo = "let producers of both topics use one partitioner (librdkafka: partitioner=murmur2_random)"
            out.append(Finding(check, "warn", what, todo))
        elif events:
            out.append(Finding(check, "ok", f"{events} newest events: the key is the customer, placed by murmur2"))
        else:
            out.append(Finding(check, "ok", "no events yet"))
        if s.refused:
            parts = ", ".join(f"{reason} {n}" for reason, n in sorted(s.refused.items()))
            todo = "`molehill dead-letters list` tells what was wrong with them"
            out.append(
                Finding(f"events {name}", "warn", f"of {s.records} newest records would be refused: {parts}", todo)
            )
    return out


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group: how many members, and per (topic, partition) the committed offset, the end, and the age in
    seconds of the first record that is not committed."""

    name: str
    members: int
    committed: Mapping[tuple[str, int], int]
    ends: Mapping[tuple[str, int], int]
    ages_s: Mapping[tuple[str, int], float]


def lag(group: Group) -> list[Finding]:
    """Whether somebody reads, and how far behind."""
    check = f"lag {group.name}"
    behind = {
        tp: end - group.committed.get(tp, 0) for tp, end in group.ends.items() if end > group.committed.get(tp, 0)
    }
    total, age = sum(behind.values()), max((group.ages_s.get(tp, 0.0) for tp in behind), default=0.0)
    if not group.members:
        what = "no worker runs" + (f"; {total} records wait" if total else "")
        return [Finding(check, "fail", what, f"start `molehill worker --app {group.name}`")]
    workers = f"{group.members} worker{'s' * (group.members != 1)}"
    if age < BEHIND_WARN_S:
        return [Finding(check, "ok", f"{workers}, {total} records behind")]
    worst = max(behind, key=lambda tp: group.ages_s.get(tp, 0.0))
    what = f"{workers}, {total} records and {long(round(age * 1000))} behind, most of all {worst[0]}/{worst[1]}"
    todo = "add workers (up to the number of partitions), or look at their logs"
    return [Finding(check, "fail" if age >= BEHIND_FAIL_S else "warn", what, todo)]


def clock(
    samples: Mapping[str, Sample], now: int, skew_s: float | None, catalogue: Catalogue | None
) -> list[Finding]:
    """Broker against wall clock (`skew_s`, where it was measured), event time against both. `now` in microseconds."""
    out: list[Finding] = []
    appended = [t for s in samples.values() if s.stamped for t in s.appended.values()]
    ahead_s = skew_s if skew_s is not None else (max(appended, default=0) - now) / SECOND
    if abs(ahead_s) >= SKEW_WARN_S and (skew_s is not None or ahead_s > 0):
        status: Status = "fail" if abs(ahead_s) >= SKEW_FAIL_S else "warn"
        what = f"the broker's is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's"
        out.append(Finding("clock", status, what, "set both by NTP: `from_future` is judged by the broker's"))
    elif skew_s is not None:
        out.append(Finding("clock", "ok", f"the broker's is within {abs(skew_s):.1f} s of this machine's"))
    else:
        out.append(Finding("clock", "ok", "the broker's is not ahead of this machine's (--probe measures both ways)"))
    for name, s in samples.items():
        if s.ahead:
            what = f"{s.ahead} of {s.records} newest events are over 5 min ahead of the broker: from_future"
            out.append(Finding(f"time {name}", "fail", what, "set the producers' clocks"))
        if s.newest:
            out.append(_event_time(name, s, now, catalogue))
    return out


def _event_time(name: str, s: Sample, now: int, catalogue: Catalogue | None) -> Finding:
    check, latest = f"time {name}", max(s.newest.values())
    if (now - latest) / SECOND > STALE_S:
        todo = "nothing, if this is a replay or nothing happens; otherwise look at the producers"
        return Finding(check, "warn", f"the newest event is of {_stamp(latest)}: the clock stands still there", todo)
    lateness = catalogue.allowed_lateness if catalogue else STALE_S
    slow = [p for p, t in s.newest.items() if (s.appended[p] - t) / SECOND > lateness]
    if slow:
        what = f"partitions {_some(sorted(map(str, slow)))} get events of over {long(round(lateness * 1000))} ago"
        return Finding(check, "warn", what, "the clock waits for them: send in time, or raise allowed_lateness")
    return Finding(check, "ok", f"the newest event is of {_stamp(latest)}")


def catalogue_in_use(catalogue: Catalogue, samples: Mapping[str, Sample]) -> list[Finding]:
    """What the newest events name that the catalogue lacks, and the other way round."""
    out: list[Finding] = []
    records = sum(s.records for s in samples.values())
    seen = {m for s in samples.values() for m in s.moments}
    known = list(catalogue.moments)
    if missing := sorted(seen - set(known)):
        hints = [m + nearest(m, known) for m in missing]
        status: Status = "warn" if catalogue.discovered.limit else "fail"
        todo = f"declare them, or they are discovered (up to {catalogue.discovered.limit})"
        out.append(Finding("moments", status, f"seen and not declared: {_some(hints)}", todo))
    if records and (silent := [m for m in known if m not in seen]):
        what = f"declared and not among the newest {records} events: {_some(silent)}"
        out.append(Finding("moments", "warn", what, "nothing, if they are rare; else look at who should send them"))
    if records and not out:
        out.append(Finding("moments", "ok", f"all {len(known)} declared ones, and no others, are seen"))
    for d in catalogue.dimensions.values():
        values = {v for s in samples.values() for v in s.values.get(d.name, ())}
        if d.values is not None and (strange := sorted(values - set(d.values))):
            todo = f"add them to segments.{d.name}.values, or send others"
            out.append(Finding(f"segment {d.name}", "warn", f"{len(strange)} values count as other", todo))
        elif d.values is None and len(values) > d.limit:
            todo = f"raise segments.{d.name}.limit, or send coarser values"
            what = f"{len(values)} values in the newest events, over the limit of {d.limit}: the rest count as other"
            out.append(Finding(f"segment {d.name}", "warn", what, todo))
        elif records:
            out.append(Finding(f"segment {d.name}", "ok", f"{len(values)} values of at most {d.limit}"))
    return out


def watermarks(shown: Mapping[tuple[str, int], int], samples: Mapping[str, Sample], behind: int) -> list[Finding]:
    """Whether a worker's watermarks (microseconds) have what its topics have; `behind`: records it has not read."""
    stale = [
        f"{topic}/{p}"
        for (topic, p), at in shown.items()
        if (s := samples.get(topic)) and not s.ahead and s.newest.get(p, 0) > at + BEHIND_WARN_S * SECOND
    ]
    if stale and not behind:
        what = f"the watermark of {_some(stale)} is older than accepted events"
        return [Finding("watermarks", "fail", what, "look at the worker's log, then restart it")]
    return [Finding("watermarks", "ok", f"{len(shown)} partitions")]


def series(exported: int, refused: int) -> list[Finding]:
    """Whether a worker keeps series back."""
    if not refused:
        return [Finding("series", "ok", f"{exported} exported, none over --max-series")]
    what = f"{refused} of {exported + refused} are over --max-series: counted, but no alert and no dashboard has them"
    todo = "lower the limits of segments in the catalogue, add workers, or raise --max-series"
    return [Finding("series", "warn", what, todo)]


def _some(found: Sequence[str]) -> str:
    more = len(found) - SHOWN
    return ", ".join(found[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def long(ms: int) -> str:
    """A duration in its largest whole unit."""
    for name, unit in (("d", DAY_MS), ("h", HOUR_MS), ("m", 60_000)):
        if ms >= 2 * unit or ms == unit:
            return f"{ms / unit:.3g}{name}"
    return f"{ms / 1000:.3g}s"


def _stamp(at: int) -> str:
    return f"{EPOCH + dt.timedelta(microseconds=at):%Y-%m-%dT%H:%M:%SZ}"
