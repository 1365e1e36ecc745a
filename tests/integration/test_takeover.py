"""Takeover: exact with a state of 100,000 rows, whoever goes on. How long it takes is measured by the benchmark
(`python -m tests.bench recovery`); a bar on seconds would fail on a busy machine and prove nothing there."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import Record
from tests.integration.siege import Siege
from tests.integration.siege_load import BEGIN, event_bytes

MOMENTS = 200
REGIONS = 250
ROWS = 2 * MOMENTS * (REGIONS + 1)  # good and bad totals of every moment and region, and of `all`


def catalogue() -> str:
    """So many moments, by region."""
    regions = ", ".join(f"r{i}" for i in range(REGIONS))
    moments = "".join(
        f"  m{i}: {{title: m{i}, tier: tolerable, signals: {{outcome: {{objective: 95%}}}}}}\n"
        for i in range(MOMENTS)
    )
    head = "apiVersion: molehill/v1\nkind: Catalogue\nmetadata: {name: wide}\nsegments:\n"
    return f"{head}  region: {{values: [{regions}]}}\nmoments:\n{moments}"


def wide(turn: int) -> Iterator[Record]:
    """An event, good and bad, for every moment and region."""
    for i in range(2 * MOMENTS * REGIONS):
        m, r = divmod(i // 2, REGIONS)
        data = {"moment": f"m{m}", "outcome": "failed" if i % 2 else "ok", "segment": {"region": f"r{r}"}}
        customer = f"c{i % 5000}"
        at = BEGIN + 6000 * turn + i * 0.05
        yield "touchpoints", customer.encode(), event_bytes("cx.touchpoint", f"{turn}-{i}", at, customer, data), []


def counted(turns: int) -> Counter[tuple[str, str, str, str]]:
    """Each total of a region once a turn, each of a moment once a turn and region."""
    out: Counter[tuple[str, str, str, str]] = Counter()
    for m in range(MOMENTS):
        for result in ("good", "bad"):
            out[f"m{m}", "all", "outcome", result] = turns * REGIONS
            for r in range(REGIONS):
                out[f"m{m}", f"region=r{r}", "outcome", result] = turns
    return out


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_state_of_100_000_rows_is_exact_after_a_restart_and_after_a_takeover(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    assert len(counted(1)) == ROWS > 100_000
    # No look at /metrics but for the checks: one of 100,000 totals takes seconds of the worker's time,
    # and one of their windows seven times that.
    with Siege(kafka, tmp_path, "wide", catalogue(), max_series="100000", judging="off") as siege:
        one, two = siege.worker, siege.another("w2")
        siege.send(wide(0))
        one.start()
        wait_until(lambda: sum(siege.behind().values()) < 50_000, 300, "half is counted")
        one.kill()
        one.start()
        truth = siege.truth()
        assert truth.totals == counted(1)
        siege.verify(timeout=300, truth=truth, windows=())
        two.start()
        wait_until(lambda: two.ready() and one.ready(), 300, "two share")
        siege.send(wide(1))
        one.kill()
        wait_until(lambda: two.ready() and not siege.behind(), 300, "the other has counted everything", every=1.0)
        truth = siege.truth()
        assert truth.totals == counted(2)
        siege.verify(timeout=300, truth=truth, windows=())
