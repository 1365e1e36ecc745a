"""`molehill moles`: what the board does, from a terminal, by the API of any worker."""

import datetime as dt
import http.client
import urllib.error
import urllib.request
from typing import Any, Final
from urllib.parse import quote, urlsplit

import click
import msgspec
import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents import settings
from streams.catalogue import TIERS
from streams.durations import seconds_of
from streams.errors import MolehillError, SettingsError
from streams.moles import Mole

DEFAULT_URL: Final = f"http://127.0.0.1:{settings.DEFAULT_PORT}"
TIMEOUT_S: Final = 20.0  # the worker itself waits 10 s for its log
COLOURS: Final = {"game-over": "bold red", "important": "yellow", "tolerable": "cyan"}
SHOWN = 80  # characters of what somebody else has said


class ApiError(MolehillError):
    """The worker cannot be reached, or refuses; says what it said."""


class Listed(msgspec.Struct):
    """What GET /api/moles answers; `clock` is event time in unix seconds."""

    clock: int
    moles: list[Mole]
    snoozed_until: dict[str, dt.datetime] = {}  # id → event time


def call(url: str, path: str, body: dict[str, str] | None = None) -> bytes:
    """GET, or POST with a body and the token. Raises ApiError, SettingsError."""
    if not _is_address(url):
        raise SettingsError(f"--url: found {url!r}, expected an address such as {DEFAULT_URL}")
    headers = {"Accept": "application/json"}
    data = None
    if body is not None:
        data = orjson.dumps(body)
        headers["Content-Type"] = "application/json"
        if token := settings.env("token"):
            headers["Authorization"] = f"Bearer {token}"
    try:
        request = urllib.request.Request(url.rstrip("/") + path, data, headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as e:
        with e:
            raise ApiError(f"{url}: {_said(e)}") from None
    except (OSError, http.client.HTTPException, ValueError) as e:
        reason = getattr(e, "reason", e)
        raise ApiError(f"{url}: no answer ({reason}); is a worker there? --url names another one") from None


def _is_address(url: str) -> bool:
    try:
        found = urlsplit(url)
        return found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError:
        return False


def _said(error: urllib.error.HTTPError) -> str:
    try:
        said = str(orjson.loads(error.read())["error"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return f"status {error.code}, expected a molehill worker's API"
    hint = "; set MOLEHILL_TOKEN" if error.code == 401 else ""
    return f"{said}{hint}"


def listed(url: str) -> Listed:
    """The moles that are up and those that ended lately, newest first."""
    body = call(url, "/api/moles")
    try:
        return msgspec.json.decode(body, type=Listed)
    except msgspec.MsgspecError as e:
        raise ApiError(f"{url}: found {body[:SHOWN]!r} ({e}), expected a molehill worker's API") from None


def resolve(given: str, moles: list[Mole]) -> str:
    """The id that is given, or the only one that begins so; one that is up comes before those that have ended."""
    known = [m.id for m in moles]
    up = [m.id for m in moles if m.state != "whacked" and m.id.startswith(given)]
    found = [given] if given in known else up or [x for x in known if x.startswith(given)]
    if len(found) != 1:
        shown = ", ".join((found or known)[:5]) or "no mole at all"
        expected = "the id of one" if found else "the beginning of one of"
        raise ApiError(f"{given[:SHOWN]!r}: found {len(found)} moles that begin so, expected {expected}: {shown}")
    return found[0]


def table(found: Listed) -> Table:
    """Those that are up first, worst tier first; ids stay whole, so that they can be copied."""
    out = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    out.add_column("mole", no_wrap=True)
    out.add_column("state")
    for name in ("since", "bad", "burn"):
        out.add_column(name, justify="right", no_wrap=name != "since")
    now = dt.datetime.fromtimestamp(found.clock, dt.UTC)
    for m in _sorted(found.moles):
        style = "dim" if m.state == "whacked" else COLOURS[m.tier]
        since = f"{m.first_harm:%H:%M}" if m.first_harm.date() == now.date() else f"{m.first_harm:%d %b}"
        out.add_row(Text(m.id, style=style), m.state, since, f"{m.bad:,}/{m.total:,}", f"{m.burn_rate:.1f}×")
    out.caption = f"judged up to {now:%F %T}Z" if found.clock else "no event has been judged yet"
    out.caption_justify = "left"
    return out


def _sorted(moles: list[Mole]) -> list[Mole]:
    return sorted(moles, key=lambda m: (m.state == "whacked", TIERS.index(m.tier)))


def _url(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    before = context.parent.params.get("url") if context.parent else None
    return str(value or before or settings.env("url") or DEFAULT_URL)


url_option = click.option(
    "--url", metavar="URL", callback=_url, help=f"Of any worker. [env MOLEHILL_URL, default {DEFAULT_URL}]"
)
by_option = click.option("--by", metavar="NAME", default="", help="Who does it, for the record.")


@click.group(invoke_without_command=True, epilog="Example: molehill moles ack checkout-payment --by alice")
@url_option
@click.pass_context
def moles(context: click.Context, url: str) -> None:
    """List moles; acknowledge, snooze or whack one, by its id or the beginning of it.

    Where the worker has a token, MOLEHILL_TOKEN must hold it.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_moles, url=url, as_json=False)


@moles.command("list", epilog="Example: molehill moles list --json")
@url_option
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each mole, as backtest prints it.")
def list_moles(url: str, as_json: bool) -> None:
    """Show the moles that are up, and those that ended within seven days."""
    found = listed(url)
    if as_json:
        for mole in found.moles:
            click.echo(msgspec.json.encode(mole))
        return
    console = Console()
    if found.moles:
        console.print(table(found))
        for mole in _sorted(found.moles):
            if mole.state != "whacked":
                wakes = found.snoozed_until.get(mole.id)
                more = f" Snoozed until {wakes:%H:%M} UTC on {wakes:%d %b}." if wakes else ""
                console.print(Text(f"{mole.tier}: {mole.explain}{more}"))
    else:
        click.echo("no mole: nobody is hurt" if found.clock else "no mole: no event has been judged yet")


def _act(url: str, given: str, action: str, body: dict[str, str]) -> None:
    name = resolve(given, listed(url).moles)
    mole: Any = orjson.loads(call(url, f"/api/moles/{quote(name, safe='')}/{action}", body))
    click.echo(f"{name}: {mole['state']}")


@moles.command(epilog="Example: molehill moles ack checkout-payment.outcome --by alice")
@click.argument("mole", metavar="ID")
@by_option
@url_option
def ack(mole: str, by: str, url: str) -> None:
    """Say that somebody looks after it."""
    _act(url, mole, "ack", {"by": by})


@moles.command(epilog="Example: molehill moles whack checkout-payment.outcome.burn.20261122T051530Z")
@click.argument("mole", metavar="ID")
@by_option
@url_option
def whack(mole: str, by: str, url: str) -> None:
    """Say that it is over; harm from an hour later on makes it pop up again."""
    _act(url, mole, "whack", {"by": by})


@moles.command(epilog="Example: molehill moles snooze checkout-payment --for 2h")
@click.argument("mole", metavar="ID")
@click.option("--for", "length", metavar="TIME", default="1h", show_default=True, help="Of event time: 30m, 2h, 1d.")
@by_option
@url_option
def snooze(mole: str, length: str, by: str, url: str) -> None:
    """Keep it quiet for a time; then it wakes somebody again."""
    try:
        seconds_of(length)
    except ValueError as e:
        raise SettingsError(f"--for: {e}") from None
    _act(url, mole, "snooze", {"for": length, "by": by})
