"""`molehill dead-letters`: looks at refused events, and sends them back (agents/returner.py says how)."""

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from heapq import nlargest
from itertools import islice
from typing import Any, Final, NamedTuple

import click

from agents import broker, options, records, settings
from agents.returner import Returner
from streams import names
from streams.durations import seconds_of
from streams.errors import SettingsError
from streams.letters import Letter, letter_of, printable

SHOWN: Final = 50
CHUNK: Final = 500  # letters that are marked together: so many at most go twice if the command is killed
WIDTH: Final = 100  # characters of an error in a list


class Filters(NamedTuple):
    """Which letters; empty: all."""

    reasons: frozenset[str]
    topics: frozenset[str]
    since_ms: int | None

    def match(self, letter: Letter) -> bool:
        """Whether a letter is meant, its time aside."""
        return not (self.reasons and letter.reason not in self.reasons) and not (
            self.topics and letter.topic not in self.topics
        )


class Places(NamedTuple):
    """Where letters are, and where it is written which ones were sent back."""

    brokers: str
    letters: str
    marks: str


@click.command("dead-letters")
@click.argument("action", type=click.Choice(["list", "requeue"]), default="list")
@options.brokers
@click.option("--reason", "reasons", multiple=True, type=click.Choice(names.REASONS), help="Only these; repeatable.")
@click.option("--topic", "topics", multiple=True, metavar="TOPIC", help="Only those from this topic; repeatable.")
@click.option("--since", metavar="WHEN", help="Only those refused since: 30m, 2h, 1d, or a time (RFC 3339).")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help=f"list: the newest, default {SHOWN}. requeue: the oldest, default all.",
)
@click.option("--json", "as_json", is_flag=True, help="list: one JSON object on each line.")
@click.option(
    "--force", is_flag=True, help="requeue: too_late ones as well (they are refused again, unless time was reset)."
)
@click.option("--dry-run", is_flag=True, help="requeue: only say what would be sent.")
@click.option("--dead-letters", "letters", metavar="TOPIC", help=f"Default {names.DEAD_LETTERS}.")
@click.option(
    "--app", metavar="NAME", help="The application whose topic remembers what was sent back. Default molehill."
)
def dead_letters(
    action: str, brokers: str | None, reasons: tuple[str, ...], topics: tuple[str, ...], since: str | None,
    limit: int | None, as_json: bool, force: bool, dry_run: bool, letters: str | None, app: str | None,
) -> None:  # fmt: skip
    """List refused events, or send them back to their topics.

    Events go back byte for byte, with key and headers, to the topic and partition that they came from. What was sent
    back is remembered, and not sent again. Neither keys nor contents are printed.

    \b
    Example:
      molehill dead-letters list --brokers localhost:9092 --reason bad_field --since 2h
      molehill dead-letters requeue --brokers localhost:9092 --reason from_future --dry-run
    """
    application = settings.application_name(app or settings.env("app") or "molehill")
    source = letters or settings.env("dead-letters") or names.DEAD_LETTERS
    places = Places(broker.given_brokers(brokers), source, f"{application}.requeued")
    filters = Filters(frozenset(reasons), frozenset(topics), None if since is None else when(since, time.time()))
    if action == "list":
        show(places, filters, limit or SHOWN, as_json)
    else:
        if names.TOO_LATE in filters.reasons and not force:
            raise SettingsError("--reason too_late: these would be too late again; expected --force as well")
        requeue(places, filters, limit, force, dry_run)


def when(text: str, now_s: float) -> int:
    """Milliseconds since 1970 of `2h` ago or of a time. Raises SettingsError."""
    try:
        return round((now_s - seconds_of(text)) * 1000)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError
        return round(found.timestamp() * 1000)
    except ValueError:
        raise SettingsError(f"--since: found {text!r}, expected 30m, 2h, 1d, or a time with an offset") from None


def letters_in(reader: Any, places: Places, filters: Filters) -> Iterator[tuple[Any, Letter]]:
    """(record, letter) of those that match, oldest first within a partition."""
    count = records.require(places.brokers, [places.letters])[places.letters]
    spans = records.bounds(reader, places.letters, count)
    if filters.since_ms is not None:
        spans = records.since(reader, spans, filters.since_ms)
    with progress(sum(end - begin for begin, end in spans.values())) as step:
        for record in records.read(reader, spans):
            step(1)
            if record.timestamp < (filters.since_ms or 0):
                continue  # times are their producers', and need not be in order
            letter = letter_of(record.key, record.value, record.headers)
            if letter is not None and filters.match(letter):
                yield record, letter


def marked(reader: Any, places: Places) -> set[bytes]:
    """The identities of the letters that were sent back."""
    count = broker.partition_counts(places.brokers, [places.marks]).get(places.marks)
    if count is None:
        return set()
    return {r.key for r in records.read(reader, records.bounds(reader, places.marks, count)) if r.value is not None}


class Row(NamedTuple):
    """What is shown of a letter; neither its key nor its content."""

    at: int  # milliseconds
    topic: str
    partition: int
    offset: int
    reason: str
    error: str
    bytes: int
    sent_back: bool


def show(places: Places, filters: Filters, limit: int, as_json: bool) -> None:
    """The newest letters, in the order of their time; how many there are of each reason on stderr."""
    by_reason: Counter[str] = Counter()
    with records.consumer(places.brokers) as reader:
        done = marked(reader, places)

        def rows() -> Iterator[Row]:
            for record, letter in letters_in(reader, places, filters):
                by_reason[letter.reason] += 1
                size = len(letter.value or b"")
                where = (letter.topic, letter.partition, letter.offset)
                yield Row(record.timestamp, *where, letter.reason, letter.error, size, letter.identity in done)

        found = sorted(nlargest(limit, rows()))
    if as_json:
        import orjson

        for row in found:
            click.echo(orjson.dumps({**row._asdict(), "at": _stamp(row.at)}))
    elif found:
        lines = [("TIME", "REASON", "EVENT", "BYTES", "SENT BACK", "ERROR")]
        for r in found:
            place = f"{printable(r.topic)}/{r.partition}@{r.offset}"
            sent = "yes" if r.sent_back else ""
            lines.append((_stamp(r.at), printable(r.reason), place, f"{r.bytes}", sent, printable(r.error)[:WIDTH]))
        widths = [max(len(line[i]) for line in lines) for i in range(5)]
        for line in lines:
            cells = [
                f"{x:>{w}}" if i == 3 else f"{x:<{w}}" for i, (x, w) in enumerate(zip(line, widths, strict=False))
            ]
            click.echo("  ".join([*cells, line[5]]).rstrip())
    total = sum(by_reason.values())
    parts = [f"{printable(reason)} {n:,}" for reason, n in by_reason.most_common()]
    click.echo(f"{total:,} dead letters{': ' if parts else ''}{', '.join(parts)}; shown {len(found):,}", err=True)


def requeue(places: Places, filters: Filters, limit: int | None, force: bool, dry_run: bool) -> None:
    """Sends letters back; prints what was sent and what was left, and why."""
    left: Counter[str] = Counter()
    sent: Counter[str] = Counter()
    failed = 0
    with records.consumer(places.brokers) as reader, contextlib.ExitStack() as stack:
        done = marked(reader, places)

        def due() -> Iterator[Letter]:
            for _, letter in letters_in(reader, places, filters):
                if letter.identity in done:
                    left["sent back before"] += 1
                elif not letter.whole:
                    left["too large to be kept: only their hash is there"] += 1
                elif letter.reason == names.TOO_LATE and not force:
                    left["too_late: they would be so again (--force sends them)"] += 1
                elif letter.topic == places.letters:
                    left["from the dead letters' own topic"] += 1
                else:
                    done.add(letter.identity)  # a letter can be there twice: they are at least once
                    yield letter

        letters = islice(due(), limit)
        sender = None if dry_run else stack.enter_context(Returner(places.brokers, places.marks))
        while chunk := list(islice(letters, CHUNK)):
            kept = chunk if sender is None else sender.send(chunk)
            failed += len(chunk) - len(kept)
            sent.update(letter.topic for letter in kept)
    for topic, n in sorted(sent.items()):
        click.echo(f"{'would send' if dry_run else 'sent'} {n:,} to {printable(topic)}")
    click.echo(f"{'would send' if dry_run else 'sent'} back {sum(sent.values()):,}, failed {failed:,}")
    for why, n in left.most_common():
        click.echo(f"left {n:,}: {why}")
    if failed:
        raise click.exceptions.Exit(1)


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar over the letters that are looked at, where somebody watches."""
    if not sys.stderr.isatty() or not total:
        yield lambda n: None
        return
    from rich import console
    from rich import progress as bars

    with bars.Progress(console=console.Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=total)
        yield lambda n: bar.advance(task, n)


def _stamp(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
