"""Reading topics from the command line: all of one as it is now, or its newest records. No group, no commits."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

from agents import broker
from streams.errors import BrokerError

STALLED_S = 30.0  # without a record for so long, the broker counts as gone
POLL_MS = 500


@contextlib.contextmanager
def consumer(brokers: str) -> Iterator[Any]:
    """A KafkaConsumer of what is committed. Raises BrokerError, also for what goes wrong within the block."""
    from kafka import KafkaConsumer

    broker.connect(brokers).close()  # a dead broker is one line; kafka-python's consumer would try for minutes
    with broker.told(brokers):
        found = KafkaConsumer(
            bootstrap_servers=brokers.split(","),
            enable_auto_commit=False,
            isolation_level="read_committed",
            allow_auto_create_topics=False,
            request_timeout_ms=round(broker.REQUEST_SECONDS * 1000),
            metrics_enabled=False,
        )
        try:
            yield found
        finally:
            found.close(autocommit=False)


def bounds(reader: Any, topic: str, partitions: int) -> dict[Any, tuple[int, int]]:
    """Partition → first offset, end offset, as they are now."""
    from kafka import TopicPartition

    tps = [TopicPartition(topic, p) for p in range(partitions)]
    begins, ends = reader.beginning_offsets(tps), reader.end_offsets(tps)
    return {tp: (begins[tp], ends[tp]) for tp in tps}


def since(reader: Any, spans: dict[Any, tuple[int, int]], at_ms: int) -> dict[Any, tuple[int, int]]:
    """The same spans, from the first record of that time or later on."""
    found = reader.offsets_for_times(dict.fromkeys(spans, at_ms))
    return {tp: (max(b, found[tp].offset if found.get(tp) else end), end) for tp, (b, end) in spans.items()}


def newest(spans: dict[Any, tuple[int, int]], count: int) -> dict[Any, tuple[int, int]]:
    """The same spans, of at most so many offsets each, the last ones."""
    return {tp: (max(begin, end - count), end) for tp, (begin, end) in spans.items()}


def read(reader: Any, spans: dict[Any, tuple[int, int]]) -> Iterator[Any]:
    """Every record of these spans, each partition in its order. Raises BrokerError where nothing comes any more."""
    left = {tp: end for tp, (begin, end) in spans.items() if begin < end}
    if not left:
        return
    reader.assign(list(left))
    reader.resume(*left)  # an earlier reading of the same partitions has paused them
    for tp in left:
        reader.seek(tp, spans[tp][0])
    heard = time.monotonic()
    while left:
        before = {tp: reader.position(tp) for tp in left}
        for tp, records in reader.poll(timeout_ms=POLL_MS).items():
            yield from (r for r in records if tp in left and r.offset < left[tp])
        now = {tp: reader.position(tp) for tp in left}  # past transactions' markers too, which are no records
        for tp in [tp for tp, position in now.items() if position >= left[tp]]:
            del left[tp]
            reader.pause(tp)
        if now != before:
            heard = time.monotonic()
        elif time.monotonic() - heard > STALLED_S:
            topics = ", ".join(sorted({tp.topic for tp in left}))
            raise BrokerError(f"{topics}: nothing comes from the broker for {STALLED_S:.0f} s: is it running?")


def require(brokers: str, topics: Sequence[str]) -> dict[str, int]:
    """Topic → partitions. Raises BrokerError for one that is missing."""
    found = broker.partition_counts(brokers, topics)
    for topic in topics:
        if topic not in found:
            raise BrokerError(f"topic {topic} is missing: `molehill topics --brokers {brokers}` creates it")
    return found
