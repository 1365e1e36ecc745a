"""The benchmark's pure helpers: a load is the same each time, and its truth is the truth. No timing."""

from pathlib import Path

import orjson

from streams.catalogue import parse
from tests.bench.loads import CATALOGUES, DIMENSIONS, dense, make, truth
from tests.bench.measure import differences
from tests.bench.shape import WIDTH, totals_of, verdicts

EVENTS = 3_000


def test_the_dense_load_is_the_same_bytes_each_time() -> None:
    assert list(dense(EVENTS)) == list(dense(EVENTS))
    assert list(dense(EVENTS, seed=1)) != list(dense(EVENTS, seed=2))


def test_duckdb_and_a_plain_loop_agree_on_the_totals(tmp_path: Path) -> None:
    load = make("dense", EVENTS, tmp_path)
    rows: dict[bytes, list[int]] = {}
    seen = set()
    for line in load.file.read_bytes().splitlines():
        event = orjson.loads(line)
        if event["id"] not in seen:
            seen.add(event["id"])
            data = event["data"]
            row = rows.setdefault(orjson.dumps([data["moment"], data["segment"]]), [0] * WIDTH)
            for place in verdicts(data, event["time"]):
                row[place] += 1
    assert load.duplicates == EVENTS - len(seen)
    assert 0 < load.duplicates < EVENTS // 20
    assert differences(load.truth, totals_of((*orjson.loads(k), row) for k, row in rows.items())) == ""


def test_a_wrong_total_is_named() -> None:
    total = ("delivery", "all", "outcome", "good")
    assert differences({total: 2}, {total: 1}) == "1 totals are wrong: delivery all outcome good: 1 instead of 2"


def test_the_catalogues_declare_what_the_loads_hold() -> None:
    for name, text in CATALOGUES.items():
        assert parse(text, name).moments
    assert set(parse(CATALOGUES["dense"], "dense").dimensions) == set(DIMENSIONS)


def test_a_promise_is_kept_up_to_its_time(tmp_path: Path) -> None:
    file = tmp_path / "one.jsonl"
    data = {"moment": "m", "segment": {"a": "b"}, "promised_by": "2025-01-01T00:00:00Z", "need_met": False}
    event = {"source": "s", "id": "1", "time": "2025-01-01T00:00:00Z", "data": data}
    file.write_bytes(orjson.dumps(event) + b"\n" + orjson.dumps(event))
    found = truth(file)
    assert found["m", "a=b", "promise", "good"] == 1
    assert found["m", "all", "need", "bad"] == 1
    assert len(found) == 6
