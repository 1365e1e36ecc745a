"""Performs the effects that the core returned: rows, tallies and dead letters, sent and acknowledged."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError
from faust.exceptions import ProducerSendError
from faust.types import TP

from streams import names
from streams.events import Rejection
from streams.mapping import Record

Header = tuple[str, bytes | None]


class Written:
    """What this worker has sent, by topic: records and bytes of keys and values."""

    def __init__(self) -> None:
        self.records: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.ends: dict[tuple[str, int], int] = {}  # topic, partition → the offset after our last one there

    def add(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """One record."""
        self.records[topic] += 1
        self.bytes[topic] += len(key or b"") + len(value or b"")

    def acknowledged(self, metadata: Any) -> None:
        """What the producer says of a record that the broker has; None for what went another way."""
        if metadata is not None:
            self.ends[TP(metadata.topic, metadata.partition)] = metadata.offset + 1


class Outbox:
    """Messages on their way; `settled` waits for the broker to acknowledge them all."""

    written = Written()  # of the whole process

    def __init__(self, app: Any) -> None:
        self.app = app
        self.pending: list[Awaitable[Any]] = []

    async def send(
        self,
        topic: str,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: list[Header] | None = None,
    ) -> None:
        """Hands a message to the producer; messages of one partition keep their order."""
        self.written.add(topic, key, value)
        self.pending.append(await self.app.producer.send(topic, key, value, partition, None, headers))

    def dead_letter(self, source: TP, to: str, record: Record, why: Rejection) -> None:
        """Sends a refused record on, byte for byte, with what was wrong and where it came from."""
        headers: list[Header] = [
            *record.headers,
            (names.H_REASON, why.reason.encode()),
            (names.H_ERROR, why.error.encode("utf-8", "backslashreplace")),
            (names.H_TOPIC, source.topic.encode()),
            (names.H_PARTITION, str(source.partition).encode()),
            (names.H_OFFSET, str(record.offset).encode()),
        ]
        self.pending.append(asyncio.ensure_future(self._dead_letter(to, record, headers)))

    async def _dead_letter(self, to: str, record: Record, headers: list[Header]) -> None:
        """Whole; or with a hash for its value; or, where even its headers are too large, without them."""
        digest = (names.H_SHA256, hashlib.sha256(record.value or b"").hexdigest().encode())
        own = headers[len(record.headers) :]
        tries = (
            (record.key, record.value, headers),
            (record.key, b"", [*headers, digest]),
            (None, b"", [*own, digest]),
        )
        for key, value, some in tries:
            try:
                return await self._acknowledged(to, key, value, some)
            except (MessageSizeTooLargeError, ProducerSendError) as e:
                if isinstance(e, ProducerSendError) and not isinstance(e.__cause__, MessageSizeTooLargeError):
                    raise

    async def _acknowledged(self, to: str, key: bytes | None, value: bytes | None, headers: Iterable[Header]) -> None:
        self.written.add(to, key, value)
        await (await self.app.producer.send(to, key, value, None, None, list(headers)))

    async def settled(self) -> None:
        """Returns when the broker has acknowledged everything; raises what it refused."""
        pending, self.pending = self.pending, []
        if pending:
            for metadata in await asyncio.gather(*pending):
                self.written.acknowledged(metadata)
