"""The reader: what is accepted, what is refused and why, and that both ways of reading agree."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams import names
from streams.event_reader import MAX_BODY, Reader
from streams.events import Rejection, Touchpoint
from streams.tally import Tally
from tests.core import FAR_MS, Record, answer, body, routes, touchpoint
from tests.corpus import BAD, GOOD_DATA, STRUCTURED, TIMELESS, Bad
from tests.strategies import answers, touchpoints

ROUTES = routes()
BINARY = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"b1"),
    ("ce_source", b"shop"),
    ("ce_type", b"cx.touchpoint"),
    ("ce_time", b"2024-03-01T00:00:00Z"),
)


def careful(topic: str, value: bytes | None, headers: Any = ()) -> str:
    """The careful reader's reason, or `accepted`."""
    try:
        Reader(topic).read(value, headers)
    except Rejection as e:
        return e.reason
    return "accepted"


def counted(topic: str, value: bytes | None, headers: Any = ()) -> str:
    """The reason by the way that a worker reads, or `accepted`."""
    tally = Tally(topic, 0, ROUTES)
    refused = tally.run([Record(0, value, headers=headers)], FAR_MS * 1000)
    assert tally.received == 1 == tally.accepted + len(refused)
    return refused[0][1].reason if refused else "accepted"


def test_the_corpus_holds_at_least_forty_messages_with_names_of_their_own_and_every_reason() -> None:
    assert len({b.name for b in BAD}) == len(BAD) >= 40
    assert {b.reason for b in BAD} == set(names.REASONS)


@pytest.mark.parametrize("bad", TIMELESS, ids=lambda b: b.name)
def test_the_careful_reader_refuses_each_bad_message_with_its_reason_and_path(bad: Bad) -> None:
    with pytest.raises(Rejection) as found:
        Reader(bad.topic).read(bad.value, bad.headers)
    path, _, expectation = found.value.error.partition(": ")
    assert (found.value.reason, path.startswith(bad.path), bool(expectation)) == (bad.reason, True, True)


@pytest.mark.parametrize("bad", TIMELESS, ids=lambda b: b.name)
def test_a_tally_refuses_each_bad_message_with_its_reason_and_path(bad: Bad) -> None:
    tally = Tally(bad.topic, 0, ROUTES)
    record = Record(0, bad.value, headers=bad.headers)
    [(refused, why)] = tally.run([record], FAR_MS * 1000)
    assert refused is record
    assert why.reason == bad.reason
    assert why.error.startswith(bad.path)
    assert tally.rejected == {bad.reason: 1}


def test_the_whole_corpus_in_one_batch_stops_nothing_and_changes_no_total() -> None:
    for topic, good in ((names.TOUCHPOINTS, touchpoint()), (names.FEEDBACK, answer(score=5))):
        bad = [b for b in BAD if b.topic == topic]
        batch = [Record(0, body(good), timestamp=1709251200000)]
        batch += [Record(i, b.value, headers=b.headers, timestamp=1709251200000) for i, b in enumerate(bad, 1)]
        batch.append(Record(len(batch), body({**good, "id": "2"}), timestamp=1709251200000))
        tally = Tally(topic, 0, ROUTES)
        assert [why.reason for _, why in tally.run(batch, 0)] == [b.reason for b in bad]
        assert (tally.received, tally.accepted, tally.duplicates) == (len(batch), 2, 0)


ODD = {
    "structured by its header": (touchpoint(), STRUCTURED),
    "any case of the header's name and value": (
        touchpoint(),
        (("Content-TYPE", b"Application/CloudEvents"),),
    ),
    "a header that says plain JSON": (touchpoint(), (("content-type", b"application/json"),)),
    "headers of others": (touchpoint(), (("trace", None), ("x", b"\xff"))),
    "extra fields and attributes": ({**touchpoint(x=[1, {"a": None}]), "subject": 1, "traceparent": {}}, ()),
    "null for what is optional": (touchpoint(journey=None, segment=None, need_met=None, wait_s=None), ()),
    "an id of 256 characters": ({**touchpoint(), "id": "ü" * 256}, ()),
    "a moment of 64 characters": (touchpoint(moment="a-0" + "x" * 61), ()),
    "an emoji in the customer": (touchpoint(customer="\U0001f600"), ()),
    "a time in another zone": ({**touchpoint(), "time": "2024-03-01T05:30:00.5+05:30"}, ()),
    "a time in small letters": ({**touchpoint(), "time": "2024-03-01t00:00:00z"}, ()),
    "nanoseconds": ({**touchpoint(), "time": "2024-03-01T00:00:00.123456789Z"}, ()),
    "the first moment of 1970": ({**touchpoint(), "time": "1970-01-01T00:00:00Z"}, ()),
    "the last second of 9999": ({**touchpoint(), "time": "9999-12-31T23:59:59Z"}, ()),
    "no wait at all": (touchpoint(wait_s=0, duration_s=0), ()),
    "an int of 30 digits": (touchpoint(wait_s=10**30), ()),
    "a dimension that nobody declared": (touchpoint(segment={"shoe": "42"}), ()),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_but_right_is_accepted_by_both_readers(name: str) -> None:
    found, headers = ODD[name]
    value = body(found)
    assert careful(names.TOUCHPOINTS, value, headers) == "accepted"
    assert counted(names.TOUCHPOINTS, value, headers) == "accepted"
    raw = json.dumps(found, ensure_ascii=False, indent=1).encode()
    assert counted(names.TOUCHPOINTS, raw, headers) == "accepted"


def test_a_body_of_exactly_64_kib_is_accepted() -> None:
    value = body(touchpoint())
    value += b" " * (MAX_BODY - len(value))
    assert careful(names.TOUCHPOINTS, value) == counted(names.TOUCHPOINTS, value) == "accepted"


def test_every_scale_takes_its_ends() -> None:
    for kind, low, high in (("csat", 1, 5), ("nps", 0, 10), ("ces", 1, 7), ("rating", 1, 5)):
        for score in (low, high, (low + high) / 2):
            assert counted(names.FEEDBACK, body(answer(survey=kind, score=score))) == "accepted"
    for sentiment in (-1, 0, 1):
        assert counted(names.FEEDBACK, body(answer(sentiment=sentiment))) == "accepted"
    assert counted(names.FEEDBACK, body(answer(comment="x" * 10_000))) == "accepted"


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
def test_binary_mode_reads_its_attributes_from_headers_in_any_case(change: Any) -> None:
    headers = [(change(k), v) for k, v in BINARY]
    found = Reader(names.TOUCHPOINTS).read(GOOD_DATA, headers)
    assert isinstance(found, Touchpoint)
    assert (found.id, found.source, found.data.moment) == ("b1", "shop", "pay")
    assert found.time == datetime(2024, 3, 1, tzinfo=UTC)
    assert counted(names.TOUCHPOINTS, GOOD_DATA, headers) == "accepted"


def test_a_structured_event_stays_one_whatever_ce_headers_come_with_it() -> None:
    headers = [*STRUCTURED, ("ce_id", b"other"), ("ce_specversion", b"0.3")]
    found = Reader(names.TOUCHPOINTS).read(body(touchpoint("mine")), headers)
    assert found.id == "mine"
    assert counted(names.TOUCHPOINTS, body(touchpoint()), headers) == "accepted"


def test_the_first_check_that_fails_wins() -> None:
    """Faults of each check are mended one by one, from the first; the next one shows."""
    good = json.loads(body(touchpoint()))
    worst = {**good, "id": "", "type": "cx.nothing", "data": {"moment": 1}}
    broken = body(worst) + b"}"
    steps: list[tuple[bytes, str]] = [
        (broken + b" " * MAX_BODY, names.TOO_LARGE),
        (broken, names.BAD_JSON),
        (body(worst), names.BAD_ENVELOPE),
        (body({**worst, "id": "1"}), names.UNKNOWN_TYPE),
        (body({**worst, "id": "1", "type": "cx.touchpoint"}), names.BAD_FIELD),
        (body(good), "accepted"),
    ]
    for value, reason in steps:
        assert careful(names.TOUCHPOINTS, value) == counted(names.TOUCHPOINTS, value) == reason


def test_an_error_never_holds_what_a_customer_wrote() -> None:
    for secret in (
        answer(survey="SECRET", score=5),
        answer(voice="SECRET"),
        answer(score="SECRET"),
        answer(comment={"x": "SECRET"}),
        answer(moment="SECRET"),
        answer(segment={"SECRET": 1}),
    ):
        with pytest.raises(Rejection) as found:
            Reader(names.FEEDBACK).read(body(secret), ())
        assert "SECRET" not in found.value.error


def test_a_depth_of_nesting_is_refused_or_not_whatever_calls_the_reader() -> None:
    """Counting is a function of the record: a replay must not depend on how deep the stack happens to be."""
    value = body({**touchpoint(), "x": json.loads("[" * 900 + "]" * 900)})

    def below(frames: int) -> str:
        return counted(names.TOUCHPOINTS, value) if frames == 0 else below(frames - 1)

    assert below(0) == below(200)


# Both ways of reading agree

anything: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["1.0", "cx.touchpoint", "cx.feedback", "pay", "", "2024-03-01T00:00:00Z", "csat", 5, 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = [
    "specversion", "id", "source", "type", "time", "data", "extra", "data.moment", "data.customer", "data.segment",
    "data.outcome", "data.reason", "data.wait_s", "data.duration_s", "data.promised_by", "data.probe", "data.survey",
    "data.score", "data.sentiment", "data.voice", "data.comment", "data.need_met", "data.journey",
    "data.segment.region", "data.other",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    """An event with some of its values replaced or gone, and then some of its bytes."""
    topic = draw(st.sampled_from([names.TOUCHPOINTS, names.FEEDBACK]))
    found: dict[str, Any] = json.loads(json.dumps(draw(touchpoints() if topic == names.TOUCHPOINTS else answers())))
    for path in draw(st.lists(st.sampled_from(FIELDS), max_size=2)):
        at: Any = found
        *outer, last = path.split(".")
        for key in outer:
            at = at.setdefault(key, {}) if isinstance(at, dict) else {}
        if isinstance(at, dict):
            if draw(st.booleans()):
                at[last] = draw(anything)
            else:
                at.pop(last, None)
    text = json.dumps(found, ensure_ascii=draw(st.booleans()))
    value = bytearray(text.encode(errors="surrogatepass"))
    for _ in range(draw(st.integers(0, 2))):
        i = draw(st.integers(0, len(value)))
        cut = draw(st.integers(0, 3))
        value[i : i + cut] = draw(
            st.binary(max_size=3)
            | st.sampled_from(
                [b"1e999", b"NaN", b"\\ud800", b"\\u0000", b',"type":"x"', b"-", b"}", b'"', b",", b"[" * 1100]
            )
        )
    return topic, bytes(value)


@settings(max_examples=600)
@given(mutated())
@example((names.TOUCHPOINTS, body(touchpoint())[:-1] + b',"x":1e999,}'))
@example((names.TOUCHPOINTS, body(touchpoint())[:-1] + b',"type":"cx.touchpoint"}'))
def test_both_ways_of_reading_agree_on_any_bytes_and_raise_nothing_but_a_rejection(
    case: tuple[str, bytes],
) -> None:
    topic, value = case
    assert counted(topic, value) == careful(topic, value)


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ce_id", "CE_Source", "ce_type", "ce_time", "ce_specversion", "content-type", "ce_x"]),
            st.none() | st.binary(max_size=5) | st.sampled_from([v for _, v in BINARY] + [STRUCTURED[0][1]]),
        ),
        max_size=7,
    ),
    st.sampled_from([GOOD_DATA, body(touchpoint()), b"", b"[]", b"{}"]),
)
@example(
    [("content-type", b"application/cloudevents"), ("Content-Type", b"text/plain"), ("ce_id", b"1")],
    body(touchpoint()),
)
def test_both_ways_of_reading_agree_on_any_headers(headers: list[tuple[str, bytes | None]], value: bytes) -> None:
    assert counted(names.TOUCHPOINTS, value, headers) == careful(names.TOUCHPOINTS, value, headers)


@pytest.mark.parametrize("time", ["2026-01-01T00:00:00+0000", "2026-01-01 00:00:00Z", "2026-01-01t00:00:00z"])
def test_both_ways_of_reading_take_a_time_that_is_clear_though_not_quite_by_the_book(time: str) -> None:
    value = body({**touchpoint(), "time": time})
    reader = Reader(names.TOUCHPOINTS)
    assert reader.decode(value).time == reader.read(value, ()).time == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_number_beyond_a_double_is_ignored_where_nobody_reads_it() -> None:
    value = body(touchpoint()).replace(b'"moment"', b'"nobody-reads": 1e999, "moment"')
    assert b"1e999" in value
    reader = Reader(names.TOUCHPOINTS)
    assert reader.decode(value) == reader.read(value, ())
