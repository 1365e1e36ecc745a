"""`molehill demo`: a broker, a worker and a simulated shop, in one process tree.

Three days of the shop's history first, then real time. The worker is a process of its own (a second core), killed
with this one however it ends. On a real Kafka (`--brokers`) the demo keeps to topics of its own and deletes them.
"""

import contextlib
import datetime as dt
import importlib.resources
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from agents import broker, topics
from agents import settings as environment
from agents.board_table import Figures, moments_table, read_figures
from agents.embedded import embedded_broker, with_parent
from agents.sender import Sender
from agents.settings import DEFAULT_PORT, Settings
from agents.simulate import HISTORY, Shop
from streams.errors import BrokerError, SettingsError
from streams.names import TOUCHPOINTS

SEED = 7
PARTITIONS = 2
START_S = 30.0
STOP_S = 15.0
SCRAPE_S = 1.0
FEED_S = 0.25


def catalogue_file() -> Path:
    """The shop's catalogue: of the checkout, or as the wheel carries it."""
    checkout = Path(__file__).parents[1] / "deploy" / "moments.yaml"
    if checkout.exists():
        return checkout
    return Path(str(importlib.resources.files("agents").joinpath("data/moments.yaml")))


def duration(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """`90`, `90s`, `5m` or `1h` in seconds."""
    if value is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (value[:-1], units[value[-1]]) if value[-1:] in units else (value, 1)
    try:
        seconds = float(number) * unit
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e9:
        raise SettingsError(f"--for: found {value!r}, expected a time such as 60s, 5m or 1h")
    return seconds


@click.command(epilog="Example: molehill demo --for 60s")
@click.option("--for", "length", metavar="TIME", callback=duration, help="End after this time, as 60s or 5m.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Of /metrics; 0: any free one.",
)
@click.option("--brokers", metavar="HOST:PORT", help="A real Kafka instead of the embedded broker.")
def demo(length: float | None, port: int, brokers: str | None) -> None:
    """Shows molehill at work on a simulated shop whose moles are known. Ctrl-C ends it all."""
    console = Console(stderr=True)
    _check_port(port)
    stopped = threading.Event()

    def stop(*_: object) -> None:
        stopped.set()  # should the exception come where nobody can raise one, in a finalizer
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="molehill-demo-") as directory, contextlib.ExitStack() as stack:
        if brokers is None:
            console.print("starting the embedded broker (in memory, on loopback)")
            address, app = stack.enter_context(embedded_broker()).brokers, "molehill-demo"
        else:
            address, app = brokers, f"molehill-demo-{dt.datetime.now(dt.UTC):%Y%m%d%H%M%S}"
        settings = Settings(
            address, catalogue_file(), Path(directory), port=port, app=app, touchpoints=f"{app}.touchpoints",
            feedback=f"{app}.feedback", dead_letters=f"{app}.dead-letters", embedded=brokers is None,
        )  # fmt: skip
        stack.enter_context(_own_topics(settings))
        worker = stack.enter_context(_worker(settings))
        with contextlib.suppress(KeyboardInterrupt):
            _show(settings, worker, console, None if length is None else began + length, stopped)
        console.print("\nstopping")


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as e:
            raise SettingsError(f"--port {port}: cannot be used ({e}); choose another one") from None


@contextlib.contextmanager
def _own_topics(settings: Settings) -> Iterator[None]:
    """The demo's topics; on a real Kafka they are deleted in the end."""
    specs = topics.sources(settings, PARTITIONS) + topics.internal(settings, PARTITIONS)
    broker.ensure_topics(settings.brokers, specs, equal=(settings.touchpoints, settings.feedback))
    try:
        yield
    finally:
        if not settings.embedded:
            with broker.connect(settings.brokers) as admin, broker.told(settings.brokers):
                admin.delete_topics([s.name for s in specs])


@contextlib.contextmanager
def _worker(settings: Settings) -> Iterator["Worker"]:
    """A worker process on the demo's topics; stopped, or killed where that is not enough."""
    options = {
        "brokers": settings.brokers, "catalogue": settings.catalogue, "port": settings.port, "app": settings.app,
        "data-dir": settings.data_dir / "worker", "touchpoints": settings.touchpoints,
        "feedback": settings.feedback, "dead-letters": settings.dead_letters,
    }  # fmt: skip
    command = [sys.executable, "-m", "agents.cli", "worker", *(["--embedded"] if settings.embedded else [])]
    log = settings.data_dir / "worker.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, *(x for k, v in options.items() for x in (f"--{k}", str(v)))],
            env=environment.without_ours(),
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, preexec_fn=with_parent(),
        )  # fmt: skip
    try:
        yield Worker(process, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Worker:
    """The worker's process and its address."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.log = log
        self.url = ""

    def address(self) -> str:
        """Where its pages are; waits for it. Raises BrokerError with what it said where it ended."""
        deadline = time.monotonic() + START_S
        while not self.url:
            self.check()
            if time.monotonic() > deadline:
                raise BrokerError(f"the worker does not come up: {self.said()}")
            found = [x for x in self.log.read_text(errors="replace").splitlines() if "listening on" in x]
            if found:
                self.url = found[0].rpartition(" ")[2]
            time.sleep(0.05)
        return self.url

    def check(self) -> None:
        """Raises where the process has ended."""
        if self.process.poll() is not None:
            raise BrokerError(f"the worker ended with {self.process.returncode}: {self.said()}")

    def said(self) -> str:
        """Its last line."""
        lines = [x.strip() for x in self.log.read_text(errors="replace").splitlines() if x.strip()]
        return lines[-1][:300] if lines else "it said nothing"

    def figures(self) -> Figures | None:
        """What its `/metrics` say; None while it is not ready."""
        self.check()
        try:
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
                return read_figures(answer.read().decode())
        except (urllib.error.URLError, OSError):
            return None


def _show(settings: Settings, worker: Worker, console: Console, end: float | None, stopped: threading.Event) -> None:
    now = dt.datetime.now(dt.UTC)
    shop = Shop(now, SEED)
    feed = shop.feed(now - HISTORY)
    to = {True: settings.touchpoints, False: settings.feedback}
    with Sender(settings.brokers, touchpoints=settings.touchpoints, feedback=settings.feedback) as sender:
        began = time.monotonic()
        with console.status("sending three days of the shop's history"):
            for topic, key, value in feed.until(now):
                sender.send(to[topic == TOUCHPOINTS], key, value)
            sent = sender.flush().sent
        url = worker.address()
        console.print(f"{sent:,} events of history in {time.monotonic() - began:.1f} s")
        for name, page in (("board", ""), ("metrics", "metrics"), ("health", "healthz"), ("ready", "readyz")):
            console.print(f"{name:<8} {url}/{page}", highlight=False)
        next_scrape = 0.0
        figures: Figures | None = None
        with Live(console=console, refresh_per_second=4, transient=False) as live:
            while not stopped.is_set() and (end is None or time.monotonic() < end):
                for topic, key, value in feed.until(dt.datetime.now(dt.UTC)):
                    sender.send(to[topic == TOUCHPOINTS], key, value)
                sender.flush()
                if time.monotonic() >= next_scrape:
                    figures = worker.figures() or figures
                    next_scrape = time.monotonic() + SCRAPE_S
                    live.update(moments_table(figures, shop.moles(), dt.datetime.now(dt.UTC)))
                time.sleep(FEED_S)
