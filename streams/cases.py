"""What a judge remembers: its series, its open cases, and what of the past is not to be learnt."""

import msgspec

from streams.baseline import Group
from streams.moles import Contributor


class Case(msgspec.Struct):
    """Something wrong in a series, with what was folded into it. Times in unix seconds."""

    id: str
    segment: str
    signal: str
    kind: str
    first_harm: int
    popped: int
    last: int  # the last alarm
    told: int  # its figures …
    bad: int
    total: int
    expected: float
    cause: str = ""
    shown: int = 0  # … with so many bad, and when it was last told that it goes on
    harmed: int = 0
    eased: bool = False
    recovery: float = 0.0  # evidence that it is ordinary again
    share: float = 1.0  # the bad share that is to be disproved
    members: dict[str, dict[str, int]] = {}  # signal → segment → onset, for each that raised an alarm
    contributors: tuple[Contributor, ...] = ()


class State(msgspec.Struct):
    """All that a judge knows."""

    at: int = 0
    midnight: int = 0  # the next one; 0 before the first event
    groups: dict[str, Group] = {}
    cases: dict[str, Case] = {}
    covered: list[tuple[str, str, str, int, int]] = []  # segment, signal, case, begin, end: not to be learnt
    looks: list[tuple[int, str, str]] = []  # heap: time, signal, segment


def spans(state: State, now: int, period: float) -> list[tuple[str, str, str, int, int]]:
    """Spans that are not to be learnt: of open cases that are no older than a budget period, and of ended ones."""
    out = list(state.covered)
    for case in state.cases.values():
        if case.kind != "silence" and now - case.popped <= period:
            out += [(segment, signal, case.id, case.first_harm, now) for signal, segment in series_of(case)]
    return out


def series_of(case: Case) -> list[tuple[str, str]]:
    """Signal and segment of each member."""
    return [(signal, segment) for signal, some in case.members.items() for segment in some]
