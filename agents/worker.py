"""`molehill worker`: one worker. More of them share the partitions."""

import asyncio
import contextlib
import fcntl
import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from agents import settings as environment
from agents import topics
from agents.app import Molehill
from agents.broker import ensure_topics
from agents.files import read_catalogue
from agents.settings import Settings
from agents.web import Pages
from streams import names
from streams.catalogue import Catalogue
from streams.errors import MolehillError, SettingsError, StateError
from streams.route import Routes

STOP_S = 10.0
LOOK_S = 0.5
SESSION_S = 6.0  # with static membership a restart is no rebalance; a crash costs the others this long
EMBEDDED_SESSION_S = 3.0  # the embedded broker lets a consumer join only after half of it
log = logging.getLogger("molehill")


class DataDir:
    """A worker's directory: its identity as a static group member, and a lock against a second worker on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / "lock").open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(f"--data-dir {path}: another worker runs on it; give each worker its own") from None
        except OSError as e:
            raise SettingsError(f"--data-dir {path}: {e.strerror}") from None

    def member(self) -> str:
        """The same for every run on this directory, so that a restart is no change of the group."""
        file = self.path / "member"
        if not file.exists():
            file.write_text(secrets.token_hex(4))
        return file.read_text().strip()

    def close(self) -> None:
        """Gives the directory free."""
        self._lock.close()


def prepare(settings: Settings, catalogue: Catalogue) -> Routes:
    """Makes or checks all topics, before anything consumes; returns the routes for their partition count."""
    found = ensure_topics(
        settings.brokers,
        topics.sources(settings, settings.partitions),
        equal=(settings.touchpoints, settings.feedback, *topics.mapped(settings, catalogue)),
    )
    for report in found:
        for key, (is_, asked) in report.differs.items():
            log.warning("topic %s: %s is %s, expected %s", report.name, key, is_, asked)
    partitions = found[0].partitions
    for report in ensure_topics(settings.brokers, topics.internal(settings, partitions), equal=()):
        for key, (is_, asked) in report.differs.items():
            if key == "cleanup.policy":
                raise StateError(f"topic {report.name}: {key} is {is_}, expected {asked}: state would be deleted")
    return Routes(catalogue, partitions)


async def run(
    settings: Settings, catalogue: Catalogue, started: Callable[[Molehill, int], None], stop: asyncio.Event
) -> None:
    """One worker until `stop`; `started` is called with the port once the pages are up. Raises what ended it."""
    routes = await asyncio.get_running_loop().run_in_executor(None, prepare, settings, catalogue)
    molehill = Molehill(settings, routes)
    pages = Pages(molehill)
    port = await pages.start(settings)
    started(molehill, port)
    app = molehill.app
    ended = asyncio.create_task(_end(app))
    stopped = asyncio.create_task(stop.wait())
    try:
        await app.start()
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if app.crashed or ended.done():
            raise WorkerError(f"the worker ended: {_reason(app)}") from app.crash_reason
        with contextlib.suppress(TimeoutError):  # a broker that is away: what is not flushed is read again
            await asyncio.wait_for(molehill.settle(), STOP_S)
    finally:
        ended.cancel()
        stopped.cancel()
        await pages.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(app.stop(), STOP_S)


class WorkerError(MolehillError):
    """The worker could not go on; what it had not flushed will be read again."""

    exit_code = 3


async def _end(app: Any) -> None:
    """Looks now and then: the consumer's thread may end the app too, and asyncio's events are not for two threads."""
    while not (app.crashed or app.should_stop):
        await asyncio.sleep(LOOK_S)


def _reason(app: Any) -> str:
    reason = app.crash_reason
    return "it stopped" if reason is None else f"{type(reason).__name__}: {reason}"


def option(name: str, help: str, default: str | None = None, **kwargs: Any) -> Any:
    """An option that is also an environment variable."""
    variable = environment.PREFIX + name.upper().replace("-", "_")
    shown = f" [env {variable}" + (f", default {default}]" if default else "]")
    kwargs.setdefault("metavar", name.upper())
    return click.option(f"--{name}", default=lambda: environment.env(name) or default, help=help + shown, **kwargs)


@click.command(
    epilog="Example: molehill worker --brokers localhost:9092 --catalogue moments.yaml --data-dir /var/lib/molehill"
)
@option("brokers", "Kafka brokers, HOST:PORT[,HOST:PORT…].")
@option("catalogue", "The moments, a YAML file.")
@option("host", "Address to listen on.", "127.0.0.1")
@option("port", "Port of the pages and of /metrics.", str(environment.DEFAULT_PORT), type=click.IntRange(0, 65535))
@option("data-dir", "Holds the worker's identity and a lock.", "./molehill-data")
@option("app", "Name of the application: consumer group, internal topics.", "molehill")
@option("touchpoints", "Source topic.", names.TOUCHPOINTS)
@option("feedback", "Source topic.", names.FEEDBACK)
@option("dead-letters", "Topic for refused events.", names.DEAD_LETTERS)
@option("moles", "Topic for the transitions of moles.", names.MOLES_TOPIC)
@option("token", "What an action on a mole must bear; without one, actions are taken on loopback only.")
@option("judging", "on, or off: counts only, no moles.", "on", type=click.Choice(["on", "off"]))
@option("partitions", "Of the source topics, if they have to be made.", type=int)
@option("max-series", "Export at most so many series; more are refused, and shown to be.",
        str(environment.DEFAULT_MAX_SERIES), type=click.IntRange(min=1))  # fmt: skip
@click.option("--embedded", is_flag=True, hidden=True)  # the demo's broker
@option("log-level", "debug, info, warning or error.", "info")
def worker(
    brokers: str | None, catalogue: str | None, host: str, port: int, data_dir: str, app: str,
    touchpoints: str, feedback: str, dead_letters: str, moles: str, token: str | None, partitions: int | None,
    judging: str, max_series: int, embedded: bool, log_level: str,
) -> None:  # fmt: skip
    """Runs one worker: reads events, keeps the health of moments, serves /metrics."""
    if not brokers:
        raise SettingsError("--brokers (or MOLEHILL_BROKERS) is needed: HOST:PORT of a Kafka broker")
    if not catalogue:
        raise SettingsError("--catalogue (or MOLEHILL_CATALOGUE) is needed: the file that declares the moments")
    set_up_logging(log_level)
    moments = read_catalogue(Path(catalogue))
    directory = DataDir(Path(data_dir))
    settings = Settings(
        brokers, Path(catalogue), Path(data_dir), host, port, environment.application_name(app),
        touchpoints, feedback, dead_letters, partitions, directory.member(),
        session_timeout_s=EMBEDDED_SESSION_S if embedded else SESSION_S, embedded=embedded,
        max_series=max_series, moles=moles, token=token, judging=judging == "on",
    )  # fmt: skip

    def started(molehill: Molehill, port: int) -> None:
        log.info("listening on http://%s:%s", settings.host, port)

    asyncio.run(_until_signal(settings, moments, started))


async def _until_signal(settings: Settings, catalogue: Catalogue, started: Callable[[Molehill, int], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_or_leave, stop, number)
    await run(settings, catalogue, started, stop)


def _stop_or_leave(stop: asyncio.Event, number: int) -> None:
    """The first signal ends cleanly, a second one at once."""
    if stop.is_set():
        os._exit(128 + number)
    stop.set()


def set_up_logging(level: str) -> None:
    """Plain lines on stderr; the libraries only from warnings up."""
    number = logging.getLevelName(level.upper())
    if not isinstance(number, int):
        raise SettingsError(f"--log-level: found {level!r}, expected debug, info, warning or error")
    logging.basicConfig(
        stream=sys.stderr,
        level=max(number, logging.WARNING),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("aiokafka.consumer.group_coordinator").addFilter(
        lambda record: "GroupCoordinatorNotAvailableError" not in record.getMessage()  # a first start is no error
    )
    for name in ("molehill", *(("faust", "mode", "aiokafka") if number <= logging.DEBUG else ())):
        logging.getLogger(name).setLevel(number)
