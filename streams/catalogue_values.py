"""What one value of a catalogue may be: durations, objectives, names, URLs. Each reader raises Wrong."""

import re
from collections.abc import Callable
from fractions import Fraction
from urllib.parse import urlsplit

from streams import durations
from streams.yaml_readers import Spot, Wrong, label

HOUR, DAY = 3600, 86_400
MAX_DURATION = 3650 * DAY
UNITS = {"ms": Fraction(1, 1000)} | {unit: Fraction(seconds) for unit, seconds in durations.UNITS.items()}

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DURATION = re.compile("".join(rf"(?:[0-9]{{1,15}}(?:\.[0-9]{{1,9}})?{u})?" for u in reversed(UNITS)))
_PART = re.compile(r"([0-9.]+)([a-z]+)")
_PERCENT = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?) ?%")


def catalogue_name(at: Spot) -> str:
    """A catalogue's name."""
    name = label(at)
    if not _NAME.fullmatch(name):
        raise Wrong("a name of 1 to 64 letters, digits, ., _ and -")
    return name


def url(at: Spot) -> str:
    """An address of the web."""
    text = label(at)
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", text):
        raise Wrong("a URL that begins with http:// or https://")
    return text


def budget_period(at: Spot) -> float:
    """Seconds, whole hours of them."""
    seconds = duration(3 * DAY, 366 * DAY)(at)
    if seconds % HOUR:
        raise Wrong("a whole number of hours, such as 28d or 84h")
    return seconds


def duration(low: int | None = None, high: int = MAX_DURATION) -> Callable[[Spot], float]:
    """Seconds from `30s`, `1.5h`, `1h30m` (ms s m h d w). Without `low`, anything above nothing."""

    def reader(at: Spot) -> float:
        value = at.node.text
        if at.node.kind == "number" or (at.node.kind == "text" and re.fullmatch(r"[0-9.]+", value)):
            raise Wrong("a duration with its unit, such as 30s, 5m, 24h or 28d", f"{value[:64]} (no unit)")
        if at.node.kind != "text" or not value or not _DURATION.fullmatch(value):
            raise Wrong("a duration such as 30s, 5m, 24h or 28d")
        seconds = sum((Fraction(amount) * UNITS[unit] for amount, unit in _PART.findall(value)), Fraction())
        if seconds > high or (seconds <= 0 if low is None else seconds < low):
            least = "more than 0s" if low is None else f"at least {low // DAY}d" if low else "at least 0s"
            raise Wrong(f"a duration of {least} and at most {high // DAY}d")
        return float(seconds)

    return reader


def objective(at: Spot) -> float:
    """A share in (0, 1) from a percent string: a bare 0.5 could be half or half a percent."""
    value = at.node.text
    if at.node.kind == "number":
        raise Wrong("a percent sign as well, such as 99.5%", f"{value[:64]} (no %)")
    match = _PERCENT.fullmatch(value) if at.node.kind == "text" else None
    if match is None:
        raise Wrong("a percent such as 99.5%")
    share = float(match[1] + "e-2")
    if share > 1:
        raise Wrong("less than 100%, such as 99.5%")
    if share == 1:
        raise Wrong("less than 100%, such as 99.9%: perfection leaves no error budget (Perfection is a myth)")
    if share <= 0:
        raise Wrong("more than 0%, such as 99.5%")
    return share
