"""The flights through `molehill backtest`, scored by score_moles.py against what really went wrong, as they came and
with their weeks in other orders (`seasons`)."""

import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console

from tests.bench import seasons
from tests.truth import DATA

FLIGHTS, SCORER = DATA / "flights-jan-apr.jsonl.gz", DATA / "score_moles.py"
AIRPORT = """
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: flights}
segments: {carrier: {limit: 200}, origin: {limit: 200}, dest: {limit: 200}}
moments:
  departure: {title: Take off, tier: game-over, signals: {outcome: {objective: 90%}, promise: {objective: 90%}}}
  arrival: {title: Arrive, tier: important, signals: {outcome: {objective: 90%}, promise: {objective: 90%}}}
"""


def score(console: Console) -> None:
    """As they came, beside stock burn-rate alerts."""
    if not FLIGHTS.exists():
        console.print(f"flights are skipped: {FLIGHTS} is missing", markup=False)
        return
    console.print("flights, January to April", style="bold")
    told, scored = _scored(FLIGHTS, SCORER, "--against", "stock")
    console.print(told, markup=False, highlight=False)
    console.print(scored)


def score_orders(console: Console, count: int, workers: int) -> None:
    """The same weeks in so many other orders."""
    if count and FLIGHTS.exists():
        with ProcessPoolExecutor(workers) as pool:
            found = list(pool.map(_shuffled, range(1, count + 1)))
        console.print(seasons.summary(found), end="\n\n", highlight=False)


def _shuffled(seed: int) -> seasons.Season:
    with tempfile.TemporaryDirectory() as home:
        file, scorer = seasons.write(Path(home), FLIGHTS, SCORER, seasons.order(seed))
        return seasons.Season.of(_scored(file, scorer)[1])


def _scored(events: Path, scorer: Path, *more: str) -> tuple[str, str]:
    """What `molehill backtest` says of its moles, and what the scorer does."""
    with tempfile.TemporaryDirectory() as home:
        catalogue = Path(home) / "flights.yaml"
        catalogue.write_text(AIRPORT)
        command = [sys.executable, "-m", "agents.cli", "backtest", str(events), "--catalogue", str(catalogue)]
        done = subprocess.run([*command, *more], capture_output=True, check=True)
    command = [sys.executable, str(scorer), str(events), "2013-01-01", "2013-04-30"]
    return done.stderr.decode(), subprocess.run(
        command, input=done.stdout, capture_output=True, check=True
    ).stdout.decode()
