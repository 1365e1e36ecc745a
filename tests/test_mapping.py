"""What the records of a mapped topic become: an event, nothing, or a refusal that says why."""

import contextlib
import datetime as dt
from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import names
from streams.catalogue import parse
from streams.events import SECOND, Answer, Rejection, Survey, Touchpoint
from streams.health import Health
from streams.route import Routes
from streams.tally import Tally
from streams.wire import Frontier, encode
from tests.mapped import HEAD, ORDERS, PAID, Kafka, event, mapper


def refusal(body: Any, text: str = ORDERS) -> str:
    """Why a body is refused."""
    with pytest.raises(Rejection) as refused:
        event(body, text)
    return str(refused.value)


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
    "status", "test", "order", "attempt", "at", "customer", "wait_ms", "robot", "country", "stars", "when", "error",
]  # fmt: skip


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
