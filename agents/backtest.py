"""`molehill backtest`: a catalogue tried on a team's own history, before anyone is woken."""

import contextlib
import gc
import statistics
import sys
from collections.abc import Callable, Iterator

import click
import msgspec

from agents import settings
from agents.files import read_catalogue, read_lines, size_of
from streams.backtest import BATCH, Backtest
from streams.errors import SettingsError
from streams.moles import Mole
from streams.stock import Verdict, against

HOUR_S = 3600


@click.command()
@click.argument("file", default="-")
@click.option("--catalogue", metavar="FILE", help="Moments and objectives.  [env MOLEHILL_CATALOGUE]")
@click.option(
    "--against",
    "rival",
    type=click.Choice(["stock"]),
    help="Also: what multi-window burn-rate alerts would have done.",
)
def backtest(file: str, catalogue: str | None, rival: str | None) -> None:
    """Find the moles in a file of events, in event time.

    FILE has a CloudEvent on each line (.gz and .zst too; - is stdin), in the order in which they arrived. Prints a
    mole as JSON on each line, in the order in which they popped up, and a summary on stderr.

    \b
    Example:
      molehill backtest events.jsonl.gz --catalogue deploy/moments.yaml --against stock
    """
    path = catalogue or settings.env("catalogue")
    if path is None:
        raise SettingsError("--catalogue (or MOLEHILL_CATALOGUE): found nothing, expected a file")
    run = Backtest(read_catalogue(path), stock=rival is not None)
    moles: dict[str, Mole] = {}
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)  # state lives as long as the run: looking for cycles in it is a waste
    with _progress(size_of(file)) as progress:
        batch: list[bytes] = []
        for _, line in read_lines(file, progress):
            batch.append(line)
            if len(batch) == BATCH:
                moles.update((t.mole.id, t.mole) for t in run.feed(batch))
                batch = []
        moles.update((t.mole.id, t.mole) for t in run.feed(batch))
    moles.update((t.mole.id, t.mole) for t in run.finish())
    for mole in moles.values():
        click.echo(msgspec.json.encode(mole))
    _summary(run, list(moles.values()))


def _summary(run: Backtest, moles: list[Mole]) -> None:
    refused = sum(run.refused.values())
    counts = f"{run.received:,} events: {run.accepted:,} accepted, {run.duplicates:,} duplicate, {refused:,} refused"
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in sorted(run.refused.items()))
    _say(counts + (f" ({reasons})" if reasons else ""))
    weeks = max(run.through - run.first, 1) / (7 * 24 * HOUR_S)
    returned = sum(m.repop_of is not None for m in moles)
    per_week = f"{len(moles) / weeks:.1f} a week over {weeks:.1f} weeks" if weeks >= 1 else f"in {weeks * 7:.1f} days"
    _say(f"{len(moles)} moles ({returned} of them returned), {per_week}")
    if moles:
        found = [int((m.popped - m.first_harm).total_seconds()) for m in moles]
        _say(f"found {_hours(found)} after the first harm (median)")
    if run.stock is None:
        return
    for only_all in (True, False):
        verdict = against(moles, run.stock_episodes(), only_all)
        _say(_verdict("stock burn-rate alerts on `all`" if only_all else "  with every segment", verdict, len(moles)))


def _verdict(name: str, verdict: Verdict, notified: int) -> str:
    delay = f", {_hours(verdict.delays)} after the first harm (median)" if verdict.delays else ""
    found = f"found {verdict.found} of these {verdict.moles} moles, missed {verdict.moles - verdict.found}{delay}"
    return f"{name}: {found}; {verdict.notifications:,} notifications (molehill: {notified})"


def _hours(seconds: list[int]) -> str:
    median = statistics.median(seconds)
    return f"{median / HOUR_S:.1f} h" if median >= HOUR_S else f"{median / 60:.0f} min"


def _say(text: str) -> None:
    click.echo(text, err=True)


@contextlib.contextmanager
def _progress(size: int | None) -> Iterator[Callable[[int], None] | None]:
    """A bar over the bytes of the file, where somebody watches."""
    if size is None or not sys.stderr.isatty():
        yield None
        return
    from rich import console, progress

    columns = (progress.BarColumn(), progress.DownloadColumn(), progress.TimeRemainingColumn())
    with progress.Progress(*columns, console=console.Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=size)
        yield lambda position: bar.update(task, completed=position)
