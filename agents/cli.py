"""The command `molehill`. Its longer commands, and those with a world of their own (Faust), are imported when used.

Options come from the command line, or else from MOLEHILL_… by `agents.settings`, which alone reads the environment.
A MolehillError becomes one line on stderr and its exit code, Ctrl-C 130; a closed pipe ends without a word.
"""

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final, NamedTuple

import click

from agents import options, settings
from streams import names
from streams.errors import CatalogueError, MolehillError, SettingsError


class Elsewhere(NamedTuple):
    """A command in another module, with the line that `molehill --help` shows without importing it."""

    target: str  # module:attribute
    help: str


ELSEWHERE: Final = {
    "backtest": Elsewhere("agents.backtest:backtest", "Find the moles in a file of events, without Kafka."),
    "dead-letters": Elsewhere("agents.dead_letters:dead_letters", "List refused events, or send them back."),
    "doctor": Elsewhere("agents.doctor:doctor", "Check broker, topics, keys, lag, clock, catalogue; say what to do."),
    "emit": Elsewhere("agents.emit_command:emit", "Send CloudEvents from JSON lines, keyed by customer."),
    "moles": Elsewhere("agents.moles_command:moles", "List moles; acknowledge, snooze or whack one."),
    "replay": Elsewhere("agents.emit_command:replay", "The same as emit, at the pace of the events' own time."),
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
    from importlib.metadata import PackageNotFoundError, version  # a tenth of a command's start, for one of them

    try:
        return version("molehill")
    except PackageNotFoundError:
        return "unknown (not installed)"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="molehill", prog_name="molehill")
def cli() -> None:
    """SRE for customer experience: moments as services, with objectives, budgets and moles to whack.

    Every option is also an environment variable, MOLEHILL_BROKERS for --brokers.
    """


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
@options.brokers
@click.option("--partitions", type=click.IntRange(1, 10_000), help="Of each topic. Default: as it is, or 4.")
@options.touchpoints
@options.feedback
@options.dead_letters
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

    brokers = broker.given_brokers(brokers)
    partitions = settings.env_int("partitions") if partitions is None else partitions
    if partitions is not None and partitions < 1:
        raise SettingsError(f"MOLEHILL_PARTITIONS: found {partitions}, expected 1 or more")
    sources = (
        touchpoints or settings.env("touchpoints") or names.TOUCHPOINTS,
        feedback or settings.env("feedback") or names.FEEDBACK,
    )
    dead = dead_letters or settings.env("dead-letters") or names.DEAD_LETTERS
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
