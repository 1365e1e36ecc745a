"""Sends dead letters back, and remembers which.

Requeue is at least once: a letter is sent, acknowledged, and then marked in a compacted topic of the application, so
that the next requeue leaves it alone. A crash between the two sends it again, which changes nothing: the same source
and id on the same partition is a duplicate and counts once, or is too late by then. What is refused again becomes a
new letter, with the offset that it has now.

Through aiokafka, since kafka-python refuses what Kafka allows: headers without a value.
"""

import asyncio
import time
from collections.abc import Awaitable, Iterable
from typing import Any, Final

import click

from agents import broker
from agents.sender import MAX_RECORD, partition_of
from streams.errors import BrokerError
from streams.letters import Letter, printable

REQUEST_S: Final = 30.0


class Returner:
    """Sends letters to where they came from, and marks them once the broker has them. A context manager."""

    def __init__(self, brokers: str, marks: str) -> None:
        self.brokers = brokers
        self.marks = marks
        self.partitions: dict[str, int] = {}
        self._runner = asyncio.Runner()
        self._producer: Any = None

    def __enter__(self) -> "Returner":
        spec = broker.TopicSpec(self.marks, 1, {"cleanup.policy": "compact"})
        broker.ensure_topics(self.brokers, [spec], equal=())
        self._runner.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        if self._producer is not None:
            self._runner.run(self._producer.stop())
        self._runner.close()

    async def _start(self) -> None:
        from aiokafka import AIOKafkaProducer
        from aiokafka.errors import KafkaError

        producer = AIOKafkaProducer(
            bootstrap_servers=self.brokers.split(","),
            acks="all",
            max_request_size=MAX_RECORD,
            request_timeout_ms=round(REQUEST_S * 1000),
        )
        try:
            await producer.start()
        except KafkaError as error:
            await producer.stop()
            raise self._gone(error) from None
        self._producer = producer

    def send(self, letters: list[Letter]) -> list[Letter]:
        """Those that the broker has taken; says of the others why. Raises BrokerError where the broker is gone."""
        if unknown := {letter.topic for letter in letters} - self.partitions.keys():
            self.partitions |= broker.partition_counts(self.brokers, sorted(unknown))
        for letter in letters:
            if letter.topic not in self.partitions:
                _say(letter, "its topic is missing")
        return self._runner.run(self._send([x for x in letters if x.topic in self.partitions]))

    async def _send(self, letters: list[Letter]) -> list[Letter]:
        taken = await self._acknowledged([(x, self._back(x)) for x in letters])
        now = str(round(time.time())).encode()
        marks = [(x, self._producer.send(self.marks, now, x.identity)) for x in taken]
        if len(await self._acknowledged(marks)) < len(taken):
            raise BrokerError(f"topic {self.marks}: the broker refuses what it should remember")
        return taken

    async def _back(self, letter: Letter) -> Any:
        """The future of a letter's original, in its own partition if that is still there."""
        count = self.partitions[letter.topic]
        partition = letter.partition if letter.partition < count else partition_of(letter.key or b"", count)
        if letter.key is not None or letter.value is not None:
            return await self._producer.send(
                letter.topic, letter.value, letter.key, partition=partition, headers=letter.headers
            )
        batch = self._producer.create_batch()  # `send` wants a key or a value
        batch.append(timestamp=None, key=None, value=None, headers=letter.headers)
        batch.close()
        return await self._producer.send_batch(batch, letter.topic, partition=partition)

    async def _acknowledged(self, sent: Iterable[tuple[Letter, Awaitable[Any]]]) -> list[Letter]:
        """Those that the broker has; all are on their way before the first ack is awaited."""
        from aiokafka.errors import InvalidMessageError, KafkaError, MessageSizeTooLargeError, RecordTooLargeError

        refusals = (InvalidMessageError, MessageSizeTooLargeError, RecordTooLargeError)
        taken: list[Letter] = []
        pending: list[tuple[Letter, Any]] = []
        try:
            for letter, sending in sent:
                try:
                    pending.append((letter, await sending))
                except refusals as error:
                    _say(letter, str(error))
            for letter, future in pending:
                try:
                    await future
                    taken.append(letter)
                except refusals as error:
                    _say(letter, str(error))
        except KafkaError as error:
            raise self._gone(error) from None
        return taken

    def _gone(self, error: Exception) -> BrokerError:
        return BrokerError(
            f"{self.brokers}: the broker takes no more events ({type(error).__name__}): is it running? "
            "Run the same again: what was sent is remembered, and a repeat counts once"
        )


def _say(letter: Letter, why: str) -> None:
    where = printable(letter.identity.decode())
    click.echo(f"{where}: not sent: {' '.join(why.split())[:200] or 'the broker refuses it'}", err=True)
