"""YAML as a tree that knows its lines.

Built on PyYAML's events, not on its composer or constructor, so that nothing in a file can run code, recurse
without end (`&a [*a]`, `[[[[…`) or grow without bound (an alias bomb), and so that `no`, `010` and `1:30` can
be told from what their author meant.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, replace

import yaml

from streams.errors import Problem

MAX_CHARACTERS = 1_048_576
MAX_DEPTH = 32  # a catalogue needs 5
MAX_NODES = 200_000  # with aliases written out
DOCUMENT = "(document)"
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_KINDS = {"str": "text", "int": "number", "float": "number", "bool": "boolean", "null": "null"}
_KINDS |= {"timestamp": "date", "map": "mapping", "seq": "list", "merge": "merge"}
_LINE_END = re.compile(r"\r\n?|\n")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


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
            return f"a {self.kind}" + (f" ({short(self.text)})" if self.text else "")
        if self.kind == "null":
            return "nothing"
        if self.kind == "boolean":
            return f"{self.text} (to YAML a boolean)"
        if self.kind == "tagged":
            return f"a tagged value ({short(repr(self.text))})"
        return short(repr(self.text)) if self.kind == "text" or not self.text else short(self.text)


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
    except _Refused as refused:
        return None, [refused.problem]
    finally:
        loader.dispose()
    found = f"a syntax error ({' '.join(why.split())[:200]})"
    return None, [Problem(bisect_right(ends, index) + 1, DOCUMENT, found, "YAML")]


class _Refused(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


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
            raise self.refused("a catalogue (apiVersion: molehill/v1)", "an empty file")
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
                raise self.refused("an alias to something complete", f"the alias *{short(name)} {why}")
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
            raise self.refused(f"at most {MAX_DEPTH} levels", "deeper nesting")
        parts: list[Node] = []
        while not isinstance(inner := self.next(), yaml.CollectionEndEvent):
            parts.append(self.node(inner))
        self.depth -= 1
        size = 1 + sum(part.size for part in parts)
        if isinstance(event, yaml.MappingStartEvent):
            return Node("mapping", line, entries=tuple(zip(parts[::2], parts[1::2], strict=True)), size=size)
        return Node("list", line, items=tuple(parts), size=size)

    def refused(self, expected: str, found: str) -> "_Refused":
        return _Refused(Problem(self.line, DOCUMENT, found, expected))

    def grow(self, by: int) -> None:
        self.total += by
        if self.total > MAX_NODES:
            raise self.refused(f"at most {MAX_NODES} values, aliases written out", "more")


def short(value: str) -> str:
    """At most 64 printable characters of a value, for a message."""
    shown = CONTROL.sub("\ufffd", value)
    return shown if len(shown) <= 64 else shown[:61] + "…"
