"""Table rows as recovery reads them: changelog batches into rows by partition, handed over to the stages.

Stock tables hold one dict for all partitions, forget which partition a key is from, and apply one message at a
time (6,000 a second). Here a changelog is read in batches like any topic; rows wait by partition until the stage
that owns them takes them, and are not kept twice.
"""

from collections.abc import Iterable
from typing import Any

import faust
from faust.stores import memory
from faust.types import TP

from agents.transport import BatchSchema


class RowStore(memory.Store[Any, Any]):
    """Rows by partition, until they are taken."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rows: dict[int, dict[bytes, bytes]] = {}
        self.read = 0

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any, to_value: Any) -> None:
        """Applies the records of a changelog; a null value deletes."""
        for event in batch:
            rows = self.rows.setdefault(event.message.partition, {})
            for record in event.message.value:
                self.read += 1
                if record.value is None:
                    rows.pop(record.key, None)
                else:
                    rows[record.key] = record.value

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Keeps the rows: `take` is what empties them."""

    def take(self, partition: int) -> list[tuple[bytes, bytes]]:
        """The rows of a partition; they are the caller's from now on."""
        return list(self.rows.pop(partition, {}).items())


class RowTable(faust.Table[Any, Any]):
    """A table whose changelog is ours: rows are written by the stages, with the producer."""

    def _new_store_by_url(self, url: Any) -> Any:
        return RowStore(url, self.app, self, table_name=self.name, loop=self.loop)


def row_table(app: Any, name: str, topic: str, partitions: int) -> Any:
    """A table on an existing changelog topic."""
    changelog = app.topic(
        topic, schema=BatchSchema(), key_type=bytes, value_type=bytes, partitions=partitions,
        acks=False, internal=True, maxsize=8, allow_empty=True, compacting=True,
    )  # fmt: skip
    return app.tables.add(
        RowTable(
            app,
            name=name,
            partitions=partitions,
            key_type=bytes,
            value_type=bytes,
            changelog_topic=changelog,
            recovery_buffer_size=4,
        )
    )
