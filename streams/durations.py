"""Durations as people write them: `90s`, `1.5h`, `1h30m`."""

import re
from typing import Final

UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)


def seconds_of(text: str) -> float:
    """Seconds, more than none; raises ValueError."""
    parts = _PART.findall(text)
    seconds = sum(float(amount) * UNITS[unit] for amount, unit in parts)
    if "".join(amount + unit for amount, unit in parts) != text or not 0 < seconds < 366 * UNITS["d"]:
        raise ValueError(f"found {text[:40]!r}, expected a duration such as 30m, 2h or 1d")
    return seconds
