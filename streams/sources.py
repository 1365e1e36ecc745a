"""The `sources:` of a catalogue: how the records of a topic that is there already become events.

A source reads one topic. Its `events` are tried in their order: the first one whose `when` holds makes the event, so
a record is one event or none, and received = accepted + duplicate + rejected stays true. A value is a constant
(`ok`), a place (`$.customer.id`), or a mapping `{from: place, …}`; a list of values is joined with `:` to one text.

    sources:
      orders:
        topic: shop.orders
        otherwise: skip                          # records that no event is for: skip, or (the default) reject
        events:
          paid:
            type: cx.touchpoint
            when: {$.status: [PAID, DECLINED], $.test: {not: true}}
            id: [$.order.id, $.attempt]          # without it the record's topic:partition:offset
            time: {from: $.at, format: epoch_ms}
            data:
              moment: checkout-payment
              customer: $.customer.id
              outcome: {from: $.status, map: {PAID: ok}, default: failed}
              wait_s: {from: $.wait_ms, scale: 0.001}
              segment: {region: {from: [$.ship_to.country, $.country], default: unknown}}

Places: `$.a.b[0]['a key']` in the body, `$key`, `$headers.name`, `$timestamp` (the record's, milliseconds),
`$position` (topic:partition:offset). What a field may be is asked of the events' own structs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_type_hints

import msgspec

from streams.events import BY_TYPE, Identity, Rejection, Touchpoint, check_moment

Constant = str | float | bool
Steps = tuple[str | int, ...]

TIME_FORMATS: Final = {"rfc3339": 0, "epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
"""Name → microseconds of one unit; another format is strptime's, and has a %."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value is: `root` is body, key, headers, timestamp or position."""

    text: str  # as it was written
    root: str
    steps: Steps = ()


@dataclass(frozen=True, slots=True)
class Value:
    """How one value is had; what is absent everywhere and has no default is left out, or refused if required.

    `kind`: text, number, boolean or time. `unit` and `zone` are a time's, `divisor` and `factor` a number's.
    """

    target: str  # the path in the event
    kind: str
    required: bool
    constant: Constant | None = None
    places: tuple[Place, ...] = ()
    parts: tuple["Value", ...] = ()
    table: Mapping[str, Constant] | None = None
    default: Constant | None = None
    form: str = ""
    zone: str = ""
    divisor: float = 1.0
    factor: float = 1.0
    slug: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """`test` is is, not, exists, at_least or below."""

    place: Place
    test: str
    values: tuple[str, ...] = ()
    bound: float = 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of event that a source gives."""

    name: str
    type: str
    when: tuple[Condition, ...]
    id: Value
    source: str
    time: Value
    data: tuple[Value, ...]
    segment: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A topic whose records are mapped."""

    name: str
    topic: str
    skips: bool  # what no rule is for is no event; otherwise it is refused
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """What a field of an event may be."""

    path: str
    annotation: Any
    required: bool

    @property
    def kind(self) -> str:
        """text, number, boolean or time."""
        return _KINDS[type(_some(self.annotation))]

    @property
    def expected(self) -> str:
        """The same in words, for messages."""
        if isinstance(found := _some(self.annotation), msgspec.inspect.LiteralType):
            return " or ".join(map(str, found.values))
        if self.path == "data.moment" or (isinstance(found, msgspec.inspect.StrType) and found.pattern):
            return "a name of 1 to 64 lower-case letters, digits and -"
        return {"text": "text", "number": "a number", "boolean": "true or false", "time": "a time"}[self.kind]

    def holds(self, value: Constant) -> bool:
        """Whether an event may hold this."""
        try:
            msgspec.convert(value, self.annotation)
            if self.path == "data.moment":
                check_moment(str(value))
        except (msgspec.ValidationError, Rejection):
            return False
        return True


_KINDS: Final[Mapping[type, str]] = {
    msgspec.inspect.StrType: "text",
    msgspec.inspect.LiteralType: "text",
    msgspec.inspect.FloatType: "number",
    msgspec.inspect.BoolType: "boolean",
    msgspec.inspect.DateTimeType: "time",
}


def _some(annotation: Any) -> Any:
    """The type of a value that is there."""
    found: Any = msgspec.inspect.type_info(annotation)
    if isinstance(found, msgspec.inspect.UnionType):
        (found,) = (t for t in found.types if not isinstance(t, msgspec.inspect.NoneType))
    return found.type if isinstance(found, msgspec.inspect.Metadata) else found


def _fields_of(kind: str) -> dict[str, Field]:
    """The fields of the data of a type of event, without the segment."""
    struct = BY_TYPE[kind].__annotations__["data"]
    hints = get_type_hints(struct, include_extras=True)
    return {
        f.name: Field(f"data.{f.name}", hints[f.name], f.required)
        for f in msgspec.structs.fields(struct)
        if f.name != "segment"
    }


FIELDS: Final = {kind: _fields_of(kind) for kind in BY_TYPE}
ID: Final = Field("id", Identity, required=True)
TIME: Final = Field("time", Touchpoint.__annotations__["time"], required=True)


def as_text(found: object) -> str | None:
    """How a value of JSON is compared with what a catalogue says: 5 and 5.0 are "5", true is "true"."""
    kind = type(found)
    if kind is str:
        return found  # type: ignore[return-value]
    if kind is int:
        return str(found)
    if found is True or found is False:
        return "true" if found else "false"
    return (str(int(found)) if found.is_integer() else str(found)) if isinstance(found, float) else None
