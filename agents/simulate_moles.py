"""The harm that the simulated shop has come to, past and coming: the truth that molehill is to find."""

import datetime as dt
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Mole:
    """The truth about one harm: `share` of the events that start in it go wrong in the way of `signal`."""

    moment: str
    segment: tuple[str, str] | None  # (dimension, value); None: everyone
    signal: str  # outcome, need, wait, duration or promise
    start: dt.datetime
    end: dt.datetime
    share: float
    what: str


# (start and end in minutes from now, moment, segment, signal, share, what)
Script = tuple[float, float, str, tuple[str, str] | None, str, float, str]
NORTH_PAYMENT = ("checkout-payment", ("region", "north"), "outcome", 0.85, "card-gateway-timeout")
PAST: tuple[Script, ...] = (
    (-66 * 60, -65 * 60 - 20, *NORTH_PAYMENT),
    (-52 * 60, -47 * 60, "delivery", ("region", "islands"), "promise", 0.7, "ferry-cancelled"),
    (-43 * 60, -41 * 60, "support-call", None, "wait", 0.9, "half the agents were ill"),
    (-29 * 60, -27.5 * 60, "search-browse", None, "need", 0.6, "search-index-empty"),
    (-19 * 60, -18 * 60 - 20, *NORTH_PAYMENT),  # it comes back
    (-9 * 60, -7 * 60, "order-confirmation", ("plan", "pro"), "outcome", 0.8, "mail-template"),
    (-4 * 60, -3 * 60, "dispatch", ("region", "east"), "promise", 0.8, "conveyor-belt"),
)
# From now on these come again and again: whoever watches sees one pop within the first minute or two.
CYCLE_MINUTES = 20.0
COMING: tuple[Script, ...] = (
    (0.1, 6, *NORTH_PAYMENT),
    (2.5, 8, "support-call", None, "wait", 0.9, "half the agents were ill"),
    (9, 14, "search-browse", ("plan", "pro"), "need", 0.7, "search-index-empty"),
    (12, 17, "order-confirmation", None, "duration", 0.6, "mail-queue"),
)
COMING_CYCLES = 72  # a day of them


class Moles:
    """All of them, around `now`: where history ends and the present begins."""

    def __init__(self, now: dt.datetime) -> None:
        scripts = [*PAST]
        for cycle in range(COMING_CYCLES):
            shift = cycle * CYCLE_MINUTES
            scripts += [(start + shift, end + shift, *rest) for start, end, *rest in COMING]  # type: ignore[misc]
        moles = [
            Mole(moment, segment, signal, _after(now, start), _after(now, end), share, what)
            for start, end, moment, segment, signal, share, what in scripts
        ]
        self.by_start = tuple(sorted(moles, key=lambda mole: (mole.start, mole.moment)))
        self._by_moment: dict[str, list[tuple[float, float, Mole]]] = {}
        for mole in moles:
            span = (mole.start.timestamp(), mole.end.timestamp(), mole)
            self._by_moment.setdefault(mole.moment, []).append(span)

    def harm(self, moment: str, at: float, region: str, plan: str, rng: Random) -> Mole | None:
        """The mole that spoils this event (`at` in seconds since 1970), if one does."""
        for start, end, mole in self._by_moment.get(moment, ()):
            if (
                start <= at < end
                and (mole.segment is None or mole.segment[1] in (region, plan))
                and rng.random() < mole.share
            ):
                return mole
        return None


def _after(now: dt.datetime, minutes: float) -> dt.datetime:
    return now + dt.timedelta(minutes=minutes)
