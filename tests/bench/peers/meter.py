"""What each peer reports: wall and CPU from the first record to the last, RSS, totals.

Where a peer can see it, the clock starts at the last look that found nothing, so that it covers the first fetch;
elsewhere at the first record that it is given. Joining a group and starting up are never in it.
"""

import argparse
import os
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import orjson

from tests.bench.shape import Totals


@dataclass(frozen=True)
class Job:
    """What a peer is told."""

    brokers: str
    topic: str
    app: str  # a name of its own, for groups and internal topics
    expect: int  # records
    home: Path
    out: Path

    def arguments(self) -> list[str]:
        """For a command line; `job` reads them."""
        return [self.brokers, self.topic, self.app, str(self.expect), str(self.home), str(self.out)]


def job() -> Job:
    """From the command line."""
    parser = argparse.ArgumentParser()
    for name in ("brokers", "topic", "app", "expect", "home", "out"):
        parser.add_argument(name)
    a = parser.parse_args()
    return Job(a.brokers, a.topic, a.app, int(a.expect), Path(a.home), Path(a.out))


class Meter:
    """Of this process."""

    def __init__(self) -> None:
        self.began = self.start()
        self.ended = self.began

    def start(self) -> tuple[float, float]:
        """Nothing was there yet."""
        self.began = time.time(), _cpu()
        return self.began

    def stop(self) -> None:
        """The last record has been counted."""
        self.ended = time.time(), _cpu()

    def finish(self, job: Job, received: int, duplicates: int, totals: Totals) -> None:
        """Writes the report and ends the process at once: a library's own shutdown is nobody's concern here."""
        (t0, c0), (t1, c1) = self.began, self.ended
        report = {
            "wall_s": t1 - t0,
            "cpu_s": c1 - c0,
            "rss_mb": peak_rss_mb("self"),
            "received": received,
            "duplicates": duplicates,
            "totals": [[*key, n] for key, n in totals.items()],
        }
        half = job.out.with_suffix(".half")
        half.write_bytes(orjson.dumps(report))
        half.rename(job.out)
        sys.stdout.flush()
        os._exit(0)


def peak_rss_mb(pid: int | str) -> float:
    """From /proc: `getrusage` would give that of the process that started us, where it was larger."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def _cpu() -> float:
    r = resource.getrusage(resource.RUSAGE_SELF)
    return r.ru_utime + r.ru_stime
