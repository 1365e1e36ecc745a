"""The command `molehill`. Commands with a world of their own (Faust) are imported when they are called for.

Options are read here, or else from MOLEHILL_… through `agents.settings`, which alone reads the environment.
A MolehillError becomes one line on stderr and its exit code, Ctrl-C 130; a closed pipe ends without a word.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, NamedTuple

import click

from agents import settings
from streams import names
from streams.errors import CatalogueError, MolehillError, SettingsError

SHOWN_FAILURES = 5


class Elsewhere(NamedTuple):
    """A command in another module, with the line that `molehill --help` shows without importing it."""

    target: str  # module:attribute
    help: str


ELSEWHERE: Final = {
    "backtest": Elsewhere("agents.backtest:backtest", "Find the moles in a file of events, without Kafka."),
    "dead-letters": Elsewhere("agents.dead_letters:dead_letters", "List refused events, or send them back."),
    "doctor": Elsewhere("agents.doctor:doctor", "Check broker, topics, keys, lag, clock, catalogue; say what to do."),
    "moles": Elsewhere("agents.moles_command:moles", "List moles; acknowledge, snooze or whack one."),
    "try-source": Elsewhere("agents.try_source:try_source", "Show what the records of a topic become."),
    "worker": Elsewhere("agents.worker:worker", "Run one worker; more of them share the partitions."),
    "demo": Elsewhere("agents.demo:demo", "A broker, a worker and a simulated shop with moles."),
    "generate": Elsewhere("agents.generate:generate", "Prometheus rules, Alertmanager config, Grafana dashboards."),
}


class LazyGroup(click.Group):
    """Imports a command of ELSEWHERE when it is used: Faust takes most of a second."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *ELSEWHERE})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = ELSEWHERE[cmd_name].target.partition(":")
        command = import_module(module).__dict__[attribute]
        assert isinstance(command, click.Command), f"{module}:{attribute} is not a click command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = []
        for name in self.list_commands(ctx):
            command = None if name in ELSEWHERE else self.get_command(ctx, name)
            rows.append((name, command.get_short_help_str(90) if command else ELSEWHERE[name].help))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def installed_version() -> str:
    """The package's version; a checkout that is not installed has none."""
    try:
        return version("molehill")
    except PackageNotFoundError:
        return "unknown (not installed)"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(installed_version(), prog_name="molehill")
def cli() -> None:
    """SRE for customer experience: moments as services, with objectives, budgets and moles to whack.

    Every option is also an environment variable, MOLEHILL_BROKERS for --brokers.
    """


def _brokers(given: str | None) -> str:
    from agents.broker import given_brokers

    return given_brokers(given)


def _topic(given: str | None, option: str, default: str) -> str:
    return given or settings.env(option) or default


brokers_option = click.option("--brokers", metavar="HOST:PORT[,…]", help="Kafka's bootstrap servers.")
touchpoints_option = click.option("--touchpoints", metavar="TOPIC", help=f"Default {names.TOUCHPOINTS}.")
feedback_option = click.option("--feedback", metavar="TOPIC", help=f"Default {names.FEEDBACK}.")


@cli.command()
@click.argument("file")
def check(file: str) -> None:
    """Validate a catalogue: every problem at once, with its line.

    \b
    Example:
      molehill check deploy/moments.yaml
    """
    from agents.files import read_catalogue
    from streams import catalogue as catalogues
    from streams import cost

    catalogue = read_catalogue(file)
    count = len(catalogue.moments)
    click.echo(f"{file}: catalogue {catalogue.name} is valid: {count} moment{'s' * (count != 1)}")
    for tier in catalogues.TIERS:
        moments = [m.name for m in catalogue.moments.values() if m.tier == tier]
        click.echo(f"  {tier + ':':<12}{', '.join(moments) or 'none'}")
    shown = [
        f"{d.name} ({'|'.join(d.values) if d.values is not None else f'up to {d.limit} values'})"
        for d in catalogue.dimensions.values()
    ]
    click.echo(f"  {'dimensions:':<12}{', '.join(shown) or 'none'}")
    found = cost.by_kind(catalogue)
    parts = ", ".join(f"{kind} {n:,}" for kind, n in found.items())
    click.echo(f"  {'samples:':<12}{sum(found.values()):,} at most, all workers together: {parts}")
    for note in catalogues.notes(catalogue):
        click.echo(f"note: {note}", err=True)


@cli.command()
@brokers_option
@click.option("--partitions", type=click.IntRange(1, 10_000), help="Of each topic. Default: as it is, or 4.")
@touchpoints_option
@feedback_option
@click.option("--dead-letters", metavar="TOPIC", help=f"Default {names.DEAD_LETTERS}.")
def topics(
    brokers: str | None,
    partitions: int | None,
    touchpoints: str | None,
    feedback: str | None,
    dead_letters: str | None,
) -> None:
    """Create the topics that are missing, check those that exist.

    \b
    Example:
      molehill topics --brokers localhost:9092 --partitions 12
    """
    from agents import broker

    brokers = _brokers(brokers)
    partitions = settings.env_int("partitions") if partitions is None else partitions
    if partitions is not None and partitions < 1:
        raise SettingsError(f"MOLEHILL_PARTITIONS: found {partitions}, expected 1 or more")
    sources = (
        _topic(touchpoints, "touchpoints", names.TOUCHPOINTS),
        _topic(feedback, "feedback", names.FEEDBACK),
    )
    dead = _topic(dead_letters, "dead-letters", names.DEAD_LETTERS)
    reports = broker.ensure_topics(brokers, broker.source_specs(partitions, *sources, dead), equal=sources)
    width = max(len("TOPIC"), *(len(r.name) for r in reports))
    click.echo(f"{'TOPIC':<{width}}  PARTITIONS  STATUS")
    for report in reports:
        status = "created" if report.created else "differs" if report.differs else "ok"
        click.echo(f"{report.name:<{width}}  {report.partitions:>10}  {status}")
    for report in reports:
        for key, (found, asked) in report.differs.items():
            click.echo(
                f"warning: {report.name}: {key}: found {found}, expected {asked}; to change it: "
                f"kafka-configs.sh --bootstrap-server {brokers} --alter --topic {report.name} "
                f"--add-config {key}={asked}",
                err=True,
            )


@cli.command()
@click.argument("file", default="-")
@brokers_option
@touchpoints_option
@feedback_option
def emit(file: str, brokers: str | None, touchpoints: str | None, feedback: str | None) -> None:
    """Send CloudEvents from JSON lines, keyed by customer.

    FILE may be compressed (.gz, .zst); without one, or with -, lines come from stdin. Exit 1 if any failed.

    \b
    Example:
      molehill emit --brokers localhost:9092 events.jsonl.gz
    """
    _send(file, None, brokers, touchpoints, feedback)


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


@cli.command()
@click.argument("file", default="-")
@brokers_option
@click.option(
    "--speed",
    type=Speed(),
    metavar="N",
    help="Times as fast as it happened; max (or 0): no pauses. Default 1.",
)
@touchpoints_option
@feedback_option
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
    from agents import emit as sending
    from agents import files

    brokers = _brokers(brokers)
    size = files.size_of(file)
    failures = Failures(files.shown_name(file))
    sender = sending.Sender(
        brokers,
        failures,
        _topic(touchpoints, "touchpoints", names.TOUCHPOINTS),
        _topic(feedback, "feedback", names.FEEDBACK),
    )
    with sender:
        pace = None if speed is None else sending.Pace(speed, lambda text: print(text, file=sys.stderr))
        try:
            with _progress(size) as progress:
                sending.send_file(file, sender, failures, pace, progress)
        finally:
            failures.end()
            click.echo(f"sent {sender.outcome.sent} failed {sender.outcome.failed}")
    if sender.outcome.interrupted:
        raise KeyboardInterrupt
    if sender.outcome.failed:
        raise click.exceptions.Exit(1)


@contextlib.contextmanager
def _progress(size: int | None) -> Iterator[Callable[[int], None] | None]:
    """A bar over the bytes of the file, where somebody watches; for a pipe nothing tells how far it is."""
    if size is None or not sys.stderr.isatty():
        yield None
        return
    from rich import console, progress

    with progress.Progress(
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=console.Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=size)
        yield lambda position: bar.update(task, completed=position)


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


@cli.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonschema", "asyncapi"]),
    default="jsonschema",
    show_default=True,
    help="JSON Schema of an event, or AsyncAPI 3.0 of all topics.",
)
def schema(form: str) -> None:
    """Print the event contract.

    \b
    Example:
      molehill schema --format jsonschema > events.schema.json
    """
    import orjson

    from streams.asyncapi import asyncapi
    from streams.schema import json_schema

    found = json_schema() if form == "jsonschema" else asyncapi(installed_version())
    click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script: ends the process with the code that a shell expects."""
    try:
        code = cli.main(arguments, prog_name="molehill", standalone_mode=False)
        sys.stdout.flush()
    except CatalogueError as error:
        click.echo(str(error), err=True)  # each line names its file already
        code = error.exit_code
    except MolehillError as error:
        click.echo(f"molehill: {error}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        code = 128 + signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains while it ends
        code = 1  # as click does where the pipe closes earlier
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
