"""Connections and topics, through kafka-python: a dead broker or a topic that does not fit is one clear line.

Topics are made before anything consumes: Faust's first start loops where a changelog is missing. Partition
counts are fixed for the life of an application, since keys move to other partitions with them: a difference
is refused, with the way to migrate. Configurations are only reported: they may be somebody's choice.
"""

import contextlib
import logging
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents import settings
from streams import names
from streams.errors import BrokerError, SettingsError

DEFAULT_PARTITIONS = 4
DEAD_LETTER_BYTES = 2 * 1024 * 1024  # a refused 1 MiB event and its headers still fit
CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 15.0
_TCP_SECONDS = 2.0
_ALREADY_EXISTS = 36  # Kafka protocol, TOPIC_ALREADY_EXISTS: another process was faster

# Without a handler Python prints the library's warnings itself, between our own lines.
logging.getLogger("kafka").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic to have, replicated as the broker does by default.

    `partitions` None: as many as it has, or its equals have, or 4.
    """

    name: str
    partitions: int | None = None
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What is there now. `differs`: configuration key → (found, asked for)."""

    name: str
    partitions: int
    created: bool
    differs: Mapping[str, tuple[str, str]]


SOURCES = (names.TOUCHPOINTS, names.FEEDBACK)


def source_specs(
    partitions: int | None = None,
    touchpoints: str = names.TOUCHPOINTS,
    feedback: str = names.FEEDBACK,
    dead_letters: str = names.DEAD_LETTERS,
) -> list[TopicSpec]:
    """The topics of the contract that everyone has: two sources and the dead letters."""
    appended = {"message.timestamp.type": "LogAppendTime"}
    return [
        TopicSpec(touchpoints, partitions, appended),
        TopicSpec(feedback, partitions, appended),
        TopicSpec(dead_letters, partitions, appended | {"max.message.bytes": str(DEAD_LETTER_BYTES)}),
    ]


def given_brokers(given: str | None) -> str:
    """The option --brokers, or else MOLEHILL_BROKERS. Raises SettingsError."""
    brokers = given or settings.env("brokers")
    if brokers is None:
        raise SettingsError("--brokers (or MOLEHILL_BROKERS): found nothing, expected HOST:PORT[,HOST:PORT…]")
    parse_brokers(brokers)
    return brokers


def parse_brokers(brokers: str) -> list[tuple[str, int]]:
    """`HOST:PORT[,HOST:PORT…]`; an IPv6 host in brackets. Raises SettingsError."""
    found: list[tuple[str, int]] = []
    for part in (p.strip() for p in brokers.split(",")):
        host, colon, port = part.rpartition(":")
        if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise SettingsError(f"brokers: found {part!r}, expected HOST:PORT[,HOST:PORT…]")
        found.append((host.strip("[]"), int(port)))
    return found


def connect(brokers: str, timeout_s: float = CONNECT_SECONDS) -> Any:
    """A KafkaAdminClient (a context manager). Raises BrokerError within about `timeout_s` + 5 s.

    The port is tried with plain TCP first: kafka-python only says that it could not bootstrap, and leaves a
    thread behind that goes on trying.
    """
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    _await_port(brokers, time.monotonic() + timeout_s)
    try:
        return KafkaAdminClient(
            bootstrap_servers=brokers.split(","),
            bootstrap_timeout_ms=round(timeout_s * 1000),
            request_timeout_ms=round(REQUEST_SECONDS * 1000),
        )
    except (KafkaError, OSError) as error:
        raise BrokerError(
            f"no broker answers at {brokers} (the port is open, but does not speak Kafka; "
            f"{_one_line(error)}): is it the right port?"
        ) from None


def ensure_topics(
    brokers: str,
    specs: Sequence[TopicSpec],
    equal: Sequence[str] = SOURCES,
    timeout_s: float = CONNECT_SECONDS,
) -> list[TopicReport]:
    """Creates what is missing, checks what exists; reports in the order of `specs`.

    The topics named in `equal` must have one partition count. Nothing is created where something is refused.
    Raises BrokerError: broker away, a count that differs, a refusal by the broker.
    """
    with connect(brokers, timeout_s) as admin, told(brokers):
        existing = _partition_counts(admin, {*(s.name for s in specs), *equal})
        wanted = _wanted(specs, existing, [n for n in equal if n in existing or any(s.name == n for s in specs)])
        missing = {
            s.name: {
                "num_partitions": wanted[s.name],
                "replication_factor": -1,
                "configs": dict(s.config),
            }
            for s in specs
            if s.name not in existing
        }
        if missing:
            answer = admin.create_topics(missing, timeout_ms=round(REQUEST_SECONDS * 1000), raise_errors=False)
            for topic in answer["topics"]:
                if topic["error_code"] == _ALREADY_EXISTS:
                    del missing[topic["name"]]
                elif topic["error_code"]:
                    raise BrokerError(
                        f"topic {topic['name']}: the broker refuses to create it: "
                        f"{topic.get('error_message') or 'error ' + str(topic['error_code'])}"
                    )
            admin.wait_for_topics([s.name for s in specs], timeout_ms=round(REQUEST_SECONDS * 1000))
            _wanted(specs, _partition_counts(admin, wanted), equal)
        found = configs(admin, [s.name for s in specs if s.name not in missing and s.config])
    return [
        TopicReport(
            s.name,
            wanted[s.name],
            s.name in missing,
            {
                key: (found[s.name].get(key, "unset"), asked)
                for key, asked in s.config.items()
                if s.name in found and found[s.name].get(key) != asked
            },
        )
        for s in specs
    ]


@contextlib.contextmanager
def told(brokers: str) -> Iterator[None]:
    """Turns kafka-python's exceptions into one BrokerError that says which broker and what."""
    from kafka.errors import KafkaError

    try:
        yield
    except KafkaError as error:
        raise BrokerError(f"{brokers}: {_one_line(error)}") from None


def _await_port(brokers: str, deadline: float) -> None:
    """Returns once one of the brokers accepts a TCP connection: one that is just starting gets its chance."""
    addresses = parse_brokers(brokers)
    while True:
        for address in addresses:
            try:
                socket.create_connection(address, timeout=_TCP_SECONDS).close()
            except OSError as error:
                reason = error.strerror or str(error) or type(error).__name__
            else:
                return
        if time.monotonic() >= deadline:
            raise BrokerError(f"no broker answers at {brokers} ({reason}): is it running?")
        time.sleep(0.2)


def partition_counts(brokers: str, topics: Sequence[str]) -> dict[str, int]:
    """Of the topics that exist."""
    with connect(brokers) as admin, told(brokers):
        return _partition_counts(admin, topics)


def _partition_counts(admin: Any, topics: Any) -> dict[str, int]:
    described = admin.describe_topics(sorted(topics))
    return {t["name"]: len(t["partitions"]) for t in described if not t["error_code"]}


def _wanted(specs: Sequence[TopicSpec], existing: Mapping[str, int], equal: Sequence[str]) -> dict[str, int]:
    """Topic → partitions, for what exists and what is asked. Raises BrokerError where they do not agree."""
    fellows = {name: existing[name] for name in equal if name in existing}
    if len(set(fellows.values())) > 1:
        counts = " and ".join(f"{name} has {count}" for name, count in fellows.items())
        raise BrokerError(
            f"partitions: {counts}, expected equal counts. To migrate: stop the producers, make both topics "
            "anew with one count (or under new names), and send the events again with `molehill emit`"
        )
    asked = {s.name: s.partitions for s in specs if s.partitions is not None}
    default = next(iter(fellows.values()), next((asked[n] for n in equal if n in asked), DEFAULT_PARTITIONS))
    wanted = {s.name: existing.get(s.name) or s.partitions or default for s in specs}
    for spec in specs:
        if spec.partitions is not None and wanted[spec.name] != spec.partitions:
            raise BrokerError(
                f"topic {spec.name}: found {wanted[spec.name]} partitions, expected {spec.partitions}; the "
                "count is fixed for the life of an application. "
                f"Use --partitions {wanted[spec.name]}, or migrate: make the topics anew under other names, "
                "start a new application on them, and send the events again"
            )
    if len(counts_of_equals := {wanted[n] for n in equal if n in wanted} | set(fellows.values())) > 1:
        raise BrokerError(
            f"partitions: {' and '.join(equal)} would get {sorted(counts_of_equals)}, expected equal counts; "
            f"use --partitions {default}, what the one that exists has"
        )
    return wanted


def configs(admin: Any, topics: Sequence[str]) -> dict[str, dict[str, str]]:
    """Topic → its configuration, defaults too."""
    from kafka.admin import ConfigResource, ConfigResourceType

    if not topics:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics]
    described = admin.describe_configs(resources, config_filter="all").get("topic", {})
    return {topic: {key: entry["value"] for key, entry in entries.items()} for topic, entries in described.items()}


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:299] + "…"
