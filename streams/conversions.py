"""What a mapped value is made of what was found in a record: text, numbers, truth and times.

A conversion raises ValueError or OverflowError for what it cannot take, and guesses as little as it can: upstream
systems write numbers as text and ids as numbers, and both are clear; a blank or a 2 is no boolean.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from streams.events import EPOCH, YEAR_10000
from streams.sources import TIME_FORMATS, Constant, Value, as_text


def conversion(value: Value) -> tuple[Callable[[Any], Any], str]:
    """(what makes the event's value of what was found, or raises ValueError; what it expects, in words)."""
    if value.table is not None:
        return _mapped(value.table, value.default), f"one of the {len(value.table)} values of its map"
    if value.kind == "time":
        return _time(value.form, value.zone), value.form if value.form != "rfc3339" else "a time (RFC 3339)"
    if value.kind == "number":
        return _scaled(value.divisor, value.factor), "a number"
    if value.kind == "boolean":
        return _truth, "true or false"
    return (_slug, "text with a letter or digit") if value.slug else (_text, "text or a whole number")


def _mapped(table: Mapping[str, Constant], default: Constant | None) -> Callable[[Any], Any]:
    def convert(found: Any) -> Any:
        text = as_text(found)
        out = default if text is None else table.get(text, default)
        if out is None:
            raise ValueError
        return out

    return convert


def _text(found: Any) -> str:
    """A number with a fraction is refused: beyond 64 bits a whole one would have lost digits on its way."""
    if type(found) is str:
        return found
    text = None if type(found) is float else as_text(found)
    if text is None:
        raise ValueError
    return text


def _slug(found: Any) -> str:
    slug = re.sub("[^a-z0-9]+", "-", _text(found).lower())[:64].strip("-")
    if not slug:
        raise ValueError
    return slug


def _truth(found: Any) -> bool:
    text = as_text(found)
    if text in ("true", "True", "1"):
        return True
    if text in ("false", "False", "0"):
        return False
    raise ValueError


_NUMBER: Final = re.compile(r"\s*[+-]?[0-9]{1,18}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})?\s*", re.ASCII)


def _number(found: Any) -> float:
    if type(found) is int or type(found) is float:
        return found
    if type(found) is str and _NUMBER.fullmatch(found):
        return float(found)
    raise ValueError


def maybe_number(found: Any) -> float | None:
    """A number, or text that is one."""
    try:
        return _number(found)
    except ValueError:
        return None


def _scaled(divisor: float, factor: float) -> Callable[[Any], float]:
    if divisor != 1:
        return lambda found: _number(found) / divisor
    if factor != 1:
        return lambda found: _number(found) * factor
    return _number


def _time(form: str, zone: str) -> Callable[[Any], Any]:
    """Times without an offset are those of `zone`; of an hour that the clocks repeat, the first."""
    tz = ZoneInfo(zone) if zone else None
    if form in TIME_FORMATS and (unit := TIME_FORMATS[form]):
        return lambda found: _since_epoch(found, unit)
    if form == "rfc3339":
        return _text if tz is None else lambda found: _in_zone(dt.datetime.fromisoformat(_text(found)), tz)
    return lambda found: _in_zone(dt.datetime.strptime(_text(found), form), tz)


def _since_epoch(found: Any, unit: int) -> dt.datetime:
    if type(found) is int:
        micros = found * unit
    elif type(found) is str and _NUMBER.fullmatch(found):
        micros = round(Decimal(found.strip()) * unit)
    elif type(found) is float:
        micros = round(found * unit)
    else:
        raise ValueError
    if not 0 <= micros < YEAR_10000:
        raise ValueError
    return EPOCH + dt.timedelta(microseconds=micros)


def _in_zone(found: dt.datetime, tz: dt.tzinfo | None) -> dt.datetime:
    """In UTC, as what is before 1970 or past 9999 there is no event's time."""
    if found.tzinfo is None:
        if tz is None:
            raise ValueError
        found = found.replace(tzinfo=tz)
    return found.astimezone(dt.UTC)
