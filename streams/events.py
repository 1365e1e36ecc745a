"""Bytes and headers of a Kafka record → Touchpoint | Answer | Survey, or a Rejection with path and reason.

The good case is one pass of msgspec over the bytes (`Reader.decode`). Only where that fails, or where the body
holds what msgspec skips over unread (escapes, bytes beyond ASCII), `Reader.read` looks again, slowly and in the
contract's order: size, JSON, envelope, type, fields. Source of the rules: CloudEvents 1.0, its JSON format and
its Kafka protocol binding; RFC 3339; the contract.

Decided, where the rules leave room or the decoder is milder than they are: a time may have a blank or a `t` for its
T (a note of RFC 3339 allows it), and `+0000` for `+00:00` (it does not; what is meant is clear, and to refuse it
would take a second look at each event). A number that no double holds (1e999) is refused where it is a field's, and
ignored with the rest where nobody reads it.
"""

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import orjson

from streams import names

MAX_BODY = 64 * 1024
SCALES: dict[str, tuple[float, float]] = {"csat": (1, 5), "nps": (0, 10), "ces": (1, 7), "rating": (1, 5)}
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MAX_DEPTH = 128
SHORT = 380  # bytes: beside the required fields there is no room to nest that deep
YEAR_10000 = 253_402_300_800_000_000
SECOND = 1_000_000  # event time is an int of microseconds since 1970

Identity = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
SLUG = "^[a-z0-9-]{1,64}$(?!\\n)"  # the look-ahead: Python's $ also matches before a last newline
Slug = Annotated[str, msgspec.Meta(pattern=SLUG)]
# A regular expression for each event costs more than the rest of its decoding: whoever meets a moment's name for
# the first time calls `check_moment` on it.
Moment = Annotated[str, msgspec.Meta(min_length=1, max_length=64, extra_json_schema={"pattern": SLUG})]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Time = Annotated[dt.datetime, msgspec.Meta(tz=True)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
SurveyKind = Literal["csat", "nps", "ces", "rating", "complaint", "praise"]
Headers = Iterable[tuple[str, bytes | None]]


def _no_segment() -> msgspec.Raw:
    return msgspec.Raw(b"{}")


class TouchpointData(msgspec.Struct, gc=False):
    """What a customer did. `wait_s` and `duration_s` in seconds."""

    moment: Moment
    customer: Identity
    journey: str | None = None
    segment: msgspec.Raw = msgspec.field(default_factory=_no_segment)
    outcome: Literal["ok", "failed", "abandoned"] = "ok"
    reason: Slug | None = None
    need_met: bool | None = None
    wait_s: Seconds | None = None
    duration_s: Seconds | None = None
    promised_by: Time | None = None
    probe: bool = False


class AnswerData(msgspec.Struct, gc=False):
    """What a customer (or the company, or a probe) said."""

    customer: Identity
    survey: SurveyKind
    score: float | None = None
    moment: Moment = names.RELATIONSHIP
    journey: str | None = None
    segment: msgspec.Raw = msgspec.field(default_factory=_no_segment)
    solicited: bool = True
    sentiment: Annotated[float, msgspec.Meta(ge=-1, le=1)] | None = None
    comment: Annotated[str, msgspec.Meta(max_length=10_000)] | None = None
    voice: Literal["customer", "company", "probe"] = "customer"


class SurveyData(msgspec.Struct, gc=False):
    """A customer was asked."""

    customer: Identity
    survey: SurveyKind
    moment: Moment = names.RELATIONSHIP
    journey: str | None = None
    segment: msgspec.Raw = msgspec.field(default_factory=_no_segment)


class Touchpoint(msgspec.Struct, gc=False, tag_field="type", tag=names.TOUCHPOINT):
    """A CloudEvent of type `cx.touchpoint`."""

    specversion: Literal["1.0"]
    id: Identity
    source: Text
    time: Time
    data: TouchpointData


class Answer(msgspec.Struct, gc=False, tag_field="type", tag=names.ANSWER):
    """A CloudEvent of type `cx.feedback`."""

    specversion: Literal["1.0"]
    id: Identity
    source: Text
    time: Time
    data: AnswerData


class Survey(msgspec.Struct, gc=False, tag_field="type", tag=names.SURVEY):
    """A CloudEvent of type `cx.survey`."""

    specversion: Literal["1.0"]
    id: Identity
    source: Text
    time: Time
    data: SurveyData


class _Nothing(msgspec.Struct, tag_field="type", tag="\0"):
    """No event is one."""


Event = Touchpoint | Answer | Survey
BY_TYPE: dict[str, type[Event]] = {names.TOUCHPOINT: Touchpoint, names.ANSWER: Answer, names.SURVEY: Survey}
TYPES_OF: dict[str, tuple[str, ...]] = {
    names.TOUCHPOINTS: (names.TOUCHPOINT,),
    names.FEEDBACK: (names.ANSWER, names.SURVEY),
}


class Rejection(Exception):
    """Why an event was refused: `reason` is one of `names.REASONS`, `error` says path and expectation."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(f"{reason}: {error}")
        self.reason = reason
        self.error = error


class Envelope(NamedTuple):
    """The CloudEvents attributes as they were found; `binary` where the body is the data alone."""

    attributes: Mapping[str, object]
    binary: bool


def micros(time: dt.datetime) -> int:
    """Microseconds since 1970 of an aware datetime."""
    t = time - EPOCH
    return (t.days * 86_400 + t.seconds) * SECOND + t.microseconds


def check_years(time: int) -> None:
    """A time of the contract, in microseconds."""
    if not 0 <= time < YEAR_10000:
        raise Rejection(names.BAD_ENVELOPE, "time: expected a year from 1970 to 9999")


_attribute_types: dict[str, Any] = {
    "specversion": Literal["1.0"],
    "id": Identity,
    "source": Text,
    "type": Text,
    "time": Time,
}
_slug = re.compile(SLUG)
_segments = msgspec.json.Decoder(dict[str, str])
_where = re.compile(r" - at `(?:key in )?\$?\.?(.*)`$")
_value = re.compile(r"(Invalid (?:enum )?value) .*?(?= - at `|$)", re.S)
_missing = re.compile(r"missing required field `(\w+)`")


def segments(raw: msgspec.Raw) -> dict[str, str]:
    """The dimensions of an event; raises a `Rejection` where they are not an object of strings."""
    body = bytes(raw)
    if body == b"null":
        return {}
    try:
        return _segments.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise Rejection(names.BAD_FIELD, _explain(e, "data.segment")) from None


def _explain(e: Exception, path: str) -> str:
    """`path: what was expected`, from msgspec's message, without the value (it may be a customer's)."""
    text = _value.sub(r"\1", str(e))
    at = _where.search(text)
    if at is not None:
        text = text[: at.start()]
        path = ".".join(x for x in (path, at.group(1)) if x)
    if (gone := _missing.search(text)) is not None:
        path = f"{path}.{gone.group(1)}".lstrip(".")
    return f"{path or '$'}: {text}".replace(".[", "[")


def _loads(value: bytes) -> object:
    """JSON by RFC 8259; numbers that no double holds are left to the typed decoder, which names their path."""
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as e:
        why: ValueError = e
    if "infinity" in str(why):
        try:
            return json.loads(value, parse_int=float, parse_constant=_constant)
        except ValueError as e:
            why = e
    raise Rejection(names.BAD_JSON, f"$: expected JSON in UTF-8: {why}")


def _constant(found: str) -> object:
    raise ValueError(f"{found} is no JSON number")


def _deep(body: object) -> bool:
    """Whether JSON is nested beyond `MAX_DEPTH`; the parsers' own limits depend on the caller's stack."""
    level = [body]
    for _ in range(MAX_DEPTH):
        level = [
            x
            for part in level
            for x in (part.values() if isinstance(part, dict) else part if isinstance(part, list) else ())
            if isinstance(x, dict | list)
        ]
        if not level:
            return False
    return True


def is_large(value: bytes) -> bool:
    """Whether a body is too large, or has so many brackets that it may be nested too deep."""
    return len(value) > MAX_BODY or value.count(b"[") + value.count(b"{") >= MAX_DEPTH - 1


def is_structured(headers: Headers) -> bool:
    """Whether a content type says that the body is a whole CloudEvent."""
    return any(
        name.lower() == "content-type" and (value or b"")[:23].lower() == b"application/cloudevents"
        for name, value in headers
    )


def is_binary(headers: Headers) -> bool:
    """Whether headers may speak of CloudEvents' binary mode; the careful reader decides."""
    return any(name.lower().startswith("ce_") for name, _ in headers) and not is_structured(headers)


class Reader:
    """Reads the records of one source topic; `types` where it is not one of the contract's."""

    def __init__(self, topic: str, types: tuple[str, ...] = ()) -> None:
        self.topic = topic
        self.types = types or TYPES_OF[topic]
        union: Any = _Nothing  # makes a union even of one type: a lone tagged struct may come without its tag
        for name in self.types:
            union |= BY_TYPE[name]
        self.decode = msgspec.json.Decoder(union).decode

    def read(self, value: bytes | None, headers: Headers) -> Event:
        """One event, or a `Rejection`: every check but those that need a clock or a memory."""
        if value is None:
            raise Rejection(names.BAD_ENVELOPE, "$: expected a CloudEvent, found a null value")
        if len(value) > MAX_BODY:
            raise Rejection(names.TOO_LARGE, f"$: expected at most {MAX_BODY} bytes, found {len(value)}")
        try:
            envelope = self._envelope(value, {k.lower(): v for k, v in headers}, is_structured(headers))
            for name, kind in _attribute_types.items():
                if name not in envelope.attributes:
                    raise Rejection(names.BAD_ENVELOPE, f"{name}: required attribute is missing")
                try:
                    found = msgspec.convert(envelope.attributes[name], kind)
                except msgspec.ValidationError as e:
                    raise Rejection(names.BAD_ENVELOPE, _explain(e, name)) from None
                if name == "time":
                    check_years(micros(found))
            return self._typed(value, envelope)
        except RecursionError:
            raise Rejection(names.BAD_JSON, "$: nested too deeply") from None

    def _envelope(self, value: bytes, headers: Mapping[str, bytes | None], structured: bool) -> Envelope:
        body = _loads(value)
        if _deep(body):
            raise Rejection(names.BAD_JSON, f"$: expected at most {MAX_DEPTH} levels of nesting")
        if not structured and any(k.startswith("ce_") for k in headers):
            try:
                found = {k[3:]: (v or b"").decode() for k, v in headers.items() if k.startswith("ce_")}
            except UnicodeDecodeError:
                raise Rejection(names.BAD_ENVELOPE, "headers: expected ce_… values in UTF-8") from None
            return Envelope(found, binary=True)
        if not isinstance(body, dict):
            raise Rejection(names.BAD_ENVELOPE, "$: expected a CloudEvent, an object")
        if not structured and "specversion" not in body:
            raise Rejection(names.BAD_ENVELOPE, "specversion: required attribute is missing")
        return Envelope(body, binary=False)

    def _typed(self, value: bytes, envelope: Envelope) -> Event:
        kind = str(envelope.attributes["type"])
        if kind not in self.types:
            raise Rejection(names.UNKNOWN_TYPE, f"type: expected {' or '.join(self.types)} on {self.topic}")
        try:
            if envelope.binary:
                data = msgspec.json.decode(value, type=BY_TYPE[kind].__annotations__["data"])
                known = {k: msgspec.convert(envelope.attributes[k], t) for k, t in _attribute_types.items()}
                del known["type"]
                event: Event = BY_TYPE[kind](**known, data=data)
            else:
                event = self.decode(value)
        except msgspec.ValidationError as e:
            raise Rejection(names.BAD_FIELD, _explain(e, "data" if envelope.binary else "")) from None
        except ValueError as e:  # what the first look at the JSON let pass
            raise Rejection(names.BAD_JSON, f"$: expected JSON in UTF-8: {e}") from None
        check_moment(event.data.moment)
        segments(event.data.segment)
        if isinstance(event, Answer):
            check_answer(event.data)
        return event


def check_moment(moment: str) -> None:
    """A moment's name is a slug."""
    if _slug.search(moment) is None:
        raise Rejection(names.BAD_FIELD, f"data.moment: expected {SLUG}")


def check_answer(data: AnswerData) -> None:
    """The score fits its survey's scale; a complaint and a praise carry none."""
    if data.score is None:
        return
    scale = SCALES.get(data.survey)
    if scale is None:
        raise Rejection(names.BAD_FIELD, f"data.score: a {data.survey} carries no score")
    low, high = scale
    if not low <= data.score <= high:
        raise Rejection(names.BAD_FIELD, f"data.score: expected {low} to {high} for {data.survey}")
