"""YAML with places: a tree that knows its lines, and readers that report a fault instead of stopping at it.

Built on PyYAML's events, not on its composer or constructor, so that nothing in a file can run code, recurse
without end (`&a [*a]`, `[[[[…`) or grow without bound (an alias bomb), and so that `no`, `010` and `1:30` can
be told from what their author meant.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TypeVar

import yaml

from streams.errors import Problem

T = TypeVar("T")

MAX_CHARACTERS = 1_048_576
MAX_DEPTH = 32  # a catalogue needs 5
MAX_NODES = 200_000  # with aliases written out
MAX_TEXT = 256  # characters of a title, an owner, a segment value: they become labels
DOCUMENT = "(document)"

_KINDS = {"str": "text", "int": "number", "float": "number", "bool": "boolean", "null": "null"}
_KINDS |= {"timestamp": "date", "map": "mapping", "seq": "list", "merge": "merge"}
_LINE_END = re.compile(r"\r\n?|\n")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})(\.[0-9]{0,17})?|[+-]?\.[0-9]{1,17}")


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the document. `line` counts from 1; `size` is the number of nodes, aliases written out."""

    kind: str  # text · number · boolean · null · date · mapping · list · merge · tagged
    line: int
    text: str = ""
    items: tuple["Node", ...] = ()
    entries: tuple[tuple["Node", "Node"], ...] = ()
    size: int = 1

    def found(self) -> str:
        """What a person would say is there."""
        if self.kind in ("mapping", "list", "date"):
            return f"a {self.kind}" + (f" ({_short(self.text)})" if self.text else "")
        if self.kind == "null":
            return "nothing"
        if self.kind == "boolean":
            return f"{self.text} (to YAML a boolean)"
        if self.kind == "tagged":
            return f"a tagged value ({_short(repr(self.text))})"
        return _short(repr(self.text)) if self.kind == "text" or not self.text else _short(self.text)


class Wrong(Exception):
    """Raised by a reader of one value; `Spot.read` turns it into a Problem. Never leaves this package."""

    def __init__(self, expected: str, found: str = "") -> None:
        self.expected = expected
        self.found = found
        super().__init__(expected)


@dataclass(frozen=True, slots=True)
class Spot:
    """A node and where it is: the key path from the root, and the list that collects what is wrong."""

    node: Node
    key: str
    name: str
    line: int
    problems: list[Problem]

    def fail(self, expected: str, found: str = "", line: int = 0, key: str = "") -> None:
        self.problems.append(Problem(line or self.line, key or self.key, found or self.node.found(), expected))

    def read(self, reader: Callable[["Spot"], T], default: T) -> T:
        """What `reader` makes of this value, or `default` when it is wrong, which is then on record."""
        try:
            return reader(self)
        except Wrong as wrong:
            self.fail(wrong.expected, wrong.found)
            return default

    def entries(self, expected: str) -> Iterator[tuple[Node, "Spot"]]:
        """The keys and values of a mapping; repeated keys and merge keys are on record and left out."""
        if self.node.kind != "mapping":
            self.fail(expected)
            return
        seen: dict[str, int] = {}
        for key, value in self.node.entries:
            path = _join(self.key, key)
            if key.kind == "merge":
                self.fail("its keys written out, or a whole alias", "a merge key (<<)", key.line, path)
            elif key.text in seen and key.kind not in ("mapping", "list"):
                again = f"the key again (first on line {seen[key.text]})"
                self.fail("each key once", again, key.line, path)
            else:
                seen[key.text] = key.line
                line = key.line if value.kind in ("mapping", "list") else value.line
                yield key, Spot(value, path, key.text, line, self.problems)

    def fields(self, required: Sequence[str], optional: Sequence[str] = (), expected: str = "") -> "Fields":
        """A mapping with known keys. Unknown and missing ones are on record."""
        known = (*required, *optional)
        listed = ", ".join(known)
        spots: dict[str, Spot] = {}
        for key, spot in self.entries(expected or f"a mapping with the keys {listed}"):
            if key.kind == "text" and key.text in known:
                spots[key.text] = spot
            else:
                hint = f"one of {listed}{nearest(key.text, known)}"
                self.fail(hint, f"the unknown key {key.found()}", key.line, spot.key)
        if self.node.kind == "mapping":
            for name in required:
                if name not in spots:
                    self.fail("a value: it is required", "nothing", key=_join(self.key, Node("text", 0, name)))
        return Fields(spots)

    def named(self, expected: str) -> Iterator["Spot"]:
        """A mapping whose keys are names of the author's choosing."""
        for key, spot in self.entries(expected):
            if key.kind == "text":
                yield spot
            else:
                self.fail(f"a name that is a string{_quote(key)}", key.found(), key.line, spot.key)

    def listed(self, expected: str) -> list["Spot"]:
        if self.node.kind != "list" or not self.node.items:
            raise Wrong(expected, "an empty list" if self.node.kind == "list" else "")
        return [
            Spot(node, f"{self.key}[{i}]", "", node.line, self.problems) for i, node in enumerate(self.node.items)
        ]


@dataclass(frozen=True, slots=True)
class Fields:
    spots: dict[str, Spot]

    def read(self, name: str, reader: Callable[[Spot], T], default: T) -> T:
        spot = self.spots.get(name)
        return default if spot is None else spot.read(reader, default)


def label(at: Spot) -> str:
    """One line of text that can be shown and used as a label value."""
    if at.node.kind != "text":
        raise Wrong(f"a string{_quote(at.node)}")
    value = at.node.text.rstrip("\n")  # a folded scalar (>) ends with one
    if not value.strip() or value != value.strip() or len(value) > MAX_TEXT or _CONTROL.search(value):
        raise Wrong(f"one line of 1 to {MAX_TEXT} printable characters, no spaces around them")
    return value


def one_of(choices: Sequence[str]) -> Callable[[Spot], str]:
    def reader(at: Spot) -> str:
        if at.node.kind != "text" or at.node.text not in choices:
            raise Wrong(f"{' or '.join(choices)}{nearest(at.node.text, choices)}")
        return at.node.text

    return reader


def whole(low: int, high: int) -> Callable[[Spot], int]:
    def reader(at: Spot) -> int:
        value = at.node.text
        if at.node.kind == "number" and _WHOLE.fullmatch(value) and low <= int(value) <= high:
            return int(value)
        raise Wrong(f"a whole number from {low} to {high}")

    return reader


def number(low: float, high: float) -> Callable[[Spot], float]:
    def reader(at: Spot) -> float:
        value = at.node.text
        if at.node.kind == "number" and _NUMBER.fullmatch(value) and low <= float(value) <= high:
            return float(value)
        raise Wrong(f"a number from {low:g} to {high:g}")

    return reader


def nearest(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name[:64], known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def read_yaml(source: str) -> tuple[Node | None, list[Problem]]:
    """The one document of a file as a tree; None, and why, where it cannot be read."""
    ends = [match.end() for match in _LINE_END.finditer(source)]
    if len(source) > MAX_CHARACTERS:
        return None, [Problem(1, DOCUMENT, f"{len(source)} characters", f"at most {MAX_CHARACTERS}")]
    if bad := _UNPRINTABLE.search(source):
        line = bisect_right(ends, bad.start()) + 1
        return None, [Problem(line, DOCUMENT, f"the character {bad.group()!a}", "printable text")]
    loader = yaml.SafeLoader(source)
    builder = _Builder(loader, ends)
    try:
        return builder.document(), builder.problems
    except yaml.MarkedYAMLError as error:
        index = mark.index if (mark := error.problem_mark or error.context_mark) else 0
        why = f"{error.context or ''} {error.problem or ''}"
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # "\UFFFFFFFF" and %YAML 1.<5000 digits>
        index, why = loader.index, str(error)
    except Wrong as wrong:
        return None, [Problem(builder.line, DOCUMENT, wrong.found, wrong.expected)]
    finally:
        loader.dispose()
    found = f"a syntax error ({' '.join(why.split())[:200]})"
    return None, [Problem(bisect_right(ends, index) + 1, DOCUMENT, found, "YAML")]


class _Builder:
    """Events to nodes. Deeper than MAX_DEPTH or larger than MAX_NODES is refused before it is built."""

    def __init__(self, loader: yaml.SafeLoader, ends: list[int]) -> None:
        self.loader = loader
        self.ends = ends
        self.line = 1
        self.depth = 0
        self.total = 0
        self.anchors: dict[str, Node | None] = {}  # None while it is still open
        self.problems: list[Problem] = []

    def next(self) -> yaml.Event:
        event: yaml.Event = self.loader.get_event()  # type: ignore[no-untyped-call]
        if event.start_mark is not None:
            self.line = bisect_right(self.ends, event.start_mark.index) + 1
        return event

    def document(self) -> Node:
        self.next()  # the stream's start
        if isinstance(self.next(), yaml.StreamEndEvent):
            self.line = 1
            raise Wrong("a catalogue (apiVersion: molehill/v1)", "an empty file")
        root = self.node(self.next())
        self.next()  # the document's end
        if not isinstance(self.next(), yaml.StreamEndEvent):
            self.problems.append(Problem(self.line, DOCUMENT, "a second document", "one catalogue in a file"))
        return root

    def node(self, event: yaml.Event) -> Node:
        line = self.line
        if isinstance(event, yaml.AliasEvent):
            name = str(event.anchor)
            target = self.anchors.get(name)
            if target is None:
                why = "inside its own anchor" if name in self.anchors else "without an anchor before it"
                raise Wrong("an alias to something complete", f"the alias *{_short(name)} {why}")
            self.grow(target.size)
            return replace(target, line=line)
        anchor = getattr(event, "anchor", None)
        if anchor:
            self.anchors[anchor] = None
        self.grow(1)
        made = self.scalar(event, line) if isinstance(event, yaml.ScalarEvent) else self.container(event, line)
        if anchor:
            self.anchors[anchor] = made
        return made

    def scalar(self, event: yaml.ScalarEvent, line: int) -> Node:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call]
        kind = _KINDS.get(str(tag).removeprefix("tag:yaml.org,2002:"), "tagged")
        if kind in ("mapping", "list"):  # !!map x
            kind = "tagged"
        # A plain `=` has a YAML 1.1 tag of its own that nobody means.
        return Node("text" if event.value == "=" else kind, line, event.value)

    def container(self, event: yaml.Event, line: int) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Wrong(f"at most {MAX_DEPTH} levels", "deeper nesting")
        parts: list[Node] = []
        while not isinstance(inner := self.next(), yaml.CollectionEndEvent):
            parts.append(self.node(inner))
        self.depth -= 1
        size = 1 + sum(part.size for part in parts)
        if isinstance(event, yaml.MappingStartEvent):
            return Node("mapping", line, entries=tuple(zip(parts[::2], parts[1::2], strict=True)), size=size)
        return Node("list", line, items=tuple(parts), size=size)

    def grow(self, by: int) -> None:
        self.total += by
        if self.total > MAX_NODES:
            raise Wrong(f"at most {MAX_NODES} values, aliases written out", "more")


def _quote(node: Node) -> str:
    if node.kind in ("number", "boolean", "null", "date") and node.text:
        return f': write it in quotes, "{_short(node.text)}"'
    return ""


def _join(path: str, key: Node) -> str:
    name = key.text if key.kind != "mapping" and _PLAIN_KEY.fullmatch(key.text) else _short(key.found())
    return f"{path}.{name}" if path != DOCUMENT else name


def _short(value: str) -> str:
    shown = _CONTROL.sub("\ufffd", value)
    return shown if len(shown) <= 64 else shown[:61] + "…"
