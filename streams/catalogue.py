"""moments.yaml → Catalogue: which moments matter, what good means there, and how much of it was promised.

`parse` is pure and reports every problem at once, each with its line, its key, what was found and what was
expected. Times are in seconds, objectives are shares in (0, 1).
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from streams.catalogue_values import DAY, HOUR, budget_period, catalogue_name, duration, objective, url
from streams.errors import CatalogueError
from streams.events import SCALES
from streams.sources import Source
from streams.sources_yaml import SEGMENT, read_sources
from streams.yaml_readers import MAX_TEXT, Spot, Wrong, label, nearest, number, one_of, whole
from streams.yaml_tree import DOCUMENT, read_yaml

TIERS = ("game-over", "important", "tolerable")
PHASES = ("before", "during", "after")
NEEDS = ("outcome", "need", "wait", "duration", "promise")
DELIGHT = ("csat", "nps", "ces", "rating", "sentiment", "complaint")
SIGNALS = NEEDS + DELIGHT
TIMED = ("wait", "duration")
DISCOVERED_SIGNALS = tuple(s for s in SIGNALS if s not in TIMED)
"""What a moment that nobody declared is measured by: `within` has no sensible default, the rest has."""
SCORED = tuple(SCALES)
DEFAULT_GOOD = {"csat": 4.0, "nps": 9.0, "ces": 5.0, "rating": 4.0, "sentiment": 0.0}
"""Signal → the lowest score that counts as good where the catalogue does not say."""
OTHER, VOICE = "other", "voice"
SLUG_EXPECTED = "a name of 1 to 64 lower-case letters, digits and -"
MAX_LIMIT = 10_000

_SLUG = re.compile(r"[a-z0-9-]{1,64}")
_DIMENSION = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


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
    root, problems = read_yaml(text)
    catalogue = _catalogue(Spot(root, DOCUMENT, "", root.line, problems)) if root else None
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
        name=f.read("metadata", lambda at: at.fields(("name",)).read("name", catalogue_name, ""), ""),
        budget_period=f.read("budget_period", budget_period, 28.0 * DAY),
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
        runbook=f.read("runbook", url, None),
        signals=f.read("signals", _signals, {}),
    )


def _signals(at: Spot) -> dict[str, Signal]:
    if at.node.kind == "mapping" and not at.node.entries:
        raise Wrong(f"at least one of {', '.join(SIGNALS)}", "none")
    spots = at.fields((), SIGNALS).spots
    return {name: _signal(spot) for name, spot in spots.items()}


def _signal(at: Spot) -> Signal:
    timed, scale = at.name in TIMED, (SCALES | {"sentiment": (-1, 1)}).get(at.name)
    required = ("objective", "within") if timed else ("objective",)
    f = at.fields(required, ("within", "good"), "a mapping such as {objective: 99%}")
    within = f.read("within", duration(), None) if timed else None
    if not timed and "within" in f.spots:
        f.spots["within"].fail(f"no such key: only {' and '.join(TIMED)} are good within a time")
    if scale is None and "good" in f.spots:
        f.spots["good"].fail(f"no such key: only {', '.join(DEFAULT_GOOD)} have a score")
    good = None if scale is None else f.read("good", number(scale[0], scale[1]), DEFAULT_GOOD[at.name])
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
        elif not _DIMENSION.fullmatch(spot.name) or len(spot.name) > MAX_TEXT:
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
