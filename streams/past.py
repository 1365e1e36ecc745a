"""The pasts of a group's series as the rows of one array: a midnight learns them all at once.

A fold over numpy: what a row means is in `baseline` and `silence`. Rows travel in a dump as their bytes.
"""

from typing import Any, Final

import numpy as np

from streams.series import HOURS

DAYS: Final = 28
"""Four weeks, each of which has every kind of day in it."""

Rows = np.ndarray[Any, np.dtype[np.void]]

PAST: Final = np.dtype(
    [
        # The bad share: faded sums by hour of the day, of the hours that no case covers
        ("n", "f8", HOURS),
        ("b", "f8", HOURS),
        ("ratio_b", "f8"),  # bad events, and those that the moment's own profile would have made of it
        ("ratio_e", "f8"),
        ("spread_n", "f8"),  # day-to-day variation, squared: numerator and denominator
        ("spread_d", "f8"),
        ("cv", "f8"),  # day-to-day variation
        ("doubt", "f8"),  # variance of the estimate of the bad share, as a share of its square
        ("expect", "f8", HOURS),  # the bad share of each hour (UTC) of the running day
        # By the day, newest first, but for what a case covers; and what is older, faded (see `weeks`)
        ("day_n", "f4", DAYS),
        ("day_b", "f4", DAYS),
        ("old_n", "f8"),
        ("old_b", "f8"),
        # Volume
        ("volume", "f8"),  # faded events
        ("days", "f8"),  # faded days
        ("hours", "f8", HOURS),  # faded events by hour of the day, of the days that were not silent
        ("rate", "f8", HOURS),  # `hours` by `days`
        ("change_n", "f8"),  # as `spread`, of a day's volume
        ("change_d", "f8"),
        ("least", "f8"),  # the share of the mean that an ordinary quiet day has …
        ("most", "f8"),  # … and an ordinary busy one
        ("wide", "?"),  # has a past of its own: `all` and the voices
    ]
)


def rows(n: int) -> Rows:
    """Rows without a past."""
    return np.zeros(n, PAST)


def packed(value: Any) -> bytes:
    """msgspec's hook for rows."""
    if isinstance(value, np.ndarray):
        return value.tobytes()
    raise NotImplementedError(f"{type(value)} is no state")


def unpacked(_: type, value: Any) -> Rows:
    """The other way."""
    return np.frombuffer(value, PAST).copy()
