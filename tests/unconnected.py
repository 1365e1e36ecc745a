"""Faust's app and our consumer without a broker: fetches are given, seeks are noted."""

from typing import Any

import faust
from faust.types import TP
from yarl import URL

from agents.transport import Batch, BatchConsumer, BatchTransport


def an_app() -> Any:
    return faust.App("overrides", broker="kafka://127.0.0.1:9", store="memory://", web_enabled=False)


class Seeks(BatchConsumer):
    """The consumer, but for the network: fetches are given, seeks are noted."""

    fetches: list[dict[TP, Batch]]
    seeks: list[tuple[TP, int]]

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        return self.fetches.pop(0)

    async def _seek(self, partition: TP, offset: int) -> None:
        self.seeks.append((partition, offset))


async def a_consumer(app: Any) -> Seeks:
    async def nothing(*args: Any, **kwargs: Any) -> None: ...

    consumer = Seeks(BatchTransport([URL("kafka://127.0.0.1:9")], app), nothing, nothing, nothing)
    consumer.fetches, consumer.seeks = [], []
    return consumer
