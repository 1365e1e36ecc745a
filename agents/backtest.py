"""`molehill backtest`: a catalogue tried on a team's own history, before anyone is woken."""

import gc
import itertools
import statistics
from collections.abc import Iterator

import click
import msgspec

from agents import settings
from agents.files import read_catalogue, read_lines, size_of
from agents.progress import progress_bar
from streams.backtest import BATCH, Backtest
from streams.days import MUCH
from streams.errors import SettingsError
from streams.moles import Mole, Transition, moment_of
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
    notified = 0
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)  # state lives as long as the run: looking for cycles in it is a waste
    for told in _told(run, file):
        moles[told.mole.id] = told.mole
        notified += told.notify
    for mole in moles.values():
        click.echo(msgspec.json.encode(mole))
    _summary(run, list(moles.values()), notified)


def _told(run: Backtest, file: str) -> Iterator[Transition]:
    with progress_bar(size_of(file)) as progress:
        lines = (line for _, line in read_lines(file, progress))
        while batch := list(itertools.islice(lines, BATCH)):
            yield from run.feed(batch)
    yield from run.finish()


def _summary(run: Backtest, moles: list[Mole], notified: int) -> None:
    refused = sum(run.refused.values())
    counts = f"{run.accepted:,} accepted, {run.duplicates:,} duplicate, {refused:,} refused"
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in sorted(run.refused.items()))
    _say(f"{_several(run.received, 'event')}: {counts}" + (f" ({reasons})" if reasons else ""))
    begin, end = run.gap
    if end - begin > run.catalogue.budget_period:
        between = f"between {moment_of(begin):%Y-%m-%d} and {moment_of(end):%Y-%m-%d}"
        _say(f"no event came {between}; should a wrong time have ended it, what is older and came later is too_late")
    weeks = (run.through - (run.first or run.through)) / (7 * 24 * HOUR_S)
    returned = sum(m.repop_of is not None for m in moles)
    per_week = f"{len(moles) / weeks:.1f} a week over {weeks:.1f} weeks" if weeks >= 1 else f"in {weeks * 7:.1f} days"
    _say(f"{_several(len(moles), 'mole')} ({returned} returned), {per_week}")
    if moles:
        found = [int((m.popped - m.first_harm).total_seconds()) for m in moles]
        _say(f"found {_hours(found)} after the first harm (median)")
    for moment, left in sorted(run.desk.unspent().items()):
        if left >= MUCH:
            _say(f"{moment}: {left:.0%} of a whole period's budget left, more care than it needs (it is tolerable)")
    if run.stock is None:
        return
    episodes = run.stock_episodes()
    for only_all in (True, False):
        verdict = against(moles, episodes, only_all)
        _say(_verdict("stock burn-rate alerts on `all`" if only_all else "  with every segment", verdict, notified))


def _verdict(name: str, verdict: Verdict, notified: int) -> str:
    delay = f", {_hours(verdict.delays)} after the first harm (median)" if verdict.delays else ""
    before = f", {verdict.before} of them rang before it" if verdict.before else ""
    found = f"found {verdict.found} of {_several(verdict.moles, 'mole')}{delay}{before}"
    missed = f"missed {verdict.moles - verdict.found}"
    rings = f"{_several(verdict.notifications, 'notification')} (molehill: {notified})"
    return f"{name}: {found}; {missed}; {rings}, {verdict.elsewhere:,} at no mole's time"


def _several(n: int, what: str) -> str:
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def _hours(seconds: list[int]) -> str:
    median = statistics.median(seconds)
    return f"{median / HOUR_S:.1f} h" if median >= HOUR_S else f"{median / 60:.0f} min"


def _say(text: str) -> None:
    click.echo(text, err=True)
