"""A shop with outages on real servers: what is in it, and how somebody on call acts on it."""

import datetime as dt
import json
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.simulate import Shop
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import wait_until
from tests.integration.prometheus_server import AlertmanagerServer, PrometheusServer, Webhook
from tests.integration.traffic import Traffic

ROOT = Path(__file__).parents[2]
OUTAGE = 400  # events of one moment in four minutes, all of them failed
REGIONS = ("north", "south", "east", "west", "centre")


def molehill(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "agents.cli", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def outage(moment: str, end: dt.datetime, islands: bool = False) -> list[tuple[dt.datetime, bytes]]:
    """By time: four minutes in which all customers fail but those of the islands, or half an hour in which only they
    do, who are few. Each outage has a time of its own: the desk makes one mole of what has one cause."""
    n, span_s = (OUTAGE * 5, 1800) if islands else (OUTAGE, 240)
    lines = []
    for i in range(n):
        at = end - dt.timedelta(seconds=span_s * (1 - i / n))
        region = "islands" if i % (40 if islands else 6) == 0 else REGIONS[i % len(REGIONS)]
        outcome = "failed" if islands == (region == "islands") else "ok"
        data = {"moment": moment, "customer": f"c{i}", "outcome": outcome, "segment": {"region": region}}
        event = {"specversion": "1.0", "id": f"outage-{moment}-{islands}-{i}", "source": "test"}
        event |= {"type": "cx.touchpoint", "time": at.isoformat()}
        lines.append((at, json.dumps(event | {"data": data}).encode()))
    return lines


def shop(now: dt.datetime, since: dt.timedelta, seed: int = 1) -> list[tuple[dt.datetime, bytes]]:
    """The shop's events up to now, by time."""
    values = [value for _, _, value in Shop(now, seed).events(now - since, now)]
    return [(dt.datetime.fromisoformat(json.loads(value)["time"]), value) for value in values]


@dataclass
class World:
    """Everything that runs."""

    worker: WorkerProcess
    traffic: Traffic
    prometheus: PrometheusServer
    alertmanager: AlertmanagerServer
    webhook: Webhook
    generated: Path

    def mole(self, moment: str, segment: str = "all") -> dict[str, Any]:
        """The mole of a moment and segment, once it is up."""

        def found() -> dict[str, Any] | None:
            moles = json.loads(self.worker.text("/api/moles"))["moles"]
            return next(
                (m for m in moles if (m["moment"], m["segment"]) == (moment, segment) and not m["whacked"]), None
            )

        try:
            mole = wait_until(found, 120, f"a mole of {moment}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.worker.text('/api/moles')}") from None
        assert mole is not None
        return mole

    def act(self, moment: str, action: str, **body: str) -> None:
        """As somebody on call does it."""
        url = f"{self.worker.url}/api/moles/{self.mole(moment)['id']}/{action}"
        data = json.dumps(body).encode()
        urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "application/json"})).close()
