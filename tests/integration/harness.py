"""A real worker in a process of its own, and what its `/metrics` say."""

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.integration.kafka_server import wait_until

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.M)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


class WorkerProcess:
    """`molehill worker` on one application's topics; `stop`, `kill` and `start` as often as a test likes."""

    def __init__(self, brokers: str, catalogue: Path, home: Path, app: str, **options: str) -> None:
        self.home = home
        self.app = app
        self.topics = {"touchpoints": f"{app}.t", "feedback": f"{app}.f", "dead-letters": f"{app}.dead"}
        self.topics["moles"] = f"{app}.moles"
        arguments = {
            "brokers": brokers,
            "catalogue": str(catalogue),
            "port": "0",
            "data-dir": str(home / "data"),
        }
        arguments |= {"app": app, **self.topics} | {k.replace("_", "-"): v for k, v in options.items()}
        self.command = [sys.executable, "-m", "agents.cli", "worker"]
        self.command += [x for k, v in arguments.items() for x in (f"--{k}", v)]
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self._at = 0  # where this run's part of the log begins

    def start(self) -> None:
        """Starts the process and waits until its pages answer."""
        self.launch()

        def address() -> bool:
            if self.process and self.process.poll() is not None:
                raise AssertionError(f"the worker ended with {self.process.returncode}:\n{self.said()[-3000:]}")
            return self.found()

        wait_until(address, 90, "the worker's address")

    def launch(
        self,
        mortal: str = "",
        constants: Mapping[str, float] | None = None,
        more: Mapping[str, str] | None = None,
    ) -> None:
        """Starts the process and does not wait; `mortal` and `constants` are mortal.py's, `more` environment."""
        self.home.mkdir(parents=True, exist_ok=True)
        log = self.home / "worker.log"
        self._at = log.stat().st_size if log.exists() else 0
        self.url = ""
        command, environment = self.command, os.environ | (more or {})
        if mortal or constants:
            command = [sys.executable, "-m", "tests.integration.mortal", *self.command[3:]]
            environment["MORTAL"] = mortal
            environment["MORTAL_SET"] = ",".join(f"{k}={v}" for k, v in (constants or {}).items())
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=out, cwd=Path(__file__).parents[2], env=environment
            )

    def said(self) -> str:
        """What this run of the process has written to its log."""
        return (self.home / "worker.log").read_bytes()[self._at :].decode(errors="replace")

    def found(self) -> bool:
        """Whether the process has said where its pages are."""
        if not self.url:
            lines = self.said().splitlines()
            self.url = next((x.rpartition(" ")[2] for x in lines if "listening on" in x), "")
        return bool(self.url)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def ended(self, timeout: float = 60) -> int:
        """Waits for the process to end by itself; returns the exit code."""
        assert self.process is not None
        return self.process.wait(timeout)

    def quick(self, *names: str, timeout: float = 3) -> dict[str, float]:
        """Samples by their text with sorted labels; nothing where the worker does not answer."""
        if not self.running or not self.found():
            return {}
        query = "&".join(f"name[]={n}" for n in names)
        try:
            with urllib.request.urlopen(f"{self.url}/metrics?{query}", timeout=timeout) as answer:
                text = answer.read().decode()
        except (OSError, http.client.HTTPException):
            return {}
        return {_sorted_labels(name, labels): float(value) for name, labels, value in _SAMPLE.findall(text)}

    def ready(self) -> bool:
        """Whether `/readyz` says so."""
        if not self.found():
            return False
        with contextlib.suppress(urllib.error.URLError, OSError, http.client.HTTPException):
            return bool(urllib.request.urlopen(f"{self.url}/readyz", timeout=5).status == 200)
        return False

    def text(self, path: str = "/metrics", accept: str = "") -> str:
        """A page."""
        request = urllib.request.Request(self.url + path, headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())

    def samples(self, *names: str) -> Samples:
        """Samples, all or those named: metric → labels → value; nothing while the worker does not answer."""
        out: Samples = {}
        if self.process is not None and (code := self.process.poll()) is not None and code >= 0:
            raise AssertionError(f"the worker ended with {code}:\n{(self.home / 'worker.log').read_text()[-3000:]}")
        try:
            text = self.text("/metrics?" + "&".join(f"name[]={n}" for n in names))
        except (OSError, http.client.HTTPException):
            return out
        for family in text_string_to_metric_families(text):
            for s in family.samples:
                out.setdefault(s.name, {})[tuple(sorted(s.labels.items()))] = s.value
        return out

    def total(self, metric: str) -> int:
        """The sum of a metric's samples."""
        return int(sum(self.samples(metric).get(metric, {}).values()))

    def settled(self, received: int, timeout: float = 120, partitions: int = 4) -> Samples:
        """Waits until so many records are read and the health stage has all of them; returns the samples."""
        wait_until(lambda: self.total("molehill_received_total") >= received, timeout, f"{received} records")

        # What is received was acknowledged, its tallies too: a health stage at the end has them all.
        def folded() -> bool:
            lag = self.samples("molehill_tallies_lag_records").get("molehill_tallies_lag_records", {})
            return len(lag) >= partitions and not any(lag.values()) and self.ready()

        wait_until(folded, timeout, "all tallies folded", every=0.2)
        return self.samples()

    def signal(self, number: int) -> None:
        """Sends a signal."""
        assert self.process is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, timeout: float = 60) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def __enter__(self) -> "WorkerProcess":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def timed() -> Iterator[list[float]]:
    """The seconds that a block took, for a message."""
    out = [0.0]
    began = time.monotonic()
    yield out
    out[0] = time.monotonic() - began


def _sorted_labels(name: str, labels: str) -> str:
    return f"{name}{{{','.join(sorted(f'{k}={chr(34)}{v}{chr(34)}' for k, v in _LABEL.findall(labels)))}}}"


def events_total(samples: Samples) -> dict[tuple[str, str, str, str], int]:
    """(moment, segment, signal, result) → count, without zeros."""
    out = {}
    for labels, value in samples.get("cx_events_total", {}).items():
        d = dict(labels)
        if value:
            out[d["moment"], d["segment"], d["signal"], d["result"]] = int(value)
    return out
