"""The benchmark's pure helpers: a load is the same each time, and its truth is the truth. No timing."""

from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest

from streams.catalogue import parse
from tests.bench.cost import Cost
from tests.bench.loads import CATALOGUES, DIMENSIONS, dense, make, truth
from tests.bench.measure import differences
from tests.bench.plot import draw
from tests.bench.quota import QuotaError, group, limits
from tests.bench.report import bars
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


def test_marginal_rows_are_totals_as_they_are() -> None:
    rows = [("m", {}, [1, 2, 0, 0, 0, 0]), ("m", {"a": "b"}, [1, 0, 0, 0, 0, 0])]
    found = {
        ("m", "all", "outcome", "good"): 1,
        ("m", "all", "outcome", "bad"): 2,
        ("m", "a=b", "outcome", "good"): 1,
    }
    assert totals_of(rows, marginal=True) == found


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


def entry(variant: str, rate: float, cpu: float, load: str = "dense", **more: object) -> dict[str, object]:
    """As `summary` gives one."""
    figures = {"events_per_s": rate, "cpu_s_per_million": cpu, "verified": True}
    return {"load": load, "events": EVENTS, "variant": variant} | figures | more


def test_a_bar_is_reached_by_verified_figures_only_and_is_left_out_where_its_peer_is() -> None:
    some = [entry("molehill", 40_000, 15.0), entry("kafka-streams", 10_000, 60.0), entry("bare", 90_000, 10.1)]
    found = {b["bar"]: (b["wanted"], b["reached"]) for b in bars(some)}
    assert found == {
        "dense: molehill over kafka-streams, events/s": ("≥ 4", True),
        "dense: molehill over bare, CPU-s / million": ("≤ 1.5", True),
    }
    assert [b["reached"] for b in bars([entry("molehill", 39_000, 16.0), *some[1:]])] == [False, False]
    assert [b["reached"] for b in bars([some[0] | {"verified": False}, *some[1:]])] == [False, False]
    assert bars([some[0], *(e | {"events": 10} for e in some[1:])]) == []


def test_a_quota_is_said_in_the_words_of_the_cgroups_that_are_there(tmp_path: Path) -> None:
    assert limits(0.5, tmp_path) == (tmp_path / "cpu", {"cpu.cfs_period_us": "20000", "cpu.cfs_quota_us": "10000"})
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    assert limits(2, tmp_path) == (tmp_path, {"cpu.max": "40000 20000"})


def test_without_cgroups_a_quota_is_refused_in_one_line(tmp_path: Path) -> None:
    what = r"^--quota: .*: No such file or directory, expected cgroups[^\n]*$"
    with pytest.raises(QuotaError, match=what), group("x", 0.5, tmp_path):
        pass


def test_the_picture_has_a_chart_for_each_axis_and_a_place_for_nothing(tmp_path: Path) -> None:
    costs = [
        asdict(Cost("rate", 0, 0.0, 150.0, cpu_percent=2.0)),
        asdict(Cost("rate", 10_000, 9_990.0, 250.0, cpu_percent=21.0)),
        asdict(Cost("moments", 10, 150_000, 228.0, cpu_s_per_million=14.0)),
        asdict(Cost("moments", 100, 150_000, 352.0, cpu_s_per_million=31.0)),
    ]
    draw(costs, tmp_path / "cost.svg")
    texts = [t.text for t in ElementTree.parse(tmp_path / "cost.svg").iter() if t.tag.endswith("text")]
    assert {"rate", "moments", "0", "10k", "21", "31"} <= set(texts)
