"""Messages that must be refused, and why: data for the tests of the core and for those on a real broker.

`too_late` and `from_future` are refused for their time: send those after an event of now, to a topic with
LogAppendTime. All others are refused whatever the clock says.
"""

from typing import Any, NamedTuple

from streams import names
from tests.core import answer, body, survey, touchpoint

T, F = "touchpoints", "feedback"
Headers = tuple[tuple[str, bytes | None], ...]
STRUCTURED: Headers = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
NOT_JSON = names.BAD_JSON
ENVELOPE = names.BAD_ENVELOPE
FIELD = names.BAD_FIELD


class Bad(NamedTuple):
    """One message: `kind` is the topic that it is sent to, `path` what its error must begin with."""

    name: str
    kind: str
    value: bytes | None
    headers: Headers
    reason: str
    path: str

    @property
    def topic(self) -> str:
        return {T: names.TOUCHPOINTS, F: names.FEEDBACK}[self.kind]


def _raw(**parts: str | None) -> bytes:
    """A touchpoint as text; a part replaces an attribute's JSON, None leaves it out."""
    whole: dict[str, str | None] = {
        "specversion": '"1.0"',
        "id": '"bad"',
        "source": '"corpus"',
        "type": '"cx.touchpoint"',
        "time": '"2024-03-01T00:00:00Z"',
        "data": '{"moment": "pay", "customer": "c"}',
        **parts,
    }
    return ("{" + ", ".join(f'"{k}": {v}' for k, v in whole.items() if v is not None) + "}").encode()


def _data(extra: str) -> bytes:
    return _raw(data='{"moment": "pay", "customer": "c", ' + extra + "}")


def _binary(**changes: bytes | None) -> Headers:
    whole: dict[str, bytes | None] = {
        "ce_specversion": b"1.0",
        "ce_id": b"bad",
        "ce_source": b"corpus",
        "ce_type": b"cx.touchpoint",
        "ce_time": b"2024-03-01T00:00:00Z",
        "content-type": b"application/json",
        **changes,
    }
    return tuple((k, v) for k, v in whole.items() if v is not None)


GOOD_DATA = b'{"moment": "pay", "customer": "c"}'


def _t(name: str, value: bytes | None, reason: str, path: str = "", headers: Headers = ()) -> Bad:
    return Bad(name, T, value, headers, reason, path)


def _f(name: str, path: str, **data: Any) -> Bad:
    return Bad(name, F, body(answer(**data)), (), FIELD, path)


_COMMA = _raw().replace(b'"c"}', b'"c",}')

BAD: list[Bad] = [
    # size
    _t("one byte over 64 KiB", _raw() + b" " * (64 * 1024 + 1 - len(_raw())), names.TOO_LARGE, "$"),
    _t("1 MB of broken JSON", b"{" * 1_000_000, names.TOO_LARGE, "$"),
    # JSON
    _t("an empty value", b"", NOT_JSON, "$"),
    _t("blanks only", b"  \n ", NOT_JSON, "$"),
    _t("cut off", _raw()[:-2], NOT_JSON, "$"),
    _t("a trailing comma", _COMMA, NOT_JSON, "$"),
    _t("single quotes", _raw().replace(b'"', b"'"), NOT_JSON, "$"),
    _t("two documents", _raw() + _raw(), NOT_JSON, "$"),
    _t("a comment", b"/* hello */" + _raw(), NOT_JSON, "$"),
    _t("NaN", _data('"wait_s": NaN'), NOT_JSON, "$"),
    _t("Infinity", _data('"wait_s": Infinity'), NOT_JSON, "$"),
    _t("minus Infinity in a field that is ignored", _raw(extra="-Infinity"), NOT_JSON, "$"),
    _t("a number with a leading zero", _data('"wait_s": 01'), NOT_JSON, "$"),
    _t("not UTF-8", _raw(id='"caf?"').replace(b"?", b"\xe9"), NOT_JSON, "$"),
    _t("not UTF-8 in a field that is ignored", _data('"x": "?"').replace(b"?", b"\xff"), NOT_JSON, "$"),
    _t("UTF-16", _raw().decode().encode("utf-16"), NOT_JSON, "$"),
    _t("a byte order mark", b"\xef\xbb\xbf" + _raw(), NOT_JSON, "$"),
    _t("a lone surrogate in the id", _raw(id='"\\ud800"'), NOT_JSON, "$"),
    _t("a lone surrogate in a field that is ignored", _data('"x": "\\udfff"'), NOT_JSON, "$"),
    _t("a raw line break in a string", _raw(id='"a\nb"'), NOT_JSON, "$"),
    _t("nested 5,000 deep", _raw(extra="[" * 5000 + "]" * 5000), NOT_JSON, "$"),
    _t("nested 5,000 deep and cut off", b"[" * 5000, NOT_JSON, "$"),
    _t("a number beyond a double, then broken", _data('"wait_s": 1e999,'), NOT_JSON, "$"),
    _t("a huge int, then broken", b"[" + b"9" * 400 + b"}", NOT_JSON, "$"),
    _t("a number beyond a double, and a lone surrogate", _data('"a": 1e999, "b": "\\ud800"'), NOT_JSON, "$"),
    _t("binary bytes", bytes(range(256)), NOT_JSON, "$"),
    # envelope
    _t("a null value", None, ENVELOPE, "$"),
    _t("the JSON null", b"null", ENVELOPE, "$"),
    _t("an array", b"[]", ENVELOPE, "$"),
    _t("a batch of events", b"[" + _raw() + b"]", ENVELOPE, "$", STRUCTURED),
    _t("a string", b'"hello"', ENVELOPE, "$"),
    _t("an empty object", b"{}", ENVELOPE, "specversion"),
    _t("no specversion", _raw(specversion=None), ENVELOPE, "specversion"),
    _t("no specversion, by header an event", _raw(specversion=None), ENVELOPE, "specversion", STRUCTURED),
    _t("specversion 0.3", _raw(specversion='"0.3"'), ENVELOPE, "specversion"),
    _t("specversion as a number", _raw(specversion="1.0"), ENVELOPE, "specversion"),
    _t("no id", _raw(id=None), ENVELOPE, "id"),
    _t("an empty id", _raw(id='""'), ENVELOPE, "id"),
    _t("an id of 257 characters", _raw(id='"' + "x" * 257 + '"'), ENVELOPE, "id"),
    _t("a number as id", _raw(id="7"), ENVELOPE, "id"),
    _t("null as id", _raw(id="null"), ENVELOPE, "id"),
    _t("no source", _raw(source=None), ENVELOPE, "source"),
    _t("an empty source", _raw(source='""'), ENVELOPE, "source"),
    _t("no type", _raw(type=None), ENVELOPE, "type"),
    _t("a number as type", _raw(type="1"), ENVELOPE, "type"),
    _t("no time", _raw(time=None), ENVELOPE, "time"),
    _t("a time without an offset", _raw(time='"2024-03-01T00:00:00"'), ENVELOPE, "time"),
    _t("a date", _raw(time='"2024-03-01"'), ENVELOPE, "time"),
    _t("a day that is not", _raw(time='"2024-02-30T00:00:00Z"'), ENVELOPE, "time"),
    _t("a number as time", _raw(time="1709251200"), ENVELOPE, "time"),
    _t("words as time", _raw(time='"yesterday"'), ENVELOPE, "time"),
    _t("the year 1969", _raw(time='"1969-12-31T23:59:59Z"'), ENVELOPE, "time"),
    _t("1970 there, 1969 in UTC", _raw(time='"1970-01-01T00:00:00+00:01"'), ENVELOPE, "time"),
    _t("the year 1", _raw(time='"0001-01-01T00:00:00+23:59"'), ENVELOPE, "time"),
    _t("the year 10000", _raw(time='"10000-01-01T00:00:00Z"'), ENVELOPE, "time"),
    _t("9999 there, 10000 in UTC", _raw(time='"9999-12-31T23:59:59-23:59"'), ENVELOPE, "time"),
    _t("bad id and bad fields: the envelope comes first", _raw(id="7", data="7"), ENVELOPE, "id"),
    # type
    _t("an unknown type", _raw(type='"cx.unknown"'), names.UNKNOWN_TYPE, "type"),
    _t("an answer among the touchpoints", body(answer(score=5)), names.UNKNOWN_TYPE, "type"),
    _t("a survey among the touchpoints", body(survey()), names.UNKNOWN_TYPE, "type"),
    Bad("a touchpoint among the feedback", F, body(touchpoint()), (), names.UNKNOWN_TYPE, "type"),
    _t(
        "an unknown type and bad fields: the type comes first",
        _raw(type='"x"', data="7"),
        names.UNKNOWN_TYPE,
        "type",
    ),
    # fields
    _t("no data", _raw(data=None), FIELD, "data"),
    _t("null as data", _raw(data="null"), FIELD, "data"),
    _t("text as data", _raw(data='"{}"'), FIELD, "data"),
    _t("no moment", _raw(data='{"customer": "c"}'), FIELD, "data.moment"),
    _t("an empty moment", _raw(data='{"moment": "", "customer": "c"}'), FIELD, "data.moment"),
    _t("a moment in capitals", _raw(data='{"moment": "Pay", "customer": "c"}'), FIELD, "data.moment"),
    _t(
        "a moment of 65 characters",
        _raw(data=f'{{"moment": "{"x" * 65}", "customer": "c"}}'),
        FIELD,
        "data.moment",
    ),
    _t(
        "a moment with a line break at its end",
        _raw(data='{"moment": "pay\\n", "customer": "c"}'),
        FIELD,
        "data.moment",
    ),
    _t("a moment beyond ASCII", _raw(data='{"moment": "zahlüng", "customer": "c"}'), FIELD, "data.moment"),
    _t("a number as moment", _raw(data='{"moment": 1, "customer": "c"}'), FIELD, "data.moment"),
    _t("no customer", _raw(data='{"moment": "pay"}'), FIELD, "data.customer"),
    _t("an empty customer", _raw(data='{"moment": "pay", "customer": ""}'), FIELD, "data.customer"),
    _t("a customer of 257 characters", body(touchpoint(customer="x" * 257)), FIELD, "data.customer"),
    _t("a number as customer", body(touchpoint(customer=5)), FIELD, "data.customer"),
    _t("an unknown outcome", body(touchpoint(outcome="great")), FIELD, "data.outcome"),
    _t("a reason that is no slug", body(touchpoint(reason="Card declined")), FIELD, "data.reason"),
    _t("a number as need_met", body(touchpoint(need_met=1)), FIELD, "data.need_met"),
    _t("a negative wait", body(touchpoint(wait_s=-0.1)), FIELD, "data.wait_s"),
    _t("text as wait", body(touchpoint(wait_s="5")), FIELD, "data.wait_s"),
    _t("a wait beyond a double", _data('"wait_s": 1e999'), FIELD, "data.wait_s"),
    _t("a wait of 400 digits", _data('"wait_s": ' + "9" * 400), FIELD, "data.wait_s"),
    _t("a negative duration", body(touchpoint(duration_s=-1)), FIELD, "data.duration_s"),
    _t(
        "a promise without an offset",
        body(touchpoint(promised_by="2024-03-01T00:00:00")),
        FIELD,
        "data.promised_by",
    ),
    _t("a number as promise", body(touchpoint(promised_by=1709251200)), FIELD, "data.promised_by"),
    _t("text as probe", body(touchpoint(probe="yes")), FIELD, "data.probe"),
    _t("a number as journey", body(touchpoint(journey=1)), FIELD, "data.journey"),
    _t("a list as segment", body(touchpoint(segment=["eu"])), FIELD, "data.segment"),
    _t("a number as a segment's value", body(touchpoint(segment={"region": 1})), FIELD, "data.segment"),
    _t("an object as a segment's value", body(touchpoint(segment={"x": {}})), FIELD, "data.segment"),
    _f("no such survey", "data.survey", survey="gut-feeling"),
    _f("csat 0", "data.score", score=0),
    _f("csat 6", "data.score", score=6),
    _f("csat 5.000001", "data.score", score=5.000001),
    _f("nps 11", "data.score", survey="nps", score=11),
    _f("nps -1", "data.score", survey="nps", score=-1),
    _f("ces 8", "data.score", survey="ces", score=8),
    _f("rating 0", "data.score", survey="rating", score=0),
    _f("text as score", "data.score", score="5"),
    _f("a complaint with a score", "data.score", survey="complaint", score=1),
    _f("a praise with a score", "data.score", survey="praise", score=5),
    _f("a sentiment above 1", "data.sentiment", sentiment=1.1),
    _f("a sentiment below -1", "data.sentiment", sentiment=-1.1),
    _f("a comment of 10,001 characters", "data.comment", comment="x" * 10_001),
    _f("an unknown voice", "data.voice", voice="robot"),
    _f("text as solicited", "data.solicited", solicited="no"),
    _f("a feedback moment that is no slug", "data.moment", moment="a b"),
    _f("a segment of numbers", "data.segment", score=5, segment={"region": 1}),
    Bad(
        "a survey without its kind",
        F,
        body({**survey(), "data": {"customer": "c"}}),
        (),
        FIELD,
        "data.survey",
    ),
    # binary mode
    _t("binary without ce_specversion", GOOD_DATA, ENVELOPE, "specversion", _binary(ce_specversion=None)),
    _t("binary without ce_id", GOOD_DATA, ENVELOPE, "id", _binary(ce_id=None)),
    _t("binary without ce_source", GOOD_DATA, ENVELOPE, "source", _binary(ce_source=None)),
    _t("binary without ce_type", GOOD_DATA, ENVELOPE, "type", _binary(ce_type=None)),
    _t("binary without ce_time", GOOD_DATA, ENVELOPE, "time", _binary(ce_time=None)),
    _t("binary with an empty ce_id", GOOD_DATA, ENVELOPE, "id", _binary(ce_id=b"")),
    _t("binary with a ce_id that is not UTF-8", GOOD_DATA, ENVELOPE, "", _binary(ce_id=b"\xff")),
    _t(
        "binary with another ce_specversion",
        GOOD_DATA,
        ENVELOPE,
        "specversion",
        _binary(ce_specversion=b"0.3"),
    ),
    _t("binary with a bad ce_time", GOOD_DATA, ENVELOPE, "time", _binary(ce_time=b"2024-03-01 noon")),
    _t("binary from 1969", GOOD_DATA, ENVELOPE, "time", _binary(ce_time=b"1969-01-01T00:00:00Z")),
    _t("binary of an unknown type", GOOD_DATA, names.UNKNOWN_TYPE, "type", _binary(ce_type=b"cx.unknown")),
    _t("binary with an empty body", b"", NOT_JSON, "$", _binary()),
    _t("binary with a broken body", b'{"moment": ', NOT_JSON, "$", _binary(ce_id=None)),
    _t("binary with a lone surrogate", b'{"moment": "pay", "customer": "\\ud800"}', NOT_JSON, "$", _binary()),
    _t("binary with an array as body", b"[]", FIELD, "data", _binary()),
    _t("binary with a bad field", b'{"moment": "pay"}', FIELD, "data.customer", _binary()),
    _t("binary with a null value", None, ENVELOPE, "$", _binary()),
    # time
    _t("the year 9999", _raw(time='"9999-12-31T23:59:59Z"'), names.FROM_FUTURE, "time"),
    _t("the first moment of 1970", _raw(time='"1970-01-01T00:00:00Z"'), names.TOO_LATE, "time"),
]
TIMELESS = [b for b in BAD if b.reason not in (names.FROM_FUTURE, names.TOO_LATE)]
