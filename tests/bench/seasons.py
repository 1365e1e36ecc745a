"""Other seasons of the flights: their weeks in another order, and the same score of what is found in them.

The judge's structure was chosen on the flights as they came. A shuffle of whole weeks keeps what days, weekdays and
incidents are like and changes what was learnt before each of them: how much a score owes to one order shows in the
spread over several.
"""

import csv
import gzip
import random
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import orjson

WEEKS = 17
WEEK = timedelta(weeks=1)
BEGIN = datetime(2013, 1, 1, 5, tzinfo=UTC)  # midnight in New York, where the incidents' dates are of
END = BEGIN + WEEKS * WEEK
SCORE = re.compile(r"recall (\d+)/(\d+).*? pop ([\d.]+) over \d+; moles (\d+) .* justified (\d+)/")


class Season(NamedTuple):
    """What score_moles.py says of one order of the weeks. `hours`: median of fresh pops from the day's start."""

    found: int
    incidents: int
    hours: float
    moles: int
    justified: int

    @classmethod
    def of(cls, said: str) -> "Season":
        """Raises ValueError where the scorer says something else."""
        told = SCORE.search(said)
        if told is None:
            raise ValueError(f"score_moles.py: found {said!r}, expected recall, median, moles, justified")
        return cls(int(told[1]), int(told[2]), float(told[3]), int(told[4]), int(told[5]))


def order(seed: int) -> list[int]:
    """Where each week goes."""
    weeks = list(range(WEEKS))
    random.Random(seed).shuffle(weeks)
    return weeks


def write(home: Path, events: Path, scorer: Path, weeks: list[int]) -> tuple[Path, Path]:
    """The events in another order of weeks, and a scorer beside the incidents of that order."""
    rows = list(_moved(events, weeks))
    rows.sort(key=lambda row: row[0])  # stable: what came first within a time stays first
    file = home / "events.jsonl.gz"
    with gzip.open(file, "wb", compresslevel=1) as out:
        out.writelines(line + b"\n" for _, line in rows)
    with (scorer.parent / "incidents.csv").open() as found, (home / "incidents.csv").open("w") as out_csv:
        incidents = csv.DictReader(found)
        writer = csv.DictWriter(out_csv, incidents.fieldnames or ())
        writer.writeheader()
        writer.writerows(_incident(row, weeks) for row in incidents)
    (home / scorer.name).symlink_to(scorer)  # it reads the incidents beside itself
    return file, home / scorer.name


def _moved(events: Path, weeks: list[int]) -> Iterator[tuple[datetime, bytes]]:
    with gzip.open(events) as lines:
        for line in lines:
            event = orjson.loads(line)
            time = datetime.fromisoformat(event["time"])
            if not BEGIN <= time < END:
                continue
            week = (time - BEGIN) // WEEK
            by = (weeks[week] - week) * WEEK
            for some, key in ((event, "time"), (event["data"], "promised_by")):
                if key in some:
                    some[key] = (datetime.fromisoformat(some[key]) + by).isoformat().replace("+00:00", "Z")
            yield time + by, orjson.dumps(event)


def _incident(row: dict[str, Any], weeks: list[int]) -> dict[str, Any]:
    week = (date.fromisoformat(row["start"][:10]) - BEGIN.date()) // WEEK
    by = (weeks[week] - week) * WEEK
    return row | {
        key: (date.fromisoformat(row[key][:10]) + by).isoformat() + row[key][10:] for key in ("start", "end")
    }


def summary(seasons: list[Season]) -> str:
    """One line for all."""
    hours = sorted(s.hours for s in seasons)
    rates = [s.moles / WEEKS for s in seasons]
    justified = sum(s.justified for s in seasons) / max(sum(s.moles for s in seasons), 1)
    found, incidents = sum(s.found for s in seasons), sum(s.incidents for s in seasons)
    return (
        f"{len(seasons)} orders of the weeks: {found} of {incidents} incidents found; "
        f"{mean(rates):.2f} moles a week ({min(rates):.1f} to {max(rates):.1f}), {justified:.0%} justified; "
        f"median {mean(hours):.1f} h from the day's start ({hours[0]:.1f} to {hours[-1]:.1f})"
    )
