"""moments.yaml → Catalogue: which moments matter, what good means there, and how much of it was promised.

`parse` is pure and reports every problem at once, each with its line, its key, what was found and what was
expected. Times are in seconds, objectives are shares in (0, 1).
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from fractions import Fraction
from urllib.parse import urlsplit

from streams import catalogue_yaml as located
from streams.catalogue_yaml import Spot, Wrong, label, nearest, number, one_of, whole
from streams.errors import CatalogueError
from streams.sources import Source
from streams.sources_yaml import SEGMENT, read_sources

TIERS = ("game-over", "important", "tolerable")
PHASES = ("before", "during", "after")
NEEDS = ("outcome", "need", "wait", "duration", "promise")
DELIGHT = ("csat", "nps", "ces", "rating", "sentiment", "complaint")
SIGNALS = NEEDS + DELIGHT
TIMED = ("wait", "duration")
DISCOVERED_SIGNALS = tuple(s for s in SIGNALS if s not in TIMED)
"""What a moment that nobody declared is measured by: `within` has no sensible default, the rest has."""
SCALES = {"csat": (1, 5, 4), "nps": (0, 10, 9), "ces": (1, 7, 5)}
SCALES |= {"rating": (1, 5, 4), "sentiment": (-1, 1, 0)}
"""Signal → lowest score, highest score, the score that counts as good where the catalogue does not say."""
OTHER, VOICE = "other", "voice"
SLUG_EXPECTED = "a name of 1 to 64 lower-case letters, digits and -"
MAX_LIMIT = 10_000

HOUR, DAY = 3600, 86_400
MAX_DURATION = 3650 * DAY
UNITS = {"ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "h": Fraction(HOUR)}
UNITS |= {"d": Fraction(DAY), "w": Fraction(7 * DAY)}

_SLUG = re.compile(r"[a-z0-9-]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIMENSION = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_DURATION = re.compile("".join(rf"(?:[0-9]{{1,15}}(?:\.[0-9]{{1,9}})?{u})?" for u in reversed(UNITS)))
_PART = re.compile(r"([0-9.]+)([a-z]+)")
_PERCENT = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?) ?%")


@dataclass(frozen=True, slots=True)
class Signal:
    name: str
    objective: float
    within: float | None  # seconds; wait and duration only
    good: float | None  # the lowest score that is good; scored signals only


@dataclass(frozen=True, slots=True)
class Moment:
    name: str
    title: str
    tier: str
    phase: str | None
    owner: str | None
    runbook: str | None
    signals: dict[str, Signal]


@dataclass(frozen=True, slots=True)
class Dimension:
    """A way to cut customers. With `values` only these, and `limit` is their number; else first come."""

    name: str
    limit: int
    values: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Discovered:
    """How moments are measured that events name and the catalogue lacks; a limit of 0 discovers none."""

    tier: str = "tolerable"
    limit: int = 50
    objective: float = 0.9


@dataclass(frozen=True, slots=True)
class Journey:
    name: str
    route: tuple[str, ...]
    goal: str
    abandon_after: float


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    follow_up_moments: tuple[str, ...]
    within: float
    silent_after: float


@dataclass(frozen=True, slots=True)
class Catalogue:
    name: str
    budget_period: float
    allowed_lateness: float
    dimensions: dict[str, Dimension]
    discovered: Discovered
    moments: dict[str, Moment]
    journeys: dict[str, Journey]
    closed_loop: ClosedLoop | None
    sources: tuple[Source, ...] = ()


def parse(text: str, file: str) -> Catalogue:
    """The catalogue in `text`. Raises CatalogueError with every problem; `file` is for its messages."""
    root, problems = located.read_yaml(text)
    catalogue = _catalogue(Spot(root, located.DOCUMENT, "", root.line, problems)) if root else None
    if problems or catalogue is None:
        raise CatalogueError(file, sorted(problems, key=lambda p: p.line))
    return catalogue


def notes(catalogue: Catalogue) -> list[str]:
    """What is allowed and still worth a look: routes and follow-ups may name moments that are yet to be
    discovered, as in the contract's example, but a slip of the pen looks the same."""
    named = [(f"journeys.{j.name}.route", m) for j in catalogue.journeys.values() for m in j.route]
    if catalogue.closed_loop:
        named += [("closed_loop.follow_up_moments", m) for m in catalogue.closed_loop.follow_up_moments]
    rules = [(f"sources.{s.name}.events.{r.name}.", r) for s in catalogue.sources for r in s.rules]
    named += [
        (at + v.target, str(v.constant))
        for at, r in rules
        for v in r.data
        if v.target == "data.moment" and v.constant
    ]
    known, dimensions = list(catalogue.moments), list(catalogue.dimensions)
    segments = [(at + v.target, v.target.removeprefix(SEGMENT)) for at, r in rules for v in r.segment]
    return [
        f"{key}: {moment} is not declared and counts once it is discovered{nearest(moment, known)}"
        for key, moment in named
        if moment not in catalogue.moments
    ] + [
        f"{key}: {name} is no declared dimension and is ignored{nearest(name, dimensions)}"
        for key, name in segments
        if name not in catalogue.dimensions
    ]


WINDOWS = 7  # 5m 30m 1h 2h 6h 1d 3d
PER_SERIES = 2 + 2 * WINDOWS + WINDOWS + WINDOWS + 1
"""cx_events_total and cx_window_events by result, cx_burn_rate_ratio, cx_burn_rate_low_ratio, the budget."""


def segments(catalogue: Catalogue) -> int:
    """How many segments a moment can have: `all`, each dimension's values and its `other`, two voices."""
    return 1 + sum(d.limit + 1 for d in catalogue.dimensions.values()) + 2


def breakdown(catalogue: Catalogue) -> dict[str, int]:
    """Samples by moment, the discovered ones (with `other`) together, in the order of the catalogue."""

    def of(signals: int) -> int:
        return segments(catalogue) * signals * PER_SERIES + signals + 1

    parts = {name: of(len(moment.signals)) for name, moment in catalogue.moments.items()}
    limit = catalogue.discovered.limit
    parts[f"{OTHER} and up to {limit} discovered"] = (limit + 1) * of(len(DISCOVERED_SIGNALS))
    return parts


def samples(catalogue: Catalogue) -> int:
    """An upper bound of the catalogue's samples on /metrics, all workers together: per (moment, segment,
    signal) 31 (2 cx_events_total, 2 x 7 cx_window_events, 7 cx_burn_rate_ratio, 7 cx_burn_rate_low_ratio,
    1 cx_error_budget_remaining_ratio); per (moment, signal) cx_objective_ratio; per moment cx_moment_info.
    Segments cost their sum, not their product: a series has one dimension at a time (see `segments`).
    Discovered moments are counted at their limit, and `other`, with DISCOVERED_SIGNALS.
    Not in it: scores, NPS, histograms, journeys, moles and a worker's own molehill_* metrics."""
    return sum(breakdown(catalogue).values())


def _catalogue(root: Spot) -> Catalogue:
    f = root.fields(
        ("apiVersion", "kind", "metadata", "moments"),
        ("budget_period", "allowed_lateness", "segments", "discovered", "journeys", "closed_loop", "sources"),
        "a mapping that begins with apiVersion: molehill/v1",
    )
    f.read("apiVersion", one_of(("molehill/v1",)), "")
    f.read("kind", one_of(("Catalogue",)), "")
    discovered = f.read("discovered", _discovered, Discovered())
    moments: dict[str, Moment] = f.read("moments", _moments, {})
    named = f.spots["moments"].node.entries if "moments" in f.spots else ()
    # Where nothing is discovered, only a declared moment can ever be seen. A faulty moment is declared too.
    declared = {key.text for key, _ in named} if discovered.limit == 0 else None
    return Catalogue(
        name=f.read("metadata", lambda at: at.fields(("name",)).read("name", _catalogue_name, ""), ""),
        budget_period=f.read("budget_period", _budget_period, 28.0 * DAY),
        allowed_lateness=f.read("allowed_lateness", duration(0, 31 * DAY), 1.0 * HOUR),
        dimensions=f.read("segments", _dimensions, {}),
        discovered=discovered,
        moments=moments,
        journeys=f.read("journeys", lambda at: _journeys(at, declared), {}),
        closed_loop=f.read("closed_loop", lambda at: _closed_loop(at, declared), None),
        sources=f.read("sources", read_sources, ()),
    )


def _moments(at: Spot) -> dict[str, Moment]:
    if at.node.kind == "mapping" and not at.node.entries:
        raise Wrong("at least one moment", "none")
    moments: dict[str, Moment] = {}
    for spot in at.named("a mapping of moments by name"):
        _check_name(spot, _moment_fault(spot.name))
        moments[spot.name] = _moment(spot)
    return moments


def _moment(at: Spot) -> Moment:
    f = at.fields(("title", "tier", "signals"), ("phase", "owner", "runbook"))
    return Moment(
        name=at.name,
        title=f.read("title", label, ""),
        tier=f.read("tier", one_of(TIERS), TIERS[0]),
        phase=f.read("phase", one_of(PHASES), None),
        owner=f.read("owner", label, None),
        runbook=f.read("runbook", _url, None),
        signals=f.read("signals", _signals, {}),
    )


def _signals(at: Spot) -> dict[str, Signal]:
    if at.node.kind == "mapping" and not at.node.entries:
        raise Wrong(f"at least one of {', '.join(SIGNALS)}", "none")
    spots = at.fields((), SIGNALS).spots
    return {name: _signal(spot) for name, spot in spots.items()}


def _signal(at: Spot) -> Signal:
    timed, scale = at.name in TIMED, SCALES.get(at.name)
    required = ("objective", "within") if timed else ("objective",)
    f = at.fields(required, ("within", "good"), "a mapping such as {objective: 99%}")
    within = f.read("within", duration(), None) if timed else None
    if not timed and "within" in f.spots:
        f.spots["within"].fail(f"no such key: only {' and '.join(TIMED)} are good within a time")
    if scale is None and "good" in f.spots:
        f.spots["good"].fail(f"no such key: only {', '.join(SCALES)} have a score")
    good = None if scale is None else f.read("good", number(scale[0], scale[1]), float(scale[2]))
    return Signal(at.name, f.read("objective", objective, 0.5), within, good)


def _discovered(at: Spot) -> Discovered:
    f = at.fields((), ("tier", "limit", "objective"))
    default = Discovered()
    return Discovered(
        tier=f.read("tier", one_of(TIERS), default.tier),
        limit=f.read("limit", whole(0, MAX_LIMIT), default.limit),
        objective=f.read("objective", objective, default.objective),
    )


def _dimensions(at: Spot) -> dict[str, Dimension]:
    dimensions: dict[str, Dimension] = {}
    for spot in at.named("a mapping of dimensions, such as region: {limit: 20}"):
        if spot.name == VOICE:
            _check_name(spot, f"another name: {VOICE} is reserved for who speaks")
        elif not _DIMENSION.fullmatch(spot.name) or len(spot.name) > located.MAX_TEXT:
            _check_name(spot, "a name of letters, digits and _ that does not begin with a digit")
        dimensions[spot.name] = _dimension(spot)
    return dimensions


def _dimension(at: Spot) -> Dimension:
    f = at.fields((), ("limit", "values"), "a mapping with limit or values")
    if at.node.kind == "mapping" and len(f.spots) != 1:
        at.fail("exactly one of limit and values", "both" if f.spots else "neither")
    values = f.read("values", _values, None)
    limit = f.read("limit", whole(1, MAX_LIMIT), 1)
    return Dimension(at.name, limit if values is None else len(values), values)


def _values(at: Spot) -> tuple[str, ...]:
    spots = at.listed("a list of the values, at least one")
    if len(spots) > MAX_LIMIT:
        raise Wrong(f"at most {MAX_LIMIT} values", f"{len(spots)}")
    return _unique(spots, label)


def _journeys(at: Spot, declared: Collection[str] | None) -> dict[str, Journey]:
    journeys: dict[str, Journey] = {}
    for spot in at.named("a mapping of journeys by name"):
        _check_name(spot, "" if _SLUG.fullmatch(spot.name) else SLUG_EXPECTED)
        f = spot.fields(("route", "goal", "abandon_after"))
        route: tuple[str, ...] = f.read("route", lambda r: _route(r, declared), ())
        goal = f.read("goal", label, "")
        if goal and route and goal not in route:
            f.spots["goal"].fail(f"a moment of the route{nearest(goal, route)}")
        journeys[spot.name] = Journey(spot.name, route, goal, f.read("abandon_after", duration(), 1.0))
    return journeys


def _closed_loop(at: Spot, declared: Collection[str] | None) -> ClosedLoop:
    f = at.fields(("follow_up_moments", "within", "silent_after"))
    follow_ups: tuple[str, ...] = f.read("follow_up_moments", lambda r: _route(r, declared), ())
    return ClosedLoop(follow_ups, f.read("within", duration(), 1.0), f.read("silent_after", duration(), 1.0))


def _route(at: Spot, declared: Collection[str] | None) -> tuple[str, ...]:
    def moment(spot: Spot) -> str:
        name = label(spot)
        if fault := _moment_fault(name):
            raise Wrong(fault)
        if declared is not None and name not in declared:
            raise Wrong(f"a declared moment, as discovered.limit is 0{nearest(name, list(declared))}")
        return name

    return _unique(at.listed("a list of moments, at least one"), moment)


def _unique(spots: list[Spot], reader: Callable[[Spot], str]) -> tuple[str, ...]:
    seen: dict[str, int] = {}
    for spot in spots:
        value = spot.read(reader, "")
        if value in seen:
            spot.fail(f"each one once (first on line {seen[value]})")
        elif value:
            seen[value] = spot.line
    return tuple(seen)


def _moment_fault(name: str) -> str:
    if name == OTHER:
        return f"another name: {OTHER} is reserved for moments past the limit"
    return "" if _SLUG.fullmatch(name) else SLUG_EXPECTED


def _check_name(at: Spot, fault: str) -> None:
    if fault:
        at.fail(fault, f"the name {at.name[:64]!r}")


def _catalogue_name(at: Spot) -> str:
    name = label(at)
    if not _NAME.fullmatch(name):
        raise Wrong("a name of 1 to 64 letters, digits, ., _ and -")
    return name


def _url(at: Spot) -> str:
    url = label(at)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", url):
        raise Wrong("a URL that begins with http:// or https://")
    return url


def _budget_period(at: Spot) -> float:
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
