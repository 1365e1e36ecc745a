"""Times and values of a record as what the field of an event holds."""

import datetime as dt
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mapped import event, with_


def value(field: str, found: Any) -> Any:
    """What `found` at $.x becomes in a field that is mapped as written."""
    made = event({"at": "2026-01-01T00:00:00Z", "c": "c", "x": found}, with_(data=field))
    return getattr(made.data, field.partition(":")[0])


@pytest.mark.parametrize(
    ("form", "found", "micros"),
    [
        ("epoch_s", 1767268800, 1767268800_000_000),
        ("epoch_s", "1767268800.123456", 1767268800_123_456),
        ("epoch_s", 1767268800.5, 1767268800_500_000),
        ("epoch_ms", 1767268800123, 1767268800_123_000),
        ("epoch_us", "1767268800123456", 1767268800_123_456),
        ("rfc3339", "2026-01-01T12:00:00Z", 1767268800_000_000),
        ("rfc3339, zone: Europe/Berlin", "2026-01-01T13:00:00", 1767268800_000_000),
        ("rfc3339, zone: Europe/Berlin", "2026-01-01T12:00:00+00:00", 1767268800_000_000),
        ('"%d/%m/%Y %H:%M:%S.%f", zone: UTC', "01/01/2026 12:00:00.25", 1767268800_250_000),
        ('"%d/%b/%Y:%H:%M:%S %z"', "01/Jan/2026:14:00:00 +0200", 1767268800_000_000),
    ],
)
def test_times_of_every_format_are_read(form: str, found: Any, micros: int) -> None:
    made = event({"at": found, "c": "c"}, with_(time=f"{{from: $.at, format: {form}}}"))
    assert made.time == dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=micros)


@given(
    st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2037, 1, 1)),
    st.sampled_from(["Europe/Berlin", "America/New_York"]),
)
def test_a_local_time_is_the_instant_that_its_zone_says(local: dt.datetime, zone: str) -> None:
    local = local.replace(microsecond=0)
    made = event(
        {"at": str(local), "c": "c"}, with_(time=f'{{from: $.at, format: "%Y-%m-%d %H:%M:%S", zone: {zone}}}')
    )
    assert made.time.timestamp() == local.replace(tzinfo=ZoneInfo(zone)).timestamp()


@given(st.integers(0, 10**9))
def test_milliseconds_become_the_nearest_double_of_seconds(ms: int) -> None:
    assert value("wait_s: {from: $.x, scale: 0.001}", ms) == float(Fraction(ms, 1000))


@pytest.mark.parametrize(
    ("field", "found", "want"),
    [
        ("journey: $.x", 5, "5"),
        ("journey: $.x", True, "true"),
        ("journey: $.x[1].y", [0, {"y": "j"}], "j"),
        ("journey: $.x[-1]", ["a", "z"], "z"),
        ("journey: $.x['a key']", {"a key": "j"}, "j"),
        ("journey: $.x.y.z", {"y": 5}, None),
        ("journey: [order, $.x]", 5, "order:5"),
        ("journey: {const: $5-off}", 0, "$5-off"),
        ("journey: '5'", 0, "5"),
        ("need_met: {from: $.x, map: {yes-please: true, '2': false}}", 2, False),
        ("need_met: {from: $.x, map: {true: false, false: true}}", True, False),
        ("need_met: true", 0, True),
        ("outcome: {from: $.x, map: {500: failed}, default: ok}", 500.0, "failed"),
        ("outcome: {from: $.x, map: {500: failed}, default: ok}", [], "ok"),
        ("outcome: {from: $.x, default: abandoned}", None, "abandoned"),
        ("reason: {from: $.x, as: slug}", "Card declined (51)", "card-declined-51"),
        ("wait_s: $.x", "1.5e1", 15.0),
        ("wait_s: {from: $.x, scale: 60}", 2, 120.0),
        ("wait_s: 3", 0, 3.0),
        ("duration_s: {from: [$.y, $.x]}", 4, 4.0),
    ],
)
def test_values_are_converted_to_what_the_field_holds(field: str, found: Any, want: Any) -> None:
    assert value(field, found) == want
