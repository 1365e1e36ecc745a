"""Quix Streams with its own state (RocksDB and changelog topics): the simplest exact pipeline of its users.

It does: dedupe in its state by the message's key (the customer), regroup by moment and segment values through its
repartition topic, count each group's signals by the minute in its state; at least once, commits at its default
interval (the clock stops at the last count, before the commit that makes it last).
It does not: forget ids or minutes, refuse events, keep marginal series (they are summed afterwards from the groups,
which spares it eleven of twelve updates).
"""

import importlib
from typing import Any

import orjson

from tests.bench.peers.meter import Meter, job
from tests.bench.shape import WIDTH, totals_of, verdicts

quixstreams: Any = importlib.import_module("quixstreams")


def main() -> None:
    """Runs until everything has been counted."""
    task, meter = job(), Meter()
    rows: dict[tuple[str, str], list[int]] = {}  # group, minute: a mirror of the state, for the report
    seen = [0, 0, 0]  # received, duplicates, counted

    def is_new(event: dict[str, Any], state: Any) -> bool:
        if not seen[0]:
            meter.start()
        seen[0] += 1
        identity = f"{event['source']}|{event['id']}"
        if state.exists(identity):
            seen[1] += 1
            return False
        state.set(identity, True)
        return True

    def group(event: dict[str, Any]) -> str:
        return orjson.dumps([event["data"]["moment"], event["data"]["segment"]]).decode()

    def count(event: dict[str, Any], key: str, timestamp: int, headers: Any, state: Any) -> None:
        minute = event["time"][:16]
        row = state.get(minute) or [0] * WIDTH
        for i in verdicts(event["data"], event["time"]):
            row[i] += 1
        state.set(minute, row)
        rows[key, minute] = row
        seen[2] += 1
        if seen[1] + seen[2] >= task.expect:
            meter.stop()
            found = ((m, s, row) for (m, s), row in ((orjson.loads(k), row) for (k, _), row in rows.items()))
            meter.finish(task, seen[0], seen[1], totals_of(found))

    app = quixstreams.Application(
        broker_address=task.brokers, consumer_group=task.app, auto_offset_reset="earliest",
        state_dir=str(task.home / "state"), loglevel="WARNING",
    )  # fmt: skip
    frame = app.dataframe(app.topic(task.topic, value_deserializer="json", key_deserializer="str"))
    frame = frame.filter(is_new, stateful=True)
    frame = frame.group_by(group, name="group")
    frame.apply(count, stateful=True, metadata=True)
    app.run()


if __name__ == "__main__":
    main()
