"""What the doctor concludes of topics: whether they are there, alike, stamped by the broker, kept and replicated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from streams.catalogue import Catalogue
from streams.diagnosis import DAY_MS, Finding, long

Config = Mapping[str, str]

SOURCES: Final = ("source", "mapped")
MAKES: Final = {
    "source": "`molehill topics --brokers …` makes it",
    "mapped": "correct its name in the catalogue's `sources`, or make it",
    "letters": "`molehill topics --brokers …` makes it",
    "log": "a worker makes it when it starts",
    "state": "a worker makes it when it starts",
}


@dataclass(frozen=True, slots=True)
class Expected:
    """A topic that should be there. `role`: source, mapped (a source that others make), letters, log (kept by
    time) or state (compacted)."""

    name: str
    role: Literal["source", "mapped", "letters", "log", "state"]
    partitions: int | None = None
    config: Config = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is. `thin`: partitions with fewer in-sync replicas than replicas; `dead`: without a leader."""

    partitions: int
    replicas: int
    thin: int
    dead: int
    config: Config


def topics(
    expected: Sequence[Expected], found: Mapping[str, Topic], brokers: int, catalogue: Catalogue | None
) -> list[Finding]:
    """Whether topics are there, alike, stamped by the broker, kept for long enough and replicated."""
    out: list[Finding] = []
    sources = [e.name for e in expected if e.role in SOURCES and e.name in found]
    counts = {name: found[name].partitions for name in sources}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        todo = "make them anew with one count: a customer's events must share a partition number (`molehill topics`)"
        out.append(Finding("partitions", "fail", f"source topics differ: {listed}", todo))
    elif counts:
        out.append(Finding("partitions", "ok", f"{len(counts)} source topics of {next(iter(counts.values()))} each"))
    for e in expected:
        topic = found.get(e.name)
        if topic is None:
            own = e.role in ("log", "state")
            out.append(Finding(f"topic {e.name}", "warn" if own else "fail", "is missing", MAKES[e.role]))
            continue
        faults = _replication(e.name, topic, brokers) + _kept(e, topic, catalogue)
        if e.role in SOURCES and topic.config.get("message.timestamp.type") != "LogAppendTime":
            todo = _alter(e.name, "message.timestamp.type=LogAppendTime")
            faults.append(Finding(f"topic {e.name}", "warn", "its times are the producers', not the broker's", todo))
        if e.partitions is not None and topic.partitions != e.partitions:
            what = f"has {topic.partitions} partitions, expected {e.partitions}"
            faults.append(Finding(f"topic {e.name}", "fail", what, "begin again with another --app"))
        out += faults or [Finding(f"topic {e.name}", "ok", _about(e, topic, catalogue))]
    return out


def _replication(name: str, topic: Topic, brokers: int) -> list[Finding]:
    check = f"topic {name}"
    if topic.dead:
        return [Finding(check, "fail", f"{topic.dead} partitions have no leader", "start the brokers that hold them")]
    if topic.thin:
        what = f"{topic.thin} partitions lack in-sync replicas"
        return [Finding(check, "warn", what, "look at the brokers that are behind or down")]
    if topic.replicas == 1 and brokers > 1:
        todo = "raise it (kafka-reassign-partitions.sh): with one broker gone, its events are"
        return [Finding(check, "warn", f"one replica on {brokers} brokers", todo)]
    return []


def _kept(e: Expected, topic: Topic, catalogue: Catalogue | None) -> list[Finding]:
    """Cleanup policy and retention."""
    check, policy = f"topic {e.name}", topic.config.get("cleanup.policy", "delete")
    wanted = "compact" if e.role == "state" else "delete"
    if policy != wanted:
        why = "state would be lost" if wanted == "compact" else "events of one key replace each other"
        return [
            Finding(check, "fail", f"cleanup.policy is {policy}: {why}", _alter(e.name, f"cleanup.policy={wanted}"))
        ]
    kept_ms = int(topic.config.get("retention.ms", "-1"))
    if e.role == "state" or kept_ms < 0:
        return []
    if e.role == "log":
        asked = int(e.config.get("retention.ms", "0"))
        todo = _alter(e.name, f"retention.ms={asked}")
        return [Finding(check, "warn", f"is kept for {long(kept_ms)}, expected {long(asked)}", todo)] * (
            kept_ms < asked
        )
    if e.role == "letters" or catalogue is None:
        return []
    lateness, budget = round(catalogue.allowed_lateness * 1000), round(catalogue.budget_period * 1000)
    todo = _alter(e.name, f"retention.ms={budget}")
    if kept_ms < lateness:
        what = f"is kept for {long(kept_ms)}, less than allowed_lateness ({long(lateness)})"
        return [Finding(check, "fail", what, todo)]
    if kept_ms < DAY_MS:
        what = f"is kept for {long(kept_ms)}: workers that are down for longer lose events"
        return [Finding(check, "warn", what, todo)]
    return []


def _about(e: Expected, topic: Topic, catalogue: Catalogue | None) -> str:
    parts = [f"{topic.partitions} partitions", f"{topic.replicas} replica{'s' * (topic.replicas != 1)}"]
    kept_ms = int(topic.config.get("retention.ms", "-1"))
    if e.role in SOURCES and kept_ms >= 0:
        parts.append(f"kept for {long(kept_ms)}")
        if catalogue and kept_ms < catalogue.budget_period * 1000:
            period = long(round(catalogue.budget_period * 1000))
            parts.append(f"which is all that a new application has of its budget period of {period}")
    return ", ".join(parts)


def _alter(topic: str, config: str) -> str:
    return f"kafka-configs.sh --bootstrap-server … --alter --topic {topic} --add-config {config}"
