"""What every cell of the fault matrix shares: workers under a load, a scraper, and the final checks."""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams import names
from tests.expected import WINDOWS
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import PARTITIONS, Lab, Record
from tests.integration.siege_load import CATALOGUE
from tests.integration.siege_truth import (
    COUNTERS,
    Truth,
    Where,
    differences,
    expected,
    named,
    truth_of,
    unbalanced,
    unequal,
    wrong_windows,
)

LAG, TALLIES_LAG, CLOCK = "molehill_lag_events", "molehill_tallies_lag_records", "molehill_clock_timestamp_seconds{}"
LAGS = (LAG, TALLIES_LAG)  # never negative
# Of partitions, but a worker's own account of what it did with them: another one that has them now has its own.
ACCOUNTS = ("molehill_recovery_remaining_records", "molehill_skipped_offsets_total")


class Scraper(threading.Thread):
    """Polls counters and lags of all workers; notes each counter that went back, wherever it was seen before, each
    lag below 0, and each source of which not everything received is accounted for."""

    def __init__(self, workers: list[WorkerProcess]) -> None:
        super().__init__(daemon=True)
        self.workers = workers
        self.highest: dict[str, tuple[float, str]] = {}
        self.wrong: list[str] = []
        self.failed: list[BaseException] = []
        self.lags = 0
        self._ended = threading.Event()

    def run(self) -> None:
        try:
            while not self._ended.wait(0.1):
                for worker in list(self.workers):
                    self._look(worker)
        except BaseException as e:
            self.failed.append(e)

    def _look(self, worker: WorkerProcess) -> None:
        found = worker.quick(*COUNTERS, *LAGS)
        self.wrong += unbalanced(found)
        for sample, value in found.items():
            if sample.startswith(LAGS):
                self.lags += 1
                if value < 0:
                    self.wrong.append(f"{sample}: {value:g} on {worker.home.name}")
                continue
            before, where = self.highest.get(sample, (0.0, ""))
            if value < before:
                self.wrong.append(f"{sample}: {before:g} on {where}, then {value:g} on {worker.home.name}")
            self.highest[sample] = max((before, where), (value, worker.home.name))

    def end(self) -> None:
        """Stops, and fails where something was wrong, or the scraper itself did not last."""
        self._ended.set()
        self.join(30)
        assert not self.is_alive(), "the scraper does not end"
        if self.failed:
            raise self.failed[0]
        assert not self.wrong, f"{len(self.wrong)} samples were wrong: {self.wrong[:6]}"
        assert self.highest, "the scraper never saw a counter"
        assert self.lags, "the scraper never saw a lag"


class Feeder(threading.Thread):
    """Sends records at a pace; an idempotent producer, so that a broker's death neither loses nor re-orders."""

    def __init__(self, lab: Lab, records: Iterator[Record], rate: float) -> None:
        super().__init__(daemon=True)
        self.lab = lab
        self.records = records
        self.rate = rate
        self.sent = 0
        self.failed: list[BaseException] = []

    def run(self) -> None:
        producer = KafkaProducer(
            bootstrap_servers=self.lab.brokers, linger_ms=20, compression_type="lz4", acks="all",
            enable_idempotence=True, delivery_timeout_ms=180_000, request_timeout_ms=5_000, max_block_ms=120_000,
            reconnect_backoff_max_ms=1000,
        )  # fmt: skip
        began = time.monotonic()
        try:
            for kind, key, value, headers in self.records:
                future = producer.send(self.lab.topics[kind], key=key, value=value, headers=headers)
                future.add_errback(self.failed.append)
                self.sent += 1
                if self.sent % 100 == 0:
                    time.sleep(max(0.0, began + self.sent / self.rate - time.monotonic()))
            producer.flush(timeout=180)
        except Exception as e:
            self.failed.append(e)
        producer.close(timeout=10)

    def end(self) -> int:
        """Waits for the last acknowledgement; returns how many were sent."""
        self.join(300)
        assert not self.is_alive()
        assert not self.failed, self.failed[:3]
        return self.sent


class Siege(Lab):
    """A lab with several workers under a load, and the checks after the dust has settled."""

    def __init__(
        self, kafka: KafkaServer, home: Path, app: str, catalogue: str = CATALOGUE, *, declare: bool = True,
        **options: str,
    ) -> None:  # fmt: skip
        super().__init__(kafka, home, catalogue, app, declare=declare, **options)
        self.home = home
        self.options = options
        self.workers = [self.worker]
        self.scraper = Scraper(self.workers)

    def another(self, name: str) -> WorkerProcess:
        """One more worker, not started yet; it is scraped too."""
        worker = WorkerProcess(self.brokers, self.catalogue, self.home / name, self.app, **self.options)
        self.workers.append(worker)
        return worker

    def feed(self, records: Iterator[Record], rate: float = 3000) -> Feeder:
        """Begins to send, and to scrape."""
        feeder = Feeder(self, records, rate)
        feeder.start()
        if not self.scraper.is_alive():
            self.scraper.start()
        return feeder

    def scrape(self) -> None:
        """Begins to scrape without a feeder."""
        self.scraper.start()

    def sources(self) -> list[Any]:
        """Every committed record of both source topics."""
        return [r for kind in ("touchpoints", "feedback") for r in self.read(self.topics[kind])]

    def look(self, *some: str) -> tuple[dict[str, float], set[float]]:
        """All samples (or those of some names) that one worker alone may export, and the clocks; raises Twice.

        One worker alone exports what is customers' experience, and what is a partition's but for ACCOUNTS.
        """
        out: dict[str, tuple[float, str]] = {}
        clocks: set[float] = set()
        for worker in self.workers:
            for sample, value in worker.quick(*some, timeout=30).items():
                if sample == CLOCK:
                    clocks.add(value)
                if sample.startswith(ACCOUNTS) or not (sample.startswith("cx_") or 'partition="' in sample):
                    continue
                if sample in out:
                    raise Twice(f"{sample} on {out[sample][1]} and {worker.home.name}")
                out[sample] = value, worker.home.name
        return {k: v for k, (v, _) in out.items()}, clocks

    def wrong(self, truth: Truth, windows: Collection[str]) -> list[str]:
        """What is not as it should be, in one look at all workers; without `windows` only at counters and lags."""
        try:
            got, clocks = self.look(*(() if windows else (*COUNTERS, *LAGS)))
        except Twice as e:
            return [str(e)]
        lags = {k: v for k, v in got.items() if k.startswith(TALLIES_LAG)}
        out = differences(expected(truth), named(got, *COUNTERS, LAG)) + unbalanced(got)
        out += unequal(dict.fromkeys(lags, 0.0), lags)
        if len(lags) != PARTITIONS:
            out.append(f"{len(lags)} lags of tallies")
        return out or wrong_windows(truth, got, clocks, windows)

    def truth(self, now: float | None = None) -> Truth:
        """What is to come out of what Kafka holds; `now` bounds event time where the broker does not stamp."""
        return truth_of(self.sources(), now)

    def settled_totals(self, truth: Truth, timeout: float = 90) -> dict[str, float]:
        """The samples once every record is counted, whatever the totals of the moments are."""
        want = {k: v for k, v in expected(truth).items() if k.startswith("molehill")}
        last: dict[str, float] = {}

        def done() -> dict[str, float] | None:
            nonlocal last
            before, last = last, self.look(*COUNTERS, LAG)[0]
            pipeline = {k: v for k, v in last.items() if k.startswith("molehill")}
            ready = all(w.ready() for w in self.workers if w.running)
            return last if before == last and ready and not differences(want, pipeline) else None

        return wait_until(done, timeout, "all records counted", every=1.5) or {}

    def verify(
        self, timeout: float = 90, tend: Callable[[], None] = lambda: None, truth: Truth | None = None,
        windows: Collection[str] = WINDOWS,
    ) -> Truth:  # fmt: skip
        """All checks of a cell; `tend` is called again and again meanwhile (a supervisor's work)."""
        truth = truth or self.truth()
        deadline = time.monotonic() + timeout
        while True:
            tend()
            wrong = self.wrong(truth, windows)
            if not wrong and all(w.ready() for w in self.workers if w.running):
                break
            if time.monotonic() > deadline:
                pipeline = [x for x in wrong if not x.startswith("cx_")]
                raise AssertionError(
                    f"after {timeout} s {len(wrong)} samples differ, {len(pipeline)} of the pipeline: "
                    f"{pipeline[:6]} {wrong[:6]}; {[(w.home.name, w.running, w.ready()) for w in self.workers]}"
                )
            time.sleep(0.3)
        time.sleep(1.5)  # and it stays so
        wrong = differences(expected(truth), self.look(*COUNTERS, LAG)[0])
        assert not wrong, f"settled, then changed: {wrong[:8]}"
        if self.scraper.ident is not None:
            self.scraper.end()
        deadline = time.monotonic() + 10
        while (behind := self.behind()) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert not behind, f"committed lag: {behind}"
        self.assert_letters(truth)
        return truth

    def committed(self) -> dict[TopicPartition, int | None]:
        """The group's committed offset of each source topic-partition; None where there is none."""
        consumer = KafkaConsumer(bootstrap_servers=self.brokers, group_id=self.app, enable_auto_commit=False)
        tps = [TopicPartition(self.topics[k], p) for k in ("touchpoints", "feedback") for p in range(PARTITIONS)]
        out = {tp: consumer.committed(tp) for tp in tps}
        consumer.close()
        return out

    def behind(self) -> dict[str, int]:
        """Records after the group's committed offset, by source topic-partition that has any."""
        committed = self.committed()
        consumer = KafkaConsumer(bootstrap_servers=self.brokers)
        ends = consumer.end_offsets(list(committed))
        consumer.close()
        out = {f"{tp.topic}/{tp.partition}": ends[tp] - (offset or 0) for tp, offset in committed.items()}
        return {k: n for k, n in out.items() if n}

    def assert_letters(self, truth: Truth) -> None:
        """Every refused record has a dead letter, byte for byte; repeats are allowed, strangers are not."""
        found: dict[Where, bytes | None] = {}
        for letter in self.read(self.topics["dead-letters"]):
            h = dict(letter.headers)
            where = h[names.H_TOPIC].decode(), int(h[names.H_PARTITION]), int(h[names.H_OFFSET])
            found[where] = letter.value
        missing = truth.letters.keys() - found.keys()
        assert not missing, f"{len(missing)} dead letters are missing: {sorted(missing)[:5]}"
        assert not (strange := found.keys() - truth.letters.keys()), sorted(strange)[:5]
        assert found == truth.letters

    def __enter__(self) -> "Siege":
        return self

    def __exit__(self, *exc: object) -> None:
        self.scraper._ended.set()
        for worker in self.workers:
            worker.__exit__()


class Twice(Exception):
    """A series on two workers."""
