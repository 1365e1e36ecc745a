"""`molehill generate`: what teams load into Prometheus, Alertmanager and Grafana, from their catalogue."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from agents import settings
from agents.files import read_catalogue
from streams.errors import MolehillError, SettingsError
from streams.generated import MARK, generated
from streams.rules import Links


class DifferenceError(MolehillError):
    """What is there is not what the catalogue gives."""


def _url(name: str, default: str, help: str) -> Callable[[Any], Any]:
    def read(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
        url = (value or settings.env(name) or default).rstrip("/")
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise SettingsError(f"--{name}: found {url!r}, expected a URL that begins with http:// or https://")
        return url

    return click.option(f"--{name}", metavar="URL", callback=read, help=f"{help} Default {default}.")


@click.command(epilog="Example: molehill generate deploy/moments.yaml --out deploy/generated")
@click.argument("file")
@click.option("--out", metavar="DIR", help="Where the files go; made if it is not there.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file is not what it would be.")
@_url("grafana", Links.grafana, "Where people open Grafana, for links.")
@_url("board", Links.board, "Where people open a worker's pages, for links.")
@_url("pager", Links.pager, "Webhook for what must wake somebody.")
@_url("tickets", Links.tickets, "Webhook for what can wait for the morning.")
def generate(file: str, out: str | None, check: bool, grafana: str, board: str, pager: str, tickets: str) -> None:
    """Write Prometheus rules and their tests, Alertmanager's configuration and Grafana dashboards.

    The same FILE and options give the same bytes: commit them, and let --check hold them together.
    """
    out = out or settings.env("out")
    if out is None:
        raise SettingsError("--out (or MOLEHILL_OUT): found nothing, expected a directory")
    files = generated(read_catalogue(file), Links(grafana, board, pager, tickets))
    directory = Path(out)
    try:
        changes = compare(directory, files)
        if not check:
            write(directory, files)
    except OSError as error:
        raise SettingsError(f"--out {error.filename or out}: {error.strerror}") from None
    for line in changes:
        click.echo(line, err=check)
    if check and changes:
        raise DifferenceError(f"{len(changes)} of {len(files)} files differ; run the command without --check")
    click.echo(f"{directory}: {len(files)} files, {'as generated' if check else f'{len(changes)} changed'}")


def compare(directory: Path, files: dict[str, str]) -> list[str]:
    """One line for each file that differs, is missing, or was generated once and is not any more."""
    lines = []
    for name, text in files.items():
        path = directory / name
        if not path.exists():
            lines.append(f"missing: {path}")
        elif path.read_bytes() != text.encode():
            lines.append(f"differs: {path}")
    left = {p for p in directory.rglob("*") if p.is_file()} - {directory / name for name in files}
    return lines + [f"left over: {p}" for p in sorted(left) if MARK.encode() in p.read_bytes()]


def write(directory: Path, files: dict[str, str]) -> None:
    """Writes what differs, so that what watches the files sees real changes only."""
    for name, text in files.items():
        path = directory / name
        if not path.exists() or path.read_bytes() != text.encode():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
