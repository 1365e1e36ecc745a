"""Table rows as recovery reads them: changelog batches into rows by partition, handed over to the stages.

Here a changelog is read in batches like any topic; rows wait by partition until the stage that owns them takes
them, and are not kept twice. What each override relies on is tested in tests/test_overrides*.py.
"""

from collections.abc import Iterable
from typing import Any

import faust
from faust.stores import memory
from faust.types import TP

from agents.transport import BatchSchema


class RowStore(memory.Store[Any, Any]):
    """Rows by partition, until they are taken.

    The stock store is one dict for all partitions: what a worker has lost stays in it
    (github.com/robinhood/faust/issues/25; the stock remedy looks at every key after every rebalance).
    """

    def __post_init__(self) -> None:
        """As upstream, and rows by partition beside its dict, which stays empty: what is lost of the group can be
        given up at once (github.com/robinhood/faust/issues/25). `read` counts records since the start.
        """
        super().__post_init__()
        self.rows: dict[int, dict[bytes, bytes]] = {}
        self.read = 0

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any, to_value: Any) -> None:
        """Applies the records of a changelog; a null value deletes.

        Stock recovery makes an event of each record, 6,000/s (github.com/robinhood/faust/issues/563).
        """
        for event in batch:
            rows = self.rows.setdefault(event.message.partition, {})
            for record in event.message.value:
                self.read += 1
                if record.value is None:
                    rows.pop(record.key, None)
                else:
                    rows[record.key] = record.value

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Keeps the rows: `take` is what empties them.

        Stock drops the keys of partitions that are not active, one by one
        (github.com/faust-streaming/faust/pull/199). Ours are by partition, and gone when they are taken.
        """

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Begins anew: whatever was read for the assignment before is read again.

        Stock keeps it, and applies to it what was still on its way when a partition went: one that goes and comes
        back is neither old nor new (its recovery used to hang: github.com/robinhood/faust/pull/542).
        """
        self.rows.clear()

    def persisted_offset(self, tp: TP) -> int:
        """Nothing is kept from one recovery to the next, -1.

        Stock recovery goes on from the offset that it had reached before a rebalance, even where that offset was
        noted after the rows were given up: what lies before is then missing, silently. (No thread found about just
        that; in github.com/faust-streaming/faust/issues/158 such an offset lies beyond the log, and Faust's own
        source notes beside `_slurp_changelogs` that events of lost partitions are applied there.)
        """
        return -1

    def take(self, partition: int) -> list[tuple[bytes, bytes]]:
        """The rows of a partition; they are the caller's from now on."""
        return list(self.rows.pop(partition, {}).items())


class RowTable(faust.Table[Any, Any]):
    """A table whose changelog is ours: rows are written by the stages, with the producer."""

    def _new_store_by_url(self, url: Any) -> Any:
        """Always rows. Upstream looks a class up by the URL's scheme, among those that are installed as plug-ins, and
        passes over a table's own URL that is a scheme only (github.com/robinhood/faust/pull/564).
        """
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
