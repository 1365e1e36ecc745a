"""Who is told of a mole, and how often: once, whoever dies and whoever joins while it is up.

Two ways lead to a pager: `cx.moles`, whose readers know a repeat by its id, and /metrics, where Prometheus sees the
samples of all workers, one after the other.
"""

import datetime as dt
import http.client
import itertools
import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.integration import collapse
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import Lab


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Seen(threading.Thread):
    """What Prometheus would see of the moles: every sample of every worker, with the worker's name left out."""

    def __init__(self, workers: list[WorkerProcess]) -> None:
        super().__init__(daemon=True)
        self.workers = workers
        self.active: Counter[str] = Counter()  # labels → how often
        self.quiet: Counter[str] = Counter()
        self.steps: dict[str, float] = {}  # of cx_moles_total, the highest
        self.wrong: list[str] = []
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.2):
            for worker in self.workers:
                self._look(worker)

    def _look(self, worker: WorkerProcess) -> None:
        for sample, value in worker.quick("cx_mole_active", "cx_mole_quiet", "cx_moles_total").items():
            name, _, labels = sample.partition("{")
            if name == "cx_mole_active":
                self.active[labels] += 1
            elif name == "cx_mole_quiet":
                self.quiet[labels] += 1
            elif value < self.steps.get(labels, 0):
                self.wrong.append(f"{sample}: {self.steps[labels]:g}, then {value:g} on {worker.home.name}")
            else:
                self.steps[labels] = value

    def end(self) -> Counter[str]:
        """Stops; the steps that were counted, by event. Fails where a counter went back."""
        self._ended.set()
        self.join(30)
        assert not self.is_alive()
        assert self.wrong == []
        steps: Counter[str] = Counter()
        for labels, value in self.steps.items():
            event = next(x for x in labels.split(",") if x.startswith("event="))
            steps[event.split('"')[1]] += int(value)
        return +steps


class Scene:
    """Some workers, of whom one has the desk, and one moment's mole."""

    def __init__(self, kafka: KafkaServer, home: Path) -> None:
        self.lab = Lab(kafka, home, collapse.MOMENTS, "notified")
        others = [WorkerProcess(self.lab.brokers, self.lab.catalogue, home / name, self.lab.app) for name in "bc"]
        self.workers = [self.lab.worker, *others]
        self.seen = Seen(self.workers)
        self.moment = ""
        self._turns = itertools.count()

    def exporter(self, metric: str, labels: str = "") -> WorkerProcess | None:
        """The worker that has such a sample, where there is just one."""
        found = [w for w in self.workers if any(labels in sample for sample in w.quick(metric))]
        return found[0] if len(found) == 1 else None

    def desk(self) -> WorkerProcess | None:
        return self.exporter("cx_moles_total")

    def owner(self, moment: str) -> WorkerProcess | None:
        return self.exporter("cx_events_total", f'moment="{moment}"')

    def harm(self) -> None:
        """Hurts the moment; returns when everyone's desk has seen as much, and one worker exports moles."""
        at = now()
        self.lab.send(collapse.collapse(at, self.moment, turn=next(self._turns)))

        def judged() -> bool:
            return all(clock(w) > at.timestamp() - 10 for w in self.workers if w.running)

        wait_until(judged, 120, "the harm is judged")
        wait_until(self.desk, 60, "a worker that has the desk")

    def lose(self, find: Callable[[], WorkerProcess | None]) -> None:
        """Kills a worker, goes on without it, and lets it come back."""
        victim = wait_until(find, 60, "one owner")
        assert victim is not None
        victim.kill()
        self.harm()
        assert self.desk() is not victim
        victim.start()
        wait_until(lambda: all(w.ready() for w in self.workers if w.running), 60, "it is back")
        self.harm()

    def events(self) -> list[dict[str, Any]]:
        """What stands on the topic, each once; a repeat must be the same."""
        out: dict[str, bytes] = {}
        for record in self.lab.read(self.lab.topics["moles"]):
            ident = orjson.loads(record.value)["id"]
            assert out.setdefault(ident, record.value) == record.value
        return [orjson.loads(x) for x in out.values()]

    def act(self, mole: str, action: str, **body: str) -> None:
        """By any worker that lives."""
        worker = next(w for w in self.workers if w.running and w.ready())
        url, data = f"{worker.url}/api/moles/{mole}/{action}", json.dumps(body).encode()
        urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "application/json"})).close()

    def __enter__(self) -> "Scene":
        return self

    def __exit__(self, *exc: object) -> None:
        self.seen._ended.set()
        for worker in self.workers:
            worker.__exit__()


def clock(worker: WorkerProcess) -> float:
    try:
        return float(orjson.loads(worker.text("/api/moles"))["clock"] or 0)
    except (OSError, http.client.HTTPException, urllib.error.URLError):
        return 0.0


@pytest.mark.slow
@pytest.mark.timeout(900)  # four kills and a join, some 20 s each on a quiet machine
def test_a_mole_is_notified_once_whoever_dies_and_whoever_joins(kafka: KafkaServer, tmp_path: Path) -> None:
    with Scene(kafka, tmp_path) as scene:
        scene.lab.send(collapse.quiet_days(now()))
        first, second, third = scene.workers
        first.start()
        second.start()
        moments = ("pay", "ask", "browse")
        wait_until(lambda: scene.desk() and all(map(scene.owner, moments)), 120, "two share the moments")
        # One that is judged where the desk is not, if there is any.
        scene.moment = next((m for m in moments if scene.owner(m) is not scene.desk()), "pay")
        scene.seen.start()
        scene.harm()
        wait_until(lambda: scene.seen.active, 60, "the mole")
        (mole,) = {e["subject"] for e in scene.events()}

        scene.lose(scene.desk)
        scene.lose(lambda: scene.owner(scene.moment))
        third.start()
        wait_until(third.ready, 60, "a third joins")
        scene.harm()
        scene.act(mole, "ack")
        scene.lose(scene.desk)  # perhaps before it has told of that
        scene.act(mole, "snooze", **{"for": "1h"})
        scene.lose(scene.desk)
        assert [x for x in scene.seen.quiet if 'why="snoozed"' in x]
        scene.act(mole, "whack")

        def steps() -> Counter[str]:
            return Counter(e["transition"] for e in scene.events() if e["transition"] != "updated")

        wanted = Counter(popped=1, acked=1, snoozed=1, whacked=1)
        wait_until(lambda: steps() == wanted, 60, "all of its life")
        wait_until(lambda: any("whacked" in k and v for k, v in scene.seen.steps.items()), 60, "its end, on /metrics")
        assert {e["subject"] for e in scene.events()} == {mole}
        assert [e["transition"] for e in scene.events() if e["notify"]] == ["popped"]
        assert scene.seen.end() == Counter(popped=1, acked=1, whacked=1)
        assert len(scene.seen.active) == 1, "one set of labels, so one alert"
        assert f'moment="{scene.moment}"' in next(iter(scene.seen.active))
