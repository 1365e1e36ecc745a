"""`molehill emit` and `molehill replay`: options, progress, the first failures, and the counts at the end."""

import sys
from typing import Any, Final

import click

from agents import files, options, settings
from agents.broker import given_brokers
from agents.emit import Pace, send_file
from agents.progress import progress_bar
from agents.sender import Sender
from streams import names
from streams.errors import SettingsError

SHOWN_FAILURES: Final = 5


class Speed(click.ParamType):
    """Seconds of event time per second; `max` is 0, which is as fast as it goes."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if value == "max":
            return 0.0
        try:
            speed = float(value)
        except ValueError:
            speed = -1.0
        if not 0 <= speed < float("inf"):
            self.fail(f"found {value!r}, expected a number of 0 or more, or max", param, ctx)
        return speed


@click.command()
@click.argument("file", default="-")
@options.brokers
@options.touchpoints
@options.feedback
def emit(file: str, brokers: str | None, touchpoints: str | None, feedback: str | None) -> None:
    """Send CloudEvents from JSON lines, keyed by customer.

    FILE may be compressed (.gz, .zst); without one, or with -, lines come from stdin. Exit 1 if any failed.

    \b
    Example:
      molehill emit --brokers localhost:9092 events.jsonl.gz
    """
    _send(file, None, brokers, touchpoints, feedback)


@click.command()
@click.argument("file", default="-")
@options.brokers
@click.option(
    "--speed",
    type=Speed(),
    metavar="N",
    help="Times as fast as it happened; max (or 0): no pauses. Default 1.",
)
@options.touchpoints
@options.feedback
def replay(
    file: str, brokers: str | None, speed: float | None, touchpoints: str | None, feedback: str | None
) -> None:
    """The same as emit, at the pace of the events' own time.

    Events go in the order of the file; one that is older than those before it is not waited for.

    \b
    Example:
      molehill replay events.jsonl.gz --brokers localhost:9092 --speed 1000
    """
    if speed is None and (from_env := settings.env("speed")) is not None:
        try:
            speed = Speed().convert(from_env, None, None)
        except click.BadParameter as error:
            raise SettingsError(f"MOLEHILL_SPEED: {error.message}") from None
    _send(file, 1.0 if speed is None else speed, brokers, touchpoints, feedback)


def _send(file: str, speed: float | None, brokers: str | None, touchpoints: str | None, feedback: str | None) -> None:
    brokers = given_brokers(brokers)
    size = files.size_of(file)
    failures = Failures(files.shown_name(file))
    sender = Sender(
        brokers,
        failures,
        touchpoints or settings.env("touchpoints") or names.TOUCHPOINTS,
        feedback or settings.env("feedback") or names.FEEDBACK,
    )
    with sender:
        pace = None if speed is None else Pace(speed, lambda text: print(text, file=sys.stderr))
        try:
            with progress_bar(size) as progress:
                send_file(file, sender, failures, pace, progress)
        finally:
            failures.end()
            click.echo(f"sent {sender.outcome.sent} failed {sender.outcome.failed}")
    if sender.outcome.interrupted:
        raise KeyboardInterrupt
    if sender.outcome.failed:
        raise click.exceptions.Exit(1)


class Failures:
    """Shows the first lines that could not be sent, and how many more there were."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0

    def __call__(self, line: int, reason: str) -> None:
        self._count += 1
        if self._count <= SHOWN_FAILURES:
            print(f"{self._name}:{line}: {reason}", file=sys.stderr)  # not click.echo: rich minds its bar

    def end(self) -> None:
        """After the last line."""
        if self._count > SHOWN_FAILURES:
            print(f"{self._name}: and {self._count - SHOWN_FAILURES} more lines", file=sys.stderr)
