"""What one value of a source may be: a constant, a place of the record, or how what is there is converted."""

import datetime as dt
import re
from dataclasses import replace
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from streams.sources import TIME_FORMATS, Constant, Field, Place, Value
from streams.yaml_readers import Spot, Wrong, label, nearest, one_of

NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")
OPTIONS: Final = {  # kind of value → what may stand beside `from`
    "text": ("map", "default", "as"),
    "number": ("map", "default", "scale"),
    "boolean": ("map", "default"),
    "time": ("format", "zone"),
}
PLACE_EXPECTED: Final = (
    "a place such as $.order.id, $.items[0]['a key'], $key, $headers.name, $timestamp or $position"
)
_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\['([^']+)'\]|\[(-?[0-9]{1,6})\]")
_ROOT = re.compile(
    r"\$(?:(key|timestamp|position)|headers\.(.+)|((?:\.[A-Za-z_][\w-]*|\['[^']+'\]|\[-?[0-9]{1,6}\])+))"
)


def value(at: Spot, field: Field) -> Value:
    """A constant, a place, `{from: …}`, `{const: …}`, or a list that is joined."""
    base = Value(field.path, field.kind, field.required)
    if at.node.kind == "list":
        if field.kind != "text":
            raise Wrong(f"one value: only text is joined from a list, and this is {field.expected}")
        return replace(base, parts=tuple(_part(s, field) for s in at.listed("a list of values")))
    if at.node.kind == "text" and at.node.text.startswith("$"):
        return replace(base, places=(found := (_place(at),)), form=_default_form(field, found))
    if at.node.kind != "mapping":
        return replace(base, constant=_constant(at, field))
    if any(key.text == "const" for key, _ in at.node.entries):
        nothing: Constant = ""
        return replace(base, constant=at.fields(("const",)).read("const", lambda s: _constant(s, field), nothing))
    f = at.fields(("from",), OPTIONS[field.kind])
    places: tuple[Place, ...] = f.read("from", _places, ())
    base = replace(base, places=places)
    if field.kind == "time":
        form = f.read("format", _format, _default_form(field, places))
        zone = f.read("zone", _zone, "")
        if "zone" not in f.spots or zone:
            _check_zone(at, form, zone)
        return replace(base, form=form, zone=zone)
    default: Constant | None = None
    table: dict[str, Constant] = {}
    divisor, factor = f.read("scale", _scale, (1.0, 1.0))
    return replace(
        base,
        table=f.read("map", lambda s: _table(s, field), table) if "map" in f.spots else None,
        default=f.read("default", lambda s: _constant(s, field), default),
        divisor=divisor,
        factor=factor,
        slug=f.read("as", one_of(("slug",)), "") == "slug",
    )


def _part(at: Spot, field: Field) -> Value:
    """One part of a joined text; it must be there, as the text would be another one without it."""
    if at.node.kind == "list":
        raise Wrong("no list within a list")
    return value(at, Field(field.path, str, required=True))


def _constant(at: Spot, field: Field) -> Constant:
    if field.kind == "time":
        raise Wrong(f"a time of the record: {PLACE_EXPECTED}")
    found = scalar(at)
    if not field.holds(found):
        raise Wrong(field.expected + (", in quotes" if field.kind == "text" and not isinstance(found, str) else ""))
    return found


def scalar(at: Spot) -> Constant:
    """Text, a number, true or false."""
    text = at.node.text
    if at.node.kind == "number" and NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    if at.node.kind == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if at.node.kind == "text" and text:
        return text
    raise Wrong("text, a number, true or false; text that YAML takes for something else in quotes")


def _place(at: Spot) -> Place:
    found = place_of(at.node.text) if at.node.kind == "text" else None
    if found is None:
        raise Wrong(PLACE_EXPECTED)
    return found


def place_of(text: str) -> Place | None:
    """`$.a.b`, `$key` and the like; None for what is no place."""
    match = _ROOT.fullmatch(text)
    if match is None:
        return None
    word, header, body = match[1], match[2], match[3]
    if body is None:
        return Place(match[0], word or "headers", (header,) if header else ())
    steps = tuple(int(i) if i else name or quoted for name, quoted, i in _STEP.findall(body))
    return Place(match[0], "body", steps)


def _places(at: Spot) -> tuple[Place, ...]:
    if at.node.kind != "list":
        return (_place(at),)
    return tuple(_place(s) for s in at.listed("a place, or a list of places of which the first that is there counts"))


def _default_form(field: Field, places: tuple[Place, ...]) -> str:
    if field.kind != "time":
        return ""
    return "epoch_ms" if places and all(p.root == "timestamp" for p in places) else "rfc3339"


def _check_zone(at: Spot, form: str, zone: str) -> None:
    offset = re.search("%z", form.replace("%%", ""))
    if "%" in form and not zone and not offset:
        at.fail("a zone as well, such as zone: Europe/Berlin or zone: UTC, as the format has no %z")
    if zone and (offset or form.startswith("epoch")):
        at.fail(f"no zone: {form} has its own")


def _format(at: Spot) -> str:
    text = at.node.text
    if at.node.kind != "text" or (text not in TIME_FORMATS and "%" not in text):
        hint = nearest(text, tuple(TIME_FORMATS))
        raise Wrong(f"{', '.join(TIME_FORMATS)}, or strptime's codes such as %d.%m.%Y %H:%M:%S{hint}")
    if "%" in text:
        day = dt.datetime(2021, 11, 23, 14, 5, 6, tzinfo=dt.UTC)
        try:
            again = dt.datetime.strptime(day.strftime(text), text)
        except (ValueError, re.error):
            raise Wrong("strptime's codes, such as %d.%m.%Y %H:%M:%S") from None
        if again.date() != day.date():
            raise Wrong("a format with year, month and day: without them an event would be from 1900")
    return text


def _zone(at: Spot) -> str:
    name = label(at)
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError; a directory is an OSError
        raise Wrong("a time zone of the IANA database, such as Europe/Berlin or UTC") from None
    return name


def _scale(at: Spot) -> tuple[float, float]:
    """(divisor, factor): 0.001 is no double, a division by 1000 is as exact as can be."""
    found = scalar(at)
    if not isinstance(found, int | float) or isinstance(found, bool) or found <= 0:
        raise Wrong("a number above 0, such as 0.001 for milliseconds")
    inverse = round(1 / found)
    return (float(inverse), 1.0) if inverse > 1 and 1 / inverse == found else (1.0, float(found))


def _table(at: Spot, field: Field) -> dict[str, Constant]:
    out: dict[str, Constant] = {}
    nothing: Constant = ""
    for key, spot in at.entries("a mapping from what is found to what it means, such as {PAID: ok}"):
        if key.kind == "boolean" and key.text.lower() not in ("true", "false"):
            at.fail(f'a key in quotes, "{key.text}"', key.found(), key.line, spot.key)
        elif key.kind in ("text", "number", "boolean", "date"):
            text = key.text.lower() if key.kind == "boolean" else key.text
            out[text] = spot.read(partial(_constant, field=field), nothing)
        else:
            at.fail("text, a number, true or false as a key", key.found(), key.line, spot.key)
    return out
