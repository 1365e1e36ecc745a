"""Stock Faust as its manual has it: one agent, two tables in memory with their changelogs.

It does: dedupe in a table, count by the minute in a table, at least once. It does not: forget ids or minutes, refuse
events, keep marginal series (summed afterwards from the rows of each minute, moment and segment), or stay exact over
a crash. It is slow: the benchmark gives it a smaller load.
"""

import sys
from typing import Any

import faust
import orjson

from tests.bench.peers.meter import Meter, job
from tests.bench.shape import WIDTH, totals_of, verdicts


def main() -> None:
    """Runs until everything has been counted."""
    task, meter = job(), Meter()
    app: Any = faust.App(
        task.app, broker=f"kafka://{task.brokers}", store="memory://", datadir=str(task.home / "faust"),
        topic_partitions=4, web_enabled=False, consumer_auto_offset_reset="earliest",
    )  # fmt: skip
    topic = app.topic(task.topic, value_serializer="json", key_serializer="raw")
    ids = app.Table("ids", partitions=4, default=bool)
    rows = app.Table("rows", partitions=4, default=lambda: [0] * WIDTH)

    async def count(events: Any) -> None:
        received = duplicates = 0
        async for event in events:
            if not received:
                meter.start()
            received += 1
            identity = f"{event['source']}|{event['id']}"
            if ids[identity]:
                duplicates += 1
            else:
                ids[identity] = True
                key = orjson.dumps([event["data"]["moment"], event["data"]["segment"], event["time"][:16]]).decode()
                row = list(rows[key])
                for i in verdicts(event["data"], event["time"]):
                    row[i] += 1
                rows[key] = row
            if received >= task.expect:
                meter.stop()
                found = ((*orjson.loads(k)[:2], row) for k, row in rows.items())
                meter.finish(task, received, duplicates, totals_of(found))

    app.agent(topic)(count)
    sys.argv = [sys.argv[0], "worker", "-l", "warn", "--without-web"]
    app.main()


if __name__ == "__main__":
    main()
