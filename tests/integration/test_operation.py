"""What a worker says of itself (`molehill_…`), held against what Kafka has and what a plain loop counts."""

from datetime import datetime
from pathlib import Path

import orjson

from tests.integration.harness import Samples, WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import PARTITIONS
from tests.integration.siege import Siege
from tests.integration.siege_load import LATENESS_S, load
from tests.integration.siege_truth import Truth

Partition = tuple[str, str]
CHANGELOGS = {"journal": "journal", "snapshots": "snapshots"}  # table → topic


def by(samples: Samples, metric: str, *labels: str) -> dict[tuple[str, ...], float]:
    """A metric's samples by some of their labels."""
    return {tuple(dict(k)[x] for x in labels): v for k, v in samples[metric].items()}


def within_lateness(siege: Siege) -> dict[Partition, int]:
    """How many events of each source partition a repeat may still come of: nothing less may be remembered."""
    times: dict[Partition, dict[str, float]] = {}
    for r in siege.sources():
        if r.key != b"bad":
            event = orjson.loads(r.value)
            at = datetime.fromisoformat(event["time"]).timestamp()
            times.setdefault((r.topic, str(r.partition)), {})[event["id"]] = at
    return {tp: sum(at >= max(found.values()) - LATENESS_S for at in found.values()) for tp, found in times.items()}


def assert_memory(siege: Siege, samples: Samples, truth: Truth) -> None:
    """Ids between what has to be remembered and what was ever accepted; counters and open cells for each source."""
    where = "topic", "partition"
    ids, least = by(samples, "molehill_remembered_ids", *where), within_lateness(siege)
    assert ids.keys() == truth.accepted.keys() == least.keys()
    for tp, n in ids.items():
        assert least[tp[0], tp[1]] <= n <= truth.accepted[tp[0], tp[1]]
    lanes, cells = by(samples, "molehill_lanes", *where), by(samples, "molehill_open_cells", *where)
    assert lanes.keys() == cells.keys() == ids.keys()
    assert min(lanes.values()) > 0
    # Each accepted event opens at most a cell for each lane of its series: some 6 here.
    assert all(0 < cells[tp] <= 10 * n for tp, n in ids.items())


def assert_flushes(samples: Samples) -> None:
    """A cumulative histogram whose sum lies between what its buckets allow."""
    buckets = sorted((float(le), n) for (le,), n in by(samples, "molehill_flush_seconds_bucket", "le").items())
    [count], [sum_s] = (samples[f"molehill_flush_seconds_{x}"].values() for x in ("count", "sum"))
    edges, counts = [0.0, *(le for le, _ in buckets)], [0.0, *(n for _, n in buckets)]
    assert counts == sorted(counts)
    assert counts[-1] == count > 0
    assert sum(edge * (n - m) for edge, m, n in zip(edges, counts, counts[1:], strict=False)) <= sum_s
    assert sum_s > 0


def recovery(worker: WorkerProcess) -> dict[str, float]:
    """Changelog records still to be read, by partition."""
    left = worker.quick("molehill_recovery_remaining_records")
    assert all(n >= 0 for n in left.values())
    return left


def test_a_worker_tells_flushes_writes_memory_and_recovery_as_they_are(kafka: KafkaServer, tmp_path: Path) -> None:
    with Siege(kafka, tmp_path, "operation") as siege:
        worker = siege.worker
        siege.send(load(6_000, seed=72))
        worker.start()
        siege.scrape()
        truth = siege.verify()  # late events too
        before = worker.samples()
        written = {t: siege.read(f"{siege.app}.{t}") for t in ("journal", "tallies")}
        after = worker.samples()
        for topic, records in written.items():
            at = (f"{siege.app}.{topic}",)
            low, high = (by(s, "molehill_written_records_total", "topic")[at] for s in (before, after))
            assert 0 < low <= len(records) <= high  # frontiers and snapshots go on
            low, high = (by(s, "molehill_written_bytes_total", "topic")[at] for s in (before, after))
            assert low <= sum(len(r.key or b"") + len(r.value or b"") for r in records) <= high
        letters = by(after, "molehill_written_records_total", "topic")[siege.topics["dead-letters"],]
        assert letters == len(truth.letters)
        assert_flushes(after)
        assert_memory(siege, after, truth)

        worker.kill()
        rows = {table: len(siege.read(f"{siege.app}.{topic}")) for table, topic in CHANGELOGS.items()}
        worker.launch()
        wait_until(worker.found, 30, "its pages")
        wait_until(lambda: recovery(worker) and worker.ready(), 60, "recovered", every=0.02)
        again = worker.samples()
        read = {table: n for (table,), n in by(again, "molehill_recovery_rows_total", "table").items()}
        assert read.keys() == rows.keys()
        assert all(n >= rows[table] for table, n in read.items())  # a rebalance meanwhile reads them once more
        assert rows["journal"] > 0
        [took] = again["molehill_recovery_seconds"].values()
        assert took > 0
        left = by(again, "molehill_recovery_remaining_records", "topic", "partition")
        assert left == {(f"{siege.app}.{t}", str(p)): 0 for t in CHANGELOGS.values() for p in range(PARTITIONS)}
        assert_memory(siege, again, truth)
        siege.verify(truth=truth)
