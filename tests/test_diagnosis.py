"""The doctor's conclusions: one sickness at a time, each with the status that it deserves and what to do."""

from dataclasses import replace

import pytest

from streams.diagnosis import Finding, Group, Sample, catalogue_in_use, clock, keys, lag, long, series, watermarks
from streams.diagnosis_topics import Expected, Topic, topics
from tests.core import catalogue

DAY_MS = 86_400_000
NOW = 1_800_000_000_000_000
STAMPED = {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS)}
SOURCE = Topic(4, 3, 0, 0, STAMPED)
JOURNAL = Topic(4, 3, 0, 0, {"cleanup.policy": "compact"})
EXPECTED = [
    Expected("t", "source"),
    Expected("f", "source"),
    Expected("d", "letters"),
    Expected("log", "log", 4, {"retention.ms": str(7 * DAY_MS)}),
    Expected("state", "state", 4, {"cleanup.policy": "compact"}),
]
HEALTHY = {"t": SOURCE, "f": SOURCE, "d": SOURCE, "log": SOURCE, "state": JOURNAL}


def worst(findings: list[Finding]) -> list[tuple[str, str]]:
    """What is not ok: (check, status); each of them says what to do."""
    found = [f for f in findings if f.status != "ok"]
    assert all(f.todo for f in found)
    return [(f.check, f.status) for f in found]


def sample(**changes: object) -> Sample:
    s = Sample(records=10, moments={"pay", "browse"}, newest={0: NOW}, appended={0: NOW})
    return replace(s, **changes)  # type: ignore[arg-type]


def test_healthy_topics_are_ok_one_line_each() -> None:
    found = topics(EXPECTED, HEALTHY, 3, catalogue())
    assert worst(found) == []
    assert [f.check for f in found] == ["partitions", *(f"topic {e.name}" for e in EXPECTED)]
    assert "kept for 7d" in found[1].what


@pytest.mark.parametrize(
    ("name", "change", "want"),
    [
        ("t", None, [("topic t", "fail")]),
        ("log", None, [("topic log", "warn")]),
        ("f", Topic(3, 3, 0, 0, STAMPED), [("partitions", "fail")]),
        ("t", Topic(4, 3, 0, 0, STAMPED | {"message.timestamp.type": "CreateTime"}), [("topic t", "warn")]),
        ("t", Topic(4, 3, 0, 0, STAMPED | {"cleanup.policy": "compact"}), [("topic t", "fail")]),
        ("t", Topic(4, 3, 0, 0, STAMPED | {"retention.ms": "60000"}), [("topic t", "fail")]),
        ("t", Topic(4, 3, 0, 0, STAMPED | {"retention.ms": str(DAY_MS // 2)}), [("topic t", "warn")]),
        ("t", Topic(4, 3, 0, 0, STAMPED | {"retention.ms": "-1"}), []),
        ("t", Topic(4, 1, 0, 0, STAMPED), [("topic t", "warn")]),
        ("t", Topic(4, 3, 2, 0, STAMPED), [("topic t", "warn")]),
        ("t", Topic(4, 3, 2, 1, STAMPED), [("topic t", "fail")]),
        ("d", Topic(4, 3, 0, 0, STAMPED | {"cleanup.policy": "compact"}), [("topic d", "fail")]),
        ("state", Topic(4, 3, 0, 0, STAMPED), [("topic state", "fail")]),
        ("state", Topic(5, 3, 0, 0, JOURNAL.config), [("topic state", "fail")]),
        ("log", Topic(4, 3, 0, 0, STAMPED | {"retention.ms": str(DAY_MS)}), [("topic log", "warn")]),
    ],
)
def test_one_sick_topic_is_one_finding(name: str, change: Topic | None, want: list[tuple[str, str]]) -> None:
    found = {k: v for k, v in (HEALTHY | {name: change}).items() if v is not None}
    assert worst(topics(EXPECTED, found, 3, catalogue())) == want


def test_one_replica_is_all_that_one_broker_can_have() -> None:
    assert worst(topics(EXPECTED[:1], {"t": Topic(4, 1, 0, 0, STAMPED)}, 1, None)) == []


@pytest.mark.parametrize(
    ("s", "want"),
    [
        (sample(), []),
        (Sample(), []),
        (sample(keyless=1), [("keys t", "warn")]),
        (sample(other_key=2), [("keys t", "warn")]),
        (sample(misplaced=3), [("keys t", "warn")]),
        (sample(refused={"bad_field": 1}), [("events t", "warn")]),
    ],
)
def test_keys_and_refusals(s: Sample, want: list[tuple[str, str]]) -> None:
    assert worst(keys({"t": s})) == want


TP = ("t", 0)


@pytest.mark.parametrize(
    ("group", "want"),
    [
        (Group("g", 1, {TP: 5}, {TP: 5}, {}), []),
        (Group("g", 1, {TP: 5}, {TP: 9}, {TP: 3.0}), []),
        (Group("g", 1, {TP: 5}, {TP: 9}, {TP: 61.0}), [("lag g", "warn")]),
        (Group("g", 1, {}, {TP: 9}, {TP: 901.0}), [("lag g", "fail")]),
        (Group("g", 0, {TP: 5}, {TP: 5}, {}), [("lag g", "fail")]),
    ],
)
def test_lag_is_judged_by_its_age(group: Group, want: list[tuple[str, str]]) -> None:
    assert worst(lag(group)) == want


@pytest.mark.parametrize(
    ("s", "skew_s", "want"),
    [
        (sample(), None, []),
        (sample(), 1.0, []),
        (sample(), -5.0, [("clock", "warn")]),
        (sample(), 70.0, [("clock", "fail")]),
        (sample(appended={0: NOW + 70_000_000}), None, [("clock", "fail")]),
        (sample(appended={0: NOW + 70_000_000}, stamped=False), None, []),
        (sample(ahead=1), None, [("time t", "fail")]),
        (sample(newest={0: NOW - 7_200_000_000}), None, [("time t", "warn")]),
        (sample(newest={0: NOW, 1: NOW - 7_200_000_000}, appended={0: NOW, 1: NOW}), None, [("time t", "warn")]),
    ],
)
def test_clocks(s: Sample, skew_s: float | None, want: list[tuple[str, str]]) -> None:
    assert worst(clock({"t": s}, NOW, skew_s, catalogue())) == want


@pytest.mark.parametrize(
    ("s", "want"),
    [
        (sample(), []),
        (Sample(), []),
        (sample(moments={"pay", "browse", "brows"}), [("moments", "warn")]),
        (sample(moments={"pay"}), [("moments", "warn")]),
        (sample(values={"region": {"a", "b", "c", "d"}, "plan": {"free"}, "other": {"x"}}), []),
        (sample(values={"region": {"a", "b", "c", "d", "e"}}), [("segment region", "warn")]),
        (sample(values={"plan": {"free", "gold"}}), [("segment plan", "warn")]),
    ],
)
def test_moments_and_segments_against_the_catalogue(s: Sample, want: list[tuple[str, str]]) -> None:
    assert worst(catalogue_in_use(catalogue(), {"t": s})) == want


def test_an_undeclared_moment_comes_with_the_one_that_was_meant() -> None:
    (found,) = (f for f in catalogue_in_use(catalogue(), {"t": sample(moments={"pay", "browse", "brows"})}) if f.todo)
    assert "brows (did you mean browse?)" in found.what
    none = catalogue(limit=("limit: 3, objective", "limit: 0, objective"))
    assert worst(catalogue_in_use(none, {"t": sample(moments={"pay", "browse", "x"})})) == [("moments", "fail")]


def test_series_that_are_kept_back_are_a_warning_with_the_three_ways_out() -> None:
    assert worst(series(7, 0)) == []
    (found,) = series(5, 40)
    assert (found.check, found.status) == ("series", "warn")
    assert found.what.startswith("40 of 45 are over --max-series")
    assert all(way in found.todo for way in ("limits of segments", "workers", "raise --max-series"))


def test_a_watermark_behind_what_was_accepted_is_a_fault_once_everything_is_read() -> None:
    old = {TP: NOW - 120_000_000}
    assert worst(watermarks(old, {"t": sample()}, 0)) == [("watermarks", "fail")]
    assert worst(watermarks(old, {"t": sample()}, 5)) == []
    assert worst(watermarks({TP: NOW}, {"t": sample()}, 0)) == []


@pytest.mark.parametrize(
    ("ms", "text"), [(2_419_200_000, "28d"), (DAY_MS, "1d"), (5_400_000, "90m"), (61_000, "61s")]
)
def test_durations_are_shown_in_a_unit_that_fits(ms: int, text: str) -> None:
    assert long(ms) == text
