"""`molehill try-source`: what the records of a sample become by a catalogue's `sources`, before any worker runs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click
import msgspec

from agents import settings
from agents.files import read_catalogue, read_lines, shown_name
from streams.catalogue import Catalogue
from streams.errors import InputError, SettingsError
from streams.event_reader import Reader
from streams.events import BY_TYPE, Rejection
from streams.mapping import Mapper
from streams.sources import Source

SHOWN = 20  # refusals
LOG_APPEND_TIME = 1


class Line(msgspec.Struct):
    """A record as kcat -J prints it."""

    payload: str | None = None
    key: str | None = None
    headers: list[str] | None = None  # name, value, name, value, …
    ts: int = -1  # milliseconds
    offset: int = 0


@dataclass(slots=True)
class Sample:
    """A record of the sample."""

    value: bytes | None
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp: int
    offset: int
    timestamp_type: int = LOG_APPEND_TIME


_lines = msgspec.json.Decoder(Line)


@click.command()
@click.argument("file", default="-")
@click.option("--catalogue", metavar="FILE", help="The catalogue with the sources.  [env MOLEHILL_CATALOGUE]")
@click.option("--source", metavar="NAME", help="Which source; needed where the catalogue has several.")
@click.option("--kcat", is_flag=True, help="Lines are records as `kcat -J` prints them: with key, headers, time.")
def try_source(file: str, catalogue: str | None, source: str | None, kcat: bool) -> None:
    """Show what the records of a topic become.

    FILE has the JSON of one record on each line (.gz and .zst too; - is stdin). Events go to stdout, one on a line;
    refusals, with where and why, and a summary to stderr. Exit 1 if any record was refused.

    \b
    Example:
      molehill try-source orders.jsonl --catalogue moments.yaml --source orders
      kcat -b localhost:9092 -t shop.orders -C -c 100 -J | molehill try-source --kcat --catalogue moments.yaml
    """
    path = catalogue or settings.env("catalogue")
    if path is None:
        raise SettingsError("--catalogue (or MOLEHILL_CATALOGUE): found nothing, expected a catalogue with sources")
    chosen = choose(read_catalogue(path), source, path)
    mapper = Mapper(chosen, 0)
    reader = Reader(chosen.topic, tuple(BY_TYPE))
    name = shown_name(file)
    became: Counter[str] = Counter()
    refused = 0
    for number, record in samples(file, kcat):
        try:
            event = mapper.event(record)
            if event is None:
                became["skipped"] += 1
                continue
            became[reader.read(event, ()).source] += 1
            click.echo(event)
        except Rejection as why:
            refused += 1
            if refused <= SHOWN:
                click.echo(f"{name}:{number}: {why}", err=True)
    if refused > SHOWN:
        click.echo(f"{name}: and {refused - SHOWN} more refused", err=True)
    parts = [f"{n:,} {what}" for what, n in sorted(became.items())]
    click.echo(f"{chosen.name}: {', '.join([*parts, f'{refused:,} refused'])}", err=True)
    if refused:
        raise click.exceptions.Exit(1)


def choose(catalogue: Catalogue, name: str | None, path: str) -> Source:
    """The source of that name, or the only one. Raises SettingsError."""
    known = ", ".join(s.name for s in catalogue.sources)
    if not known:
        raise SettingsError(f"{path}: found no sources, expected a section `sources:` (see the README)")
    found = [s for s in catalogue.sources if name in (None, s.name)]
    if len(found) != 1:
        raise SettingsError(f"--source: found {name or 'nothing'}, expected one of {known}")
    return found[0]


def samples(file: str, kcat: bool) -> Iterator[tuple[int, Sample]]:
    """(line, record) of a file. Raises InputError."""
    for number, line in read_lines(file):
        if not kcat:
            yield number, Sample(line, None, (), -1, number - 1)
            continue
        try:
            found = _lines.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            raise InputError(f"{shown_name(file)}:{number}: found {e}, expected what kcat -J prints") from None
        pairs = found.headers or []
        headers = tuple((k, v.encode()) for k, v in zip(pairs[::2], pairs[1::2], strict=False))
        yield number, Sample(_bytes(found.payload), _bytes(found.key), headers, found.ts, found.offset)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
