"""A real Prometheus and a real Alertmanager on loopback, from Debian's packages, and a webhook that remembers.

They end with the tests, however those end.
"""

import contextlib
import http.server
import json
import math
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.integration.kafka_server import _die_with_parent, _free_ports, wait_until

START_S = 30.0
SCRAPE_S = 1


def program(*names: str) -> str:
    """The first of these programs that is there: Debian calls Alertmanager prometheus-alertmanager."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    assert found is not None, f"none of {names}"
    return found


class Server:
    """A process that answers on a port of its own, its log beside its data."""

    def __init__(self, home: Path, name: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.log = home / f"{name}.log"
        (self.port,) = _free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *command: str) -> None:
        """Starts it and waits until it says that it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent
            )

        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            with contextlib.suppress(urllib.error.URLError, OSError):
                return bool(urllib.request.urlopen(f"{self.url}/-/ready", timeout=5).status == 200)
            return False

        wait_until(ready, START_S, f"{command[0]} is ready")

    def get(self, path: str, **parameters: str) -> Any:
        """An answer's JSON; an error's text is in the exception."""
        url = f"{self.url}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {parameters}: {error.read().decode()}") from None

    def close(self) -> None:
        """The end."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class PrometheusServer(Server):
    """Scrapes and evaluates each second."""

    def __init__(self, home: Path, targets: list[str], rules: Path, alertmanager: str | None = None) -> None:
        super().__init__(home, "prometheus")
        config: dict[str, Any] = {
            "global": {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "molehill", "static_configs": [{"targets": targets}]}],
        }
        if alertmanager:
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
        file = home / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        self.run(
            program("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn",
        )  # fmt: skip

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """What an instant query finds now: labels and values."""
        found = self.get("/api/v1/query", query=expr)["data"]
        if found["resultType"] == "scalar":
            return [({}, float(found["result"][1]))]
        return [(each["metric"], float(each["value"][1])) for each in found["result"]]

    def has(self, expr: str) -> bool:
        """Whether a query finds a number."""
        return any(not math.isnan(value) for _, value in self.query(expr))

    def rules(self) -> list[dict[str, Any]]:
        """All rules with their health and their alerts."""
        return [rule for group in self.get("/api/v1/rules")["data"]["groups"] for rule in group["rules"]]

    def alerts(self) -> list[dict[str, Any]]:
        """What is pending or firing."""
        found: list[dict[str, Any]] = self.get("/api/v1/alerts")["data"]["alerts"]
        return found


class AlertmanagerServer(Server):
    """Routes by a configuration file."""

    def __init__(self, home: Path, config: Path) -> None:
        super().__init__(home, "alertmanager")
        self.run(
            program("alertmanager", "prometheus-alertmanager"), f"--config.file={config}",
            f"--storage.path={home / 'data'}", f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        )  # fmt: skip

    def muted(self) -> list[dict[str, str]]:
        """The labels of alerts that others inhibit."""
        return [a["labels"] for a in self.get("/api/v2/alerts") if a["status"]["inhibitedBy"]]


class Message(NamedTuple):
    """What was posted to a webhook; `at` in unix seconds."""

    path: str
    body: dict[str, Any]
    at: float


class Webhook:
    """Keeps what is posted to it, by path."""

    def __init__(self) -> None:
        self.told: list[Message] = []
        webhook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                webhook.told.append(Message(self.path, json.loads(body), time.time()))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Not on the tests' output."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def names(self, path: str, status: str = "firing") -> list[list[str]]:
        """For each message to a path, the names of its alerts of a status."""
        return [
            sorted(a["labels"]["alertname"] for a in message.body["alerts"] if a["status"] == status)
            for message in self.told
            if message.path == path
        ]

    def close(self) -> None:
        """The end."""
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def closing(*servers: Server | Webhook) -> Iterator[None]:
    """Closes them all, the last one first."""
    try:
        yield
    finally:
        for server in reversed(servers):
            server.close()
