"""Sources: what a catalogue may say of a topic that is there already, and what its records become."""

import contextlib
import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import names
from streams.catalogue import Catalogue, notes, parse
from streams.errors import CatalogueError
from streams.event_reader import Reader
from streams.events import SECOND, Answer, Rejection, Survey, Touchpoint
from streams.health import Health
from streams.mapping import Mapper
from streams.route import Routes
from streams.tally import Tally
from streams.wire import Frontier, encode

HEAD = """\
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: shop}
segments: {region: {limit: 20}}
moments:
  pay: {title: Pay, tier: game-over, signals: {outcome: {objective: 99%}}}
"""
ORDERS = """\
sources:
  orders:
    topic: shop.orders
    otherwise: skip
    events:
      paid:
        type: cx.touchpoint
        when: {$.status: [PAID, DECLINED], $.test: {not: true}}
        id: [$.order.id, $.attempt]
        time: {from: $.at, format: epoch_ms}
        data:
          moment: pay
          customer: $.customer.id
          outcome: {from: $.status, map: {PAID: ok}, default: failed}
          reason: {from: $.error, as: slug}
          wait_s: {from: $.wait_ms, scale: 0.001}
          probe: $.robot
          segment: {region: {from: [$.ship_to.country, $.country], default: unknown}}
      rated:
        type: cx.feedback
        when: {$.stars: {at_least: 1, below: 6}}
        time: {from: $.when, format: "%d.%m.%Y %H:%M", zone: Europe/Berlin}
        data: {customer: $key, survey: csat, score: $.stars}
      asked:
        type: cx.survey
        when: {$.asked: {exists: true}}
        time: $timestamp
        source: crm
        data: {customer: $headers.customer, survey: nps}
"""
PAID = {"status": "PAID", "order": {"id": 81}, "attempt": 2, "at": 1767268800123, "customer": {"id": 7}}


@dataclass
class Kafka:
    """A record."""

    value: bytes | None
    key: bytes | None = b"key"
    headers: Sequence[tuple[str, bytes | None]] = (("customer", b"from-header"),)
    timestamp: int = 1767268800456
    timestamp_type: int = 1
    offset: int = 9


def mapper(text: str = ORDERS, source: int = 0) -> Mapper:
    return Mapper(parse(HEAD + text, "moments.yaml").sources[source], 3)


def event(body: Any, text: str = ORDERS, **record: Any) -> Any:
    """What a body becomes, read by molehill's own reader; None if nothing."""
    made = mapper(text).event(Kafka(orjson.dumps(body), **record))
    if made is None:
        return None
    topic = names.TOUCHPOINTS if orjson.loads(made)["type"] == names.TOUCHPOINT else names.FEEDBACK
    return Reader(topic).read(made, ())


def refusal(body: Any, text: str = ORDERS) -> str:
    """Why a body is refused."""
    with pytest.raises(Rejection) as refused:
        event(body, text)
    return str(refused.value)


def with_(**changes: str) -> str:
    """A source of one event whose parts are as given; `data` adds to what is required."""
    parts = {"type": "cx.touchpoint", "time": "$.at", **changes}
    data = parts.pop("data", "")
    rule = "".join(f"        {k}: {v}\n" for k, v in parts.items())
    fields = "          moment: pay\n          customer: $.c\n" + "".join(
        f"          {x}\n" for x in data.split(";") if x
    )
    return f"sources:\n  s:\n    topic: t\n    events:\n      e:\n{rule}        data:\n{fields}"


def value(field: str, found: Any) -> Any:
    """What `found` at $.x becomes in a field that is mapped as written."""
    made = event({"at": "2026-01-01T00:00:00Z", "c": "c", "x": found}, with_(data=field))
    return getattr(made.data, field.partition(":")[0])


# --- records → events -----------------------------------------------------------------------------------


def test_a_record_becomes_the_event_that_the_catalogue_describes() -> None:
    made = event(PAID | {"country": "DE", "wait_ms": 12345, "robot": "false", "note": "not mapped"})
    assert isinstance(made, Touchpoint)
    assert (made.id, made.source) == ("81:2", "orders/paid")
    assert made.time == dt.datetime(2026, 1, 1, 12, 0, 0, 123_000, dt.UTC)
    assert (made.data.moment, made.data.customer, made.data.outcome) == ("pay", "7", "ok")
    assert (made.data.wait_s, made.data.probe, made.data.reason) == (12.345, False, None)
    assert orjson.loads(bytes(made.data.segment)) == {"region": "DE"}


def test_the_first_event_whose_conditions_hold_is_made_and_no_other() -> None:
    both = PAID | {"stars": 4, "when": "01.07.2026 12:00"}
    assert isinstance(event(both), Touchpoint)
    assert isinstance(event(both | {"status": "SHIPPED"}), Answer)
    assert isinstance(event(both | {"test": True}), Answer)
    assert isinstance(event({"asked": 0}), Survey)
    assert event({"stars": 6}) is None
    assert event({"asked": None}) is None


def test_key_headers_timestamp_and_position_are_places_too() -> None:
    rated, asked = event({"stars": 4, "when": "01.07.2026 12:00"}), event({"asked": 1})
    assert (rated.data.customer, asked.data.customer) == ("key", "from-header")
    assert (rated.id, asked.id) == ("shop.orders:3:9", "shop.orders:3:9")
    assert asked.time == dt.datetime(2026, 1, 1, 12, 0, 0, 456_000, dt.UTC)
    assert asked.source == "crm"


def test_what_no_event_is_for_is_skipped_or_refused_as_the_catalogue_says() -> None:
    assert event({"status": "SHIPPED"}) is None
    assert mapper().event(Kafka(None)) is None
    strict = ORDERS.replace("otherwise: skip", "otherwise: reject")
    assert refusal({"status": "SHIPPED"}, strict).startswith("unknown_type: $: none of the events of source orders")
    with pytest.raises(Rejection, match="bad_envelope"):
        mapper(strict).event(Kafka(None))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a": NaN}', b"[" * 5000])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(Rejection, match="bad_json"):
        mapper().event(Kafka(body))


def test_the_frame_of_a_schema_registry_is_taken_off() -> None:
    framed = Kafka(b"\0\0\0\0\x17" + orjson.dumps(PAID))
    assert mapper().event(framed) == mapper().event(Kafka(orjson.dumps(PAID)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"order": {}}, "bad_envelope: id: expected text or a whole number at $.order.id, found nothing"),
        ({"order": {"id": [1]}}, "bad_envelope: id: expected text or a whole number at $.order.id"),
        ({"at": None}, "bad_envelope: time: expected epoch_ms at $.at, found nothing"),
        ({"at": "soon"}, "bad_envelope: time: expected epoch_ms at $.at"),
        ({"at": -1}, "bad_envelope: time: expected epoch_ms at $.at"),
        (
            {"customer": "c"},
            "bad_field: data.customer: expected text or a whole number at $.customer.id, found nothing",
        ),
        ({"customer": {"id": 1.5}}, "bad_field: data.customer: expected text or a whole number at $.customer.id"),
        ({"wait_ms": "long"}, "bad_field: data.wait_s: expected a number at $.wait_ms"),
        ({"wait_ms": -5}, "bad_field: data.wait_s: Expected `float` >= 0.0"),
        ({"robot": "perhaps"}, "bad_field: data.probe: expected true or false at $.robot"),
        (
            {"country": {}},
            "bad_field: data.segment.region: expected text or a whole number at $.ship_to.country or $.country",
        ),
    ],
)
def test_a_refusal_names_the_path_the_place_and_the_expectation_and_never_the_value(change: Any, why: str) -> None:
    assert refusal(PAID | change) == why


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


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(["id", "a"]), x, max_size=2),
    max_leaves=6,
)
FIELDS = [
    "status",
    "test",
    "order",
    "attempt",
    "at",
    "customer",
    "wait_ms",
    "robot",
    "country",
    "stars",
    "when",
    "error",
]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.none() | st.binary(max_size=4))
def test_whatever_a_record_holds_it_becomes_an_event_nothing_or_a_refusal(
    body: dict[str, Any], key: bytes | None
) -> None:
    with contextlib.suppress(Rejection):
        event({"status": "PAID", "at": 1, "order": {"id": 1}, "attempt": 1} | body, key=key)


@given(st.binary())
def test_whatever_bytes_a_record_has_it_becomes_an_event_nothing_or_a_refusal(body: bytes) -> None:
    with contextlib.suppress(Rejection):
        mapper().event(Kafka(body))


def test_a_batch_is_parted_into_events_and_refusals_and_none_is_lost() -> None:
    bodies: list[Any] = [PAID, {"status": "SHIPPED"}, PAID | {"at": None}, PAID]
    records = [Kafka(orjson.dumps(b), offset=n) for n, b in enumerate(bodies)]
    mapped, refused = mapper().run(records)
    assert [(m.offset, m.record) for m in mapped] == [(0, records[0]), (3, records[3])]
    assert [(r, why.reason) for r, why in refused] == [(records[2], names.BAD_ENVELOPE)]


@given(st.lists(st.integers(0, 5), max_size=20), st.integers(1, 7))
def test_a_mapped_topic_is_conserved_wherever_its_batches_are_cut(kinds: list[int], size: int) -> None:
    bodies: list[Any] = [
        PAID, {"status": "SHIPPED"}, PAID | {"at": None}, PAID | {"wait_ms": -1}, {"asked": 1}, PAID | {"attempt": 9},
    ]  # fmt: skip
    records = [Kafka(orjson.dumps(bodies[kind]), offset=n) for n, kind in enumerate(kinds)]
    tally = Tally("shop.orders", 3, Routes(parse(HEAD + ORDERS, "m"), 4))
    refused = [x for i in range(0, len(records), size) for x in tally.run(records[i : i + size], 2 * 10**15)]
    counted = Counter(kinds)
    assert [(r, why.reason) for r, why in refused] == [
        (records[n], names.BAD_ENVELOPE if kind == 2 else names.BAD_FIELD)
        for n, kind in enumerate(kinds)
        if kind in (2, 3)
    ]
    assert tally.received == len(kinds) - counted[1]
    assert tally.accepted == (counted[0] > 0) + (counted[5] > 0) + counted[4]
    assert tally.duplicates == max(0, counted[0] - 1) + max(0, counted[5] - 1)
    assert tally.received == tally.accepted + tally.duplicates + sum(tally.rejected.values())
    assert tally.offset == len(kinds) - 1
    assert tally.run(records, 2 * 10**15) == []


def test_the_clock_waits_for_a_mapped_topic_and_no_more_once_the_catalogue_drops_it() -> None:
    mapped, plain = (Routes(parse(HEAD + text, "m"), 1) for text in (ORDERS, ""))
    assert (len(mapped.sources), len(plain.sources)) == (3, 2)
    ours: list[tuple[str, int, int | None, bool]] = [
        (names.TOUCHPOINTS, 0, 900 * SECOND, False),
        (names.FEEDBACK, 0, 800 * SECOND, False),
    ]
    log = [
        encode(Frontier("w", 10**9 * SECOND, [*ours, ("shop.orders", 0, 700 * SECOND, False)], 1)),
        encode(Frontier("w", 10**9 * SECOND, ours, 2)),
    ]
    health = Health(mapped, 0, len(mapped.sources))
    for offset, message in enumerate(log):
        health.apply(offset, message)
    assert health.clock.now == 700 * SECOND
    later = Health(plain, 0, len(plain.sources))
    later.restore(health.snapshot())
    later.apply(2, log[1])
    assert later.clock.now == 800 * SECOND


# --- the section of the catalogue -----------------------------------------------------------------------


def problems(text: str) -> list[str]:
    """The messages for a catalogue with these sources; the line of `sources:` is 7."""
    with pytest.raises(CatalogueError) as wrong:
        parse(HEAD + text, "m.yaml")
    return str(wrong.value).splitlines()


def test_the_sources_that_the_docstring_shows_are_valid() -> None:
    from streams import sources

    assert sources.__doc__ is not None
    text = sources.__doc__.split("\n\n")[2]
    assert "sources:" in text
    assert parse(HEAD + text.replace("\n    ", "\n")[4:] + "\n", "m").sources[0].rules[0].name == "paid"


def test_the_sources_of_the_readme_are_valid() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    text = next(x for x in readme.split("```") if x.startswith("yaml\nsources:")).removeprefix("yaml\n")
    assert parse(HEAD + text, "m").sources[0].rules[0].type == names.TOUCHPOINT


def test_all_problems_come_at_once_each_with_its_line() -> None:
    wrong = (
        ORDERS.replace("shop.orders", "cx.feedback")
        .replace("epoch_ms", "epoch_m")
        .replace("moment: pay", "moment: P A")
    )
    assert problems(wrong) == [
        "m.yaml:9: sources.orders.topic: found 'cx.feedback', expected another topic: cx.feedback is molehill's own, "
        "and its events need no source",
        "m.yaml:16: sources.orders.events.paid.time.format: found 'epoch_m', expected rfc3339, epoch_s, epoch_ms, "
        "epoch_us, or strptime's codes such as %d.%m.%Y %H:%M:%S (did you mean epoch_ms?)",
        "m.yaml:18: sources.orders.events.paid.data.moment: found 'P A', expected a name of 1 to 64 lower-case "
        "letters, digits and -",
    ]


@pytest.mark.parametrize(
    ("text", "line", "key", "expected"),
    [
        (with_(type="cx.other"), 12, "type", "cx.touchpoint or cx.feedback or cx.survey"),
        (with_(data="outcome: great"), 17, "data.outcome", "abandoned or failed or ok"),
        (with_(data="outcome: {from: $.x, map: {A: great}}"), 17, "data.outcome.map.A", "abandoned or failed or ok"),
        (with_(data="outcome: {from: $.x, default: great}"), 17, "data.outcome.default", "abandoned or failed or ok"),
        (with_(data="outcome: {map: {A: ok}}"), 17, "data.outcome.from", "a value: it is required"),
        (with_(data="journey: 5"), 17, "data.journey", "text, in quotes"),
        (with_(data="need_met: maybe"), 17, "data.need_met", "true or false"),
        (with_(data="need_met: yes"), 17, "data.need_met", "text, a number, true or false"),
        (with_(data="wait_s: soon"), 17, "data.wait_s", "a number"),
        (with_(data="wait_s: [$.a, $.b]"), 17, "data.wait_s", "one value: only text is joined"),
        (with_(data="wait_s: {from: $.a, scale: 0}"), 17, "data.wait_s.scale", "a number above 0"),
        (with_(data="journey: {from: $.a, scale: 2}"), 17, "data.journey.scale", "one of from, map, default, as"),
        (with_(data="waits: 5"), 17, "data.waits", "did you mean wait_s?"),
        (with_(data="journey: $order"), 17, "data.journey", "a place such as $.order.id"),
        (with_(data="journey: {from: order}"), 17, "data.journey.from", "a place such as $.order.id"),
        (with_(data="promised_by: tomorrow"), 17, "data.promised_by", "a time of the record"),
        (with_(data="segment: {region: 5}"), 17, "data.segment.region", "text, in quotes"),
        (with_(time="now"), 13, "time", "a time of the record"),
        (with_(time='{from: $.at, format: "%H:%M"}'), 13, "time.format", "a format with year, month and day"),
        (with_(time='{from: $.at, format: "%Y-%m-%d"}'), 13, "time", "a zone as well"),
        (with_(time="{from: $.at, format: epoch_s, zone: UTC}"), 13, "time", "no zone: epoch_s has its own"),
        (with_(time="{from: $.at, zone: Mars/Olympus}"), 13, "time.zone", "a time zone of the IANA database"),
        (with_(when="{}"), 14, "when", "at least one condition"),
        (with_(when="{status: PAID}"), 14, "when.status", "a place such as $.order.id"),
        (with_(when="{$.status: {}}"), 14, "when.'$.status'", "one of not, exists, at_least and below"),
        (with_(when="{$.status: {exists: 5}}"), 14, "when.'$.status'.exists", "true or false"),
        (with_(when="{$.status: {below: x}}"), 14, "when.'$.status'.below", "a number"),
        (with_().replace("customer", "costumer"), 15, "data.customer", "a value: it is required"),
        (with_().replace("topic: t", "topic: a/b"), 9, "topic", "the name of a Kafka topic"),
    ],
)  # fmt: skip
def test_each_fault_is_named_with_line_key_and_expectation(text: str, line: int, key: str, expected: str) -> None:
    found = [p for p in problems(text) if expected in p]
    assert len(found) == 1, problems(text)
    where = "sources.s." if key == "topic" else "sources.s.events.e."
    start = f"m.yaml:{line}: {where}{key}: found "
    assert found[0].startswith(start) or "required" in expected, found


def test_a_topic_has_one_source_and_nothing_follows_an_event_without_conditions() -> None:
    two = with_() + with_().removeprefix("sources:\n").replace("  s:", "  other:", 1)
    assert (
        "m.yaml:18: sources.other.topic: found 't', expected one source for each topic (first on line 9)"
        in problems(two)[0]
    )
    after = with_() + "      f: {type: cx.survey, time: $.at, data: {customer: c, survey: nps}}\n"
    assert problems(after)[0].startswith(
        "m.yaml:17: sources.s.events.f: found another event, expected nothing after e"
    )


def test_moments_and_dimensions_that_the_catalogue_lacks_are_noted() -> None:
    text = ORDERS.replace("moment: pay", "moment: pai").replace("segment: {region", "segment: {regio")
    found = notes(parse(HEAD + text, "m"))
    assert found[0].startswith("sources.orders.events.paid.data.moment: pai is not declared")
    assert found[0].endswith("(did you mean pay?)")
    assert found[1].startswith("sources.orders.events.paid.data.segment.regio: regio is no declared dimension")


def test_a_catalogue_without_sources_has_none() -> None:
    found: Catalogue = parse(HEAD, "m")
    assert found.sources == ()
