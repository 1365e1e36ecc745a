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

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec
import orjson

from streams import names
from streams.events import (
    BY_TYPE,
    TYPES_OF,
    Answer,
    Event,
    Identity,
    Rejection,
    Text,
    Time,
    check_answer,
    check_moment,
    check_years,
    micros,
)

MAX_BODY = 64 * 1024
MAX_DEPTH = 128
SHORT = 380  # bytes: beside the required fields there is no room to nest that deep

Headers = Iterable[tuple[str, bytes | None]]


class _Nothing(msgspec.Struct, tag_field="type", tag="\0"):
    """No event is one."""


class Envelope(NamedTuple):
    """The CloudEvents attributes as they were found; `binary` where the body is the data alone."""

    attributes: Mapping[str, object]
    binary: bool


_attribute_types: dict[str, Any] = {
    "specversion": Literal["1.0"],
    "id": Identity,
    "source": Text,
    "type": Text,
    "time": Time,
}
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
