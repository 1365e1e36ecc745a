"""A source's records into the bytes of CloudEvents, which the ordinary reader then judges like any others.

`Mapper` is compiled once: every place, table and format becomes a closure. It makes bytes and not typed events so
that there is one place that says what an event may be; packing and reading again costs less than a microsecond.
What it refuses says where in the event and from which place, and never the value, which may be a customer's.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import orjson

from streams import names
from streams.conversions import conversion, maybe_number
from streams.events import Rejection
from streams.sources import Condition, Place, Rule, Source, Value, as_text

MAX_BODY: Final = 1024 * 1024  # bytes; a record may hold far more than its event, which keeps the contract's limit
FRAME: Final = 5  # bytes before the JSON that schema registries' serialisers write: a zero and the schema's number


class Record(Protocol):
    """What a Kafka client gives for a record; `timestamp` in milliseconds."""

    offset: int
    value: bytes | None
    key: bytes | None
    timestamp: int
    timestamp_type: int
    headers: Sequence[tuple[str, bytes | None]]


class Mapped:
    """An event that a record became, with what a Tally asks of a record."""

    __slots__ = ("key", "offset", "record", "timestamp", "timestamp_type", "value")
    headers: Sequence[tuple[str, bytes | None]] = ()

    def __init__(self, record: Record, value: bytes) -> None:
        self.record = record
        self.value: bytes | None = value
        self.key = record.key
        self.offset = record.offset
        self.timestamp = record.timestamp
        self.timestamp_type = record.timestamp_type


Get = Callable[[Any, Record], Any]  # (body, record) → a value, None where it is absent


class Mapper:
    """The records of one topic-partition of a source."""

    def __init__(self, source: Source, partition: int) -> None:
        self.source = source
        self._at = f"{source.topic}:{partition}:"
        self._rules = [(self._tests(rule), self._maker(rule)) for rule in source.rules]

    def event(self, record: Record) -> bytes | None:
        """The CloudEvent of a record; None where the record is none. Raises Rejection."""
        value = record.value
        if value is None:
            if self.source.skips:
                return None
            raise Rejection(names.BAD_ENVELOPE, "$: expected JSON, found a null value")
        if len(value) > MAX_BODY:
            raise Rejection(names.TOO_LARGE, f"$: expected at most {MAX_BODY} bytes, found {len(value)}")
        try:
            body = orjson.loads(value[FRAME:] if value[:1] == b"\0" else value)
        except orjson.JSONDecodeError as e:
            raise Rejection(names.BAD_JSON, f"$: expected JSON in UTF-8: {e}") from None
        for tests, make in self._rules:
            for test in tests:
                if not test(body, record):
                    break
            else:
                return make(body, record)
        if self.source.skips:
            return None
        expected = ", ".join(rule.name for rule in self.source.rules)
        raise Rejection(
            names.UNKNOWN_TYPE, f"$: none of the events of source {self.source.name} is for it ({expected})"
        )

    def run(self, records: Sequence[Record]) -> tuple[list[Mapped], list[tuple[Record, Rejection]]]:
        """(the events, the records that were refused), each in their order."""
        mapped: list[Mapped] = []
        refused: list[tuple[Record, Rejection]] = []
        for record in records:
            try:
                event = self.event(record)
            except Rejection as e:
                refused.append((record, e))
            else:
                if event is not None:
                    mapped.append(Mapped(record, event))
        return mapped, refused

    def _tests(self, rule: Rule) -> list[Callable[[Any, Record], bool]]:
        return [_test(condition, self._get(condition.place)) for condition in rule.when]

    def _maker(self, rule: Rule) -> Callable[[Any, Record], bytes]:
        kind, source = rule.type, rule.source
        identity, time = self._read(rule.id), self._read(rule.time)
        fixed: dict[str, Any] = {_name(v): v.constant for v in rule.data if v.constant is not None}
        fields = [(_name(v), self._read(v)) for v in rule.data if v.constant is None]
        segment = [(_name(v), self._read(v)) for v in rule.segment]

        def make(body: Any, record: Record) -> bytes:
            event = {
                "specversion": "1.0",
                "id": identity(body, record),
                "source": source,
                "type": kind,
                "time": time(body, record),
                "data": (data := fixed.copy()),
            }
            for name, get in fields:
                if (found := get(body, record)) is not None:
                    data[name] = found
            if segment:
                data["segment"] = {n: x for n, get in segment if (x := get(body, record)) is not None}
            return orjson.dumps(event)

        return make

    def _read(self, value: Value) -> Get:
        """A closure that gives one value as the event wants it. It raises a Rejection for what it cannot be."""
        reason = names.BAD_FIELD if value.target.startswith("data.") else names.BAD_ENVELOPE
        if value.constant is not None:
            constant = value.constant
            return lambda body, record: constant
        if value.parts:
            parts = [self._read(part) for part in value.parts]
            return lambda body, record: ":".join([as_text(part(body, record)) or "" for part in parts])
        where = " or ".join(place.text for place in value.places)
        get = self._first([self._get(place) for place in value.places])
        convert, expected = conversion(value)
        default, required = value.default, value.required

        def read(body: Any, record: Record) -> Any:
            found = get(body, record)
            if found is None:
                if default is None and required:
                    raise Rejection(reason, f"{value.target}: expected {expected} at {where}, found nothing")
                return default
            try:
                return convert(found)
            except (ValueError, OverflowError):
                raise Rejection(reason, f"{value.target}: expected {expected} at {where}") from None

        return read

    @staticmethod
    def _first(gets: list[Get]) -> Get:
        if len(gets) == 1:
            return gets[0]

        def first(body: Any, record: Record) -> Any:
            for get in gets:
                if (found := get(body, record)) is not None:
                    return found
            return None

        return first

    def _get(self, place: Place) -> Get:
        if place.root == "position":
            at = self._at
            return lambda body, record: f"{at}{record.offset}"
        if place.root == "timestamp":
            return lambda body, record: record.timestamp if record.timestamp >= 0 else None
        if place.root == "key":
            return lambda body, record: _utf8(record.key)
        if place.root == "headers":
            name = place.steps[0]
            return lambda body, record: next((_utf8(v) for k, v in record.headers if k == name), None)
        return _inside(place.steps)


def _name(value: Value) -> str:
    return value.target.rpartition(".")[2] if not value.target.startswith("data.segment.") else value.target[13:]


def _utf8(found: bytes | None) -> str | None:
    return None if found is None else found.decode("utf-8", "replace")


def _inside(steps: Sequence[str | int]) -> Get:
    """What is at these steps in a body."""
    if len(steps) == 1 and isinstance(first := steps[0], str):
        return lambda body, record: body.get(first) if type(body) is dict else None

    typed: list[tuple[type, Any]] = [(dict if isinstance(step, str) else list, step) for step in steps]

    def get(body: Any, record: Record) -> Any:
        found = body
        for kind, step in typed:
            if not isinstance(found, kind):
                return None
            try:
                found = found[step]  # type: ignore[index]
            except (KeyError, IndexError):
                return None
        return found

    return get


def _test(condition: Condition, get: Get) -> Callable[[Any, Record], bool]:
    values, bound = frozenset(condition.values), condition.bound
    if condition.test == "is":
        return lambda body, record: as_text(get(body, record)) in values
    if condition.test == "not":
        return lambda body, record: as_text(get(body, record)) not in values
    if condition.test == "exists":
        wanted = "true" in values
        return lambda body, record: (get(body, record) is not None) is wanted
    if condition.test == "at_least":
        return lambda body, record: (x := maybe_number(get(body, record))) is not None and x >= bound
    return lambda body, record: (x := maybe_number(get(body, record))) is not None and x < bound
