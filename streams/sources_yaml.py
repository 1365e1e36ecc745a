"""The section `sources` of a catalogue, read and checked: every problem with its line (see streams/sources.py)."""

import re
from functools import partial
from typing import Final

from streams import names
from streams.events import BY_TYPE
from streams.sources import FIELDS, ID, TIME, Condition, Constant, Field, Place, Rule, Source, Value, as_text
from streams.sources_values import PLACE_EXPECTED, place_of, scalar, value
from streams.yaml_readers import Spot, Wrong, label, one_of

NAME: Final = re.compile(r"[a-z0-9-]{1,64}")
TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
RESERVED: Final = (names.TOUCHPOINTS, names.FEEDBACK, names.DEAD_LETTERS, names.MOLES_TOPIC)
SEGMENT: Final = "data.segment."
NOTHING: Final = Value("", "text", False)  # stands for a faulty one


def read_sources(at: Spot) -> tuple[Source, ...]:
    """The section `sources` of a catalogue; what is wrong is on record with its line."""
    found: list[Source] = []
    topics: dict[str, int] = {}
    for spot in at.named("a mapping of sources by name"):
        if not NAME.fullmatch(spot.name):
            spot.fail("a name of 1 to 64 lower-case letters, digits and -", f"the name {spot.name[:64]!r}")
        f = spot.fields(("topic", "events"), ("otherwise",))
        topic = f.read("topic", _topic, "")
        if topic in topics:
            f.spots["topic"].fail(f"one source for each topic (first on line {topics[topic]}), with several events")
        elif topic:
            topics[topic] = f.spots["topic"].line
        skips = f.read("otherwise", one_of(("reject", "skip")), "reject") == "skip"
        rules: tuple[Rule, ...] = f.read("events", partial(_rules, source=spot.name), ())
        found.append(Source(spot.name, topic, skips, rules))
    return tuple(found)


def _topic(at: Spot) -> str:
    topic = label(at)
    if topic in RESERVED:
        raise Wrong(f"another topic: {topic} is molehill's own, and its events need no source")
    if not TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise Wrong("the name of a Kafka topic: letters, digits, ., _ and -")
    return topic


def _rules(at: Spot, source: str) -> tuple[Rule, ...]:
    if at.node.kind == "mapping" and not at.node.entries:
        raise Wrong("at least one event", "none")
    rules: list[Rule] = []
    for spot in at.named("a mapping of events by name, tried in their order"):
        if not NAME.fullmatch(spot.name):
            spot.fail("a name of 1 to 64 lower-case letters, digits and -", f"the name {spot.name[:64]!r}")
        if rules and not rules[-1].when:
            spot.fail(f"nothing after {rules[-1].name}, which has no `when` and takes every record", "another event")
        rules.append(_rule(spot, source))
    return tuple(rules)


def _rule(at: Spot, source: str) -> Rule:
    f = at.fields(("type", "time", "data"), ("when", "id", "source"))
    kind = f.read("type", one_of(tuple(BY_TYPE)), "")
    position = Value("id", "text", True, places=(Place("$position", "position"),))
    data: tuple[Value, ...] = f.read("data", partial(_data, kind=kind), ()) if kind else ()
    return Rule(
        name=at.name,
        type=kind,
        when=f.read("when", _conditions, ()),
        id=f.read("id", partial(value, field=ID), position),
        source=f.read("source", label, f"{source}/{at.name}"),
        time=f.read("time", partial(value, field=TIME), NOTHING),
        data=tuple(v for v in data if not v.target.startswith(SEGMENT)),
        segment=tuple(v for v in data if v.target.startswith(SEGMENT)),
    )


def _data(at: Spot, kind: str) -> tuple[Value, ...]:
    known = FIELDS[kind]
    required = [name for name, field in known.items() if field.required]
    f = at.fields(required, [name for name in known if name not in required] + ["segment"])
    values = [f.read(name, partial(value, field=known[name]), NOTHING) for name in known if name in f.spots]
    segment: tuple[Value, ...] = f.read("segment", _segment, ())
    return (*values, *segment)


def _segment(at: Spot) -> tuple[Value, ...]:
    spots = at.named("a mapping of dimensions, such as region: $.country")
    return tuple(s.read(partial(value, field=Field(SEGMENT + s.name, str, False)), NOTHING) for s in spots)


def _conditions(at: Spot) -> tuple[Condition, ...]:
    if at.node.kind == "mapping" and not at.node.entries:
        raise Wrong("at least one condition, such as $.status: PAID", "none")
    out: list[Condition] = []
    for spot in at.named("a mapping of conditions by place, such as $.status: [PAID, DECLINED]"):
        found = place_of(spot.name)
        if found is None:
            spot.fail(PLACE_EXPECTED, f"the key {spot.name[:64]!r}")
        else:
            none: list[Condition] = []
            out += spot.read(partial(_condition, found=found), none)
    return tuple(out)


def _condition(at: Spot, found: Place) -> list[Condition]:
    if at.node.kind != "mapping":
        return [Condition(found, "is", _texts(at))]
    f = at.fields((), ("not", "exists", "at_least", "below"))
    if not f.spots:
        raise Wrong("one of not, exists, at_least and below", "none")
    out = [
        Condition(found, test, bound=f.read(test, _bound, 0.0)) for test in ("at_least", "below") if test in f.spots
    ]
    if "not" in f.spots:
        out.append(Condition(found, "not", f.read("not", _texts, ())))
    if "exists" in f.spots:
        out.append(Condition(found, "exists", (f.read("exists", _boolean, "true"),)))
    return out


def _texts(at: Spot) -> tuple[str, ...]:
    spots = at.listed("a value, or a list of values") if at.node.kind == "list" else [at]
    nothing: Constant = ""
    return tuple(as_text(s.read(scalar, nothing)) or "" for s in spots)


def _bound(at: Spot) -> float:
    found = scalar(at)
    if isinstance(found, str | bool):
        raise Wrong("a number")
    return found


def _boolean(at: Spot) -> str:
    found = scalar(at)
    if not isinstance(found, bool):
        raise Wrong("true or false")
    return "true" if found else "false"
