"""The way into Kafka of `emit`, `replay` and the demo: a record at a time, in order, keyed by customer.

kafka-python is pure Python and one core: 37,000 events/s (flights, 290 bytes each, a real broker). It took
batches of 512 KiB that linger, lz4 (cheaper than none, as less is checksummed and written; gzip: 23,000),
the partition computed here (`partition_of` reads 32-bit words at once and remembers customers), no callback
on each future, and a lazier garbage collector (see `agents.emit`). Its memory has no bound, so at most
PENDING_BYTES wait here.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from struct import unpack
from types import TracebackType
from typing import Any

from agents import broker
from streams import names
from streams.errors import BrokerError

PENDING = 30_000  # records
PENDING_BYTES = 64 * 1024 * 1024
SETTLE = 4_096  # records between two looks at the acks
LARGE = 64 * 1024  # bytes; the contract's limit of a body
MAX_RECORD = 8 * 1024 * 1024  # above what brokers take by default: theirs is the limit that counts
DELIVERY_SECONDS = 30.0  # without an ack for so long the broker counts as gone
LINGER_MS = 50
HEADERS = [("content-type", b"application/cloudevents+json")]

OnFailure = Callable[[int, str], None]  # (line, reason)


@dataclass(slots=True)
class Outcome:
    """What became of the lines. `interrupted`: Ctrl-C came, and what was pending has been flushed."""

    sent: int = 0
    failed: int = 0
    interrupted: bool = False


@lru_cache(maxsize=1 << 16)
def partition_of(key: bytes, partitions: int) -> int:
    """Java's default partitioner (murmur2), so that a customer's events meet those of other producers."""
    length = len(key)
    tail = length & 3
    h = 0x9747B28C ^ length
    for k in unpack(f"<{length >> 2}I", key[: length - tail]):
        k = k * 0x5BD1E995 & 0xFFFFFFFF
        k = (k ^ k >> 24) * 0x5BD1E995 & 0xFFFFFFFF
        h = h * 0x5BD1E995 & 0xFFFFFFFF ^ k
    if tail:
        h = (h ^ int.from_bytes(key[length - tail :], "little")) * 0x5BD1E995 & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return ((h ^ h >> 15) & 0x7FFFFFFF) % partitions


class Sender:
    """Sends in order, remembers what is not yet acked, counts.

    Raises BrokerError: no broker, no topics, a broker that stopped answering.
    """

    def __init__(
        self,
        brokers: str,
        on_failure: OnFailure | None = None,
        touchpoints: str = names.TOUCHPOINTS,
        feedback: str = names.FEEDBACK,
        linger_ms: int = LINGER_MS,
    ) -> None:
        from kafka import KafkaProducer
        from kafka.codec import has_lz4
        from kafka.errors import KafkaError

        self._brokers = brokers
        self._on_failure = on_failure
        self.topic_of = {names.TOUCHPOINT: touchpoints, names.ANSWER: feedback, names.SURVEY: feedback}
        self._counts = broker.partition_counts(brokers, [touchpoints, feedback])
        for topic in (touchpoints, feedback):
            if topic not in self._counts:
                raise BrokerError(f"topic {topic} is missing: `molehill topics --brokers {brokers}` creates it")
        self._pending: deque[tuple[Any, int, int]] = deque()  # (future, line, bytes), in the order sent
        self._pending_bytes = 0
        self._kafka_error = KafkaError
        self.outcome = Outcome()
        self._options = {
            "bootstrap_servers": brokers.split(","),
            "linger_ms": linger_ms,
            "batch_size": 512 * 1024,
            "max_request_size": MAX_RECORD,
            "compression_type": "lz4" if has_lz4() else None,
            "delivery_timeout_ms": round(DELIVERY_SECONDS * 1000),
            "request_timeout_ms": round(DELIVERY_SECONDS * 500),
            "max_block_ms": round(DELIVERY_SECONDS * 1000),
            "allow_auto_create_topics": False,
            "metrics_enabled": False,
        }
        self._large: Any = None
        with broker.told(brokers):
            # Idempotent by default: acks=all, and the order within a partition survives a retry.
            self._producer = KafkaProducer(**self._options)

    def __enter__(self) -> "Sender":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connection; what was not flushed is given two seconds."""
        self._producer.close(timeout=2)
        if self._large is not None:
            self._large.close(timeout=2)

    def send(self, topic: str, key: bytes, value: bytes, line: int = 0) -> None:
        """Hands one record over; waits only where PENDING records or PENDING_BYTES are not yet acked."""
        large = len(value) > LARGE
        try:
            future = (self._alone() if large else self._producer).send(
                topic, value, key, HEADERS, partition_of(key, self._counts[topic])
            )
        except self._kafka_error as error:
            self._failed(line, error)
            return
        size = len(value)
        self._pending.append((future, line, size))
        self._pending_bytes += size
        if large:
            self._settle(len(self._pending))
        elif self._pending_bytes > PENDING_BYTES or len(self._pending) > PENDING:
            self._settle(SETTLE)
        elif not len(self._pending) % SETTLE:
            while self._pending and self._pending[0][0].is_done:
                self._settle(1)

    def _alone(self) -> Any:
        """The producer of large records: one at a time, after all before it, and not idempotent.

        kafka-python's idempotent producer (3.0.12) takes the refusal of one large record for fatal, and fails all
        that comes after it with the same error. A record that is sent twice is a duplicate, which counts once.
        """
        from kafka import KafkaProducer

        self.flush()
        if self._large is None:
            self._large = KafkaProducer(
                **self._options | {"enable_idempotence": False, "acks": "all", "linger_ms": 0}
            )
        return self._large

    def flush(self) -> Outcome:
        """Returns when every record is acked or has failed."""
        with broker.told(self._brokers):
            self._producer.flush(timeout=DELIVERY_SECONDS * 2)
        self._settle(len(self._pending))
        return self.outcome

    def _settle(self, count: int) -> None:
        for _ in range(min(count, len(self._pending))):
            future, line, size = self._pending.popleft()
            self._pending_bytes -= size
            try:
                if not future.is_done:
                    future.get(timeout=DELIVERY_SECONDS + 5)
                if future.failed():
                    raise future.exception
            except self._kafka_error as error:
                self._failed(line, error)
            else:
                self.outcome.sent += 1

    def _failed(self, line: int, error: Exception) -> None:
        """A record that the broker will not have is counted; a broker that is gone ends the sending."""
        from kafka.errors import InvalidRecordError, MessageSizeTooLargeError, RecordListTooLargeError

        self.outcome.failed += 1
        if not isinstance(error, InvalidRecordError | MessageSizeTooLargeError | RecordListTooLargeError):
            self.outcome.failed += len(self._pending)
            self._pending.clear()
            raise BrokerError(
                f"{self._brokers}: the broker takes no more events ({type(error).__name__}): is it running? "
                f"{self.outcome.sent} were acknowledged before"
            ) from None
        if self._on_failure is not None:
            self._on_failure(line, "the broker refuses it: " + " ".join(str(error).split())[:200])
