"""Weeks in another order: nothing lost, and incidents where their events are."""

import gzip
from pathlib import Path

import orjson

from tests.bench import seasons


def test_a_week_moves_whole_with_its_promises_and_its_incidents(tmp_path: Path) -> None:
    lines = [
        {"time": "2013-01-02T10:00:00Z", "data": {"promised_by": "2013-01-02T11:30:00Z"}},
        {"time": "2013-01-08T04:59:59Z", "data": {}},  # the last second of the first week in New York
        {"time": "2013-01-08T05:00:00Z", "data": {}},
        {"time": "2013-04-30T05:00:00Z", "data": {}},  # beyond the last whole week
    ]
    events, scorer, home = tmp_path / "e.jsonl.gz", tmp_path / "score.py", tmp_path / "other"
    events.write_bytes(gzip.compress(b"".join(orjson.dumps(x) + b"\n" for x in lines)))
    scorer.write_text("")
    incidents = "id,start,end\nA,2013-01-07,2013-01-08\nB,2013-01-09T11:00:00,2013-01-09T21:59:00\n"
    (tmp_path / "incidents.csv").write_text(incidents)
    home.mkdir()
    weeks = list(range(seasons.WEEKS))
    weeks[0], weeks[1] = 1, 0
    file, beside = seasons.write(home, events, scorer, weeks)
    assert [orjson.loads(x) for x in gzip.decompress(file.read_bytes()).splitlines()] == [
        {"time": "2013-01-01T05:00:00Z", "data": {}},
        {"time": "2013-01-09T10:00:00Z", "data": {"promised_by": "2013-01-09T11:30:00Z"}},
        {"time": "2013-01-15T04:59:59Z", "data": {}},
    ]
    found = (beside.parent / "incidents.csv").read_text().split()
    assert found == ["id,start,end", "A,2013-01-14,2013-01-15", "B,2013-01-02T11:00:00,2013-01-02T21:59:00"]


def test_the_orders_differ_by_seed_and_are_orders() -> None:
    found = [seasons.order(seed) for seed in range(5)]
    assert all(sorted(x) == list(range(seasons.WEEKS)) for x in found)
    assert len({tuple(x) for x in found}) == 5


def test_the_scorers_words_are_understood() -> None:
    said = "recall 4/5 missed ['F04']; median hours to pop 11.0 over 3; moles 25 (1.5/week); justified 24/25"
    season = seasons.Season.of(said)
    assert season == (4, 5, 11.0, 25, 24)
    assert "4 of 5 incidents" in seasons.summary([season])
