"""Readers of YAML's values that report a fault with its place instead of stopping at it."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeVar

from streams.errors import Problem
from streams.yaml_tree import CONTROL, DOCUMENT, Node, short

T = TypeVar("T")

MAX_TEXT = 256  # characters of a title, an owner, a segment value: they become labels

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})(\.[0-9]{0,17})?|[+-]?\.[0-9]{1,17}")


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
    if not value.strip() or value != value.strip() or len(value) > MAX_TEXT or CONTROL.search(value):
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


def _quote(node: Node) -> str:
    if node.kind in ("number", "boolean", "null", "date") and node.text:
        return f': write it in quotes, "{short(node.text)}"'
    return ""


def _join(path: str, key: Node) -> str:
    name = key.text if key.kind != "mapping" and _PLAIN_KEY.fullmatch(key.text) else short(key.found())
    return f"{path}.{name}" if path != DOCUMENT else name
