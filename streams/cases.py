"""What a judge remembers: its series, its open cases, and what of the past is not to be learnt."""

import math
import zlib
from heapq import heapify
from typing import Final

import msgspec

from streams import evidence, names, surge
from streams.baseline import CV_DAYS, Group, Wide
from streams.burn import FAST, PAIRS, burning
from streams.intervals import Z
from streams.moles import Contributor
from streams.past import PAST, packed, unpacked
from streams.series import BLOCK_S, DAY_S, FINE_S, HOUR_S, LONGEST_S, Series

SETTLE_S: Final = 6 * HOUR_S
"""So long after its last alarm a case may still not be over: the long window of the second burn pair must be free of
it. What begins in that time belongs to it."""
LEANING: Final = math.log(10)
"""Evidence that it leans that way."""
CLOSE_S: Final = DAY_S - SETTLE_S
"""So long after its last alarm a case may still not be over: causes come back with the hour of the day, a night says
nothing, and what lasts as long as a case takes to settle is back by then. That it recovers is told long before."""
MORE_S: Final = BLOCK_S
"""Figures that have grown by a tenth are told at most so often."""
SPELL_DAYS: Final = 2.0
"""Bad days come in spells: so many of them are worth one."""
CREPT: Final = 1.2
"""What crept in is over when its share is rather ordinary than so many times as much, at least (odds)."""


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
    eased: bool = False  # it leans towards ordinary: its figures stand still
    eased_at: int = 0  # when it last did
    faint: bool = False  # it was raised again by evidence most of which is older than that
    recovery: float = 0.0  # evidence that it is ordinary again
    share: float = 1.0  # the bad share that is to be disproved; of complaints that are counted the ratio
    followed: int = 0  # up to when evidence was taken (complaints that are counted)
    since: int = 0  # first harm, of a relapse its own
    sure: tuple[int, int, float] = (0, 0, 0.0)  # bad, total and expected as of the last alarm
    lasts: int = 0  # seconds: it is not over for showing nothing for less (it crept in: see `weeks`) …
    today: float = 0.0  # … and evidence of the running day that it is ordinary again
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


def memory(state: State, case: Case) -> int:
    """How long evidence of a case lasts, in seconds."""
    return state.groups[case.signal].series[case.segment].memory


def adopt(case: Case, s: Series, onset: int) -> None:
    """A series becomes a member."""
    case.members.setdefault(s.signal, {})[s.segment] = onset
    s.case = case.id


def add(case: Case, n: int, bad: int, expected: float) -> None:
    """Counts n events, unless it leans towards ordinary."""
    if not case.eased:
        case.total, case.bad, case.expected = case.total + n, case.bad + bad, case.expected + expected


def follow(group: Group, s: Series, case: Case, n: int, bad: int) -> None:
    """Counts what an open case costs now, and the evidence that it is over: its own bad share against p₀."""
    if group.counted:
        until = max(case.followed, s.weighed, s.last)  # where times are dates, all of the day came in its first hour
        more, mean = surge.ease(group, s, case.share, case.followed, until, bad)
        case.followed = until
        add(case, n, bad, mean)
        case.recovery = max(0.0, case.recovery + more)
        return
    add(case, n, bad, n * s.p)
    odds, times = (s.p / (1 - s.p), CREPT) if case.lasts else (s.odds, 2.0)
    p0, worse = odds / (1 + odds), times * odds / (1 + times * odds)
    p1 = min(max(case.share, worse), max(0.99, (1 + p0) / 2))
    more = (n - bad) * math.log((1 - p0) / (1 - p1)) - bad * math.log(p1 / p0)
    if case.lasts:
        case.today += more
    else:
        case.recovery = max(0.0, case.recovery + more)


def rest(case: Case, at: int) -> None:
    """A day of a case that crept in is over: it is worth no more than its part of two spells, and one that was rather
    harm is an alarm."""
    if case.lasts:
        case.recovery = max(0.0, case.recovery + min(case.today, evidence.SURE / (2 * SPELL_DAYS)))
        if case.today < 0 and not case.eased:
            case.last, case.sure = at, (case.bad, case.total, case.expected)
        case.today = 0.0


def share(group: Group, case: Case) -> float:
    """What is to be disproved: the bad share, or how many times more complaints than expected there are, at least."""
    if group.counted:
        return max(case.bad - Z * math.sqrt(case.bad), 0.0) / max(case.expected, 0.1)
    return evidence.wilson_low(case.bad, case.total)


def hurts(state: State, case: Case, at: int) -> bool:
    """Whether the budget burns at a page's pace, or a ticket's where there is hardly a past: that is harm, whatever
    the past says, which may have seen nothing else. For a week; what lasts longer is ordinary there, and an
    objective that nobody keeps."""
    group = state.groups[case.signal]
    if group.counted or at - case.popped > LONGEST_S:
        return False
    pairs = PAIRS[:3] if young(group) else FAST
    return burning(group.series[case.segment], group.objective, at, group.period, pairs)


def urgent(group: Group, s: Series, at: int) -> bool:
    """Whether a moment is in its first week, in which hardly anything is beyond what may be ordinary there, and burns
    its budget at a page's pace: then the objective says what is wrong."""
    if s.segment != names.ALL or group.counted or not young(group):
        return False
    return burning(s, group.objective, at, group.period, FAST)


def young(group: Group) -> bool:
    """Whether there is hardly a past to judge by."""
    return group.age < CV_DAYS


def settle(state: State, case: Case) -> None:
    """Its figures are those of its harm: what came after the last alarm is not part of it. (Where complaints are
    counted, some more of them.)"""
    if case.kind != "silence" and not case.eased and not state.groups[case.signal].counted:
        case.bad, case.total, case.expected = case.sure


def resume(case: Case, group: Group, s: Series) -> None:
    """Where it had eased, its figures go on with the run of its series that raises the alarm again."""
    if case.eased and s.signal == case.signal:
        k = evidence.likeliest(group, s)
        if k >= 0 and s.starts[k] > case.last:
            case.bad, case.total = case.bad + s.bads[k], case.total + s.seen[k]
            case.expected += s.expects[k]
            case.since = s.starts[k]


def renewed(case: Case, group: Group, s: Series, at: int) -> bool:
    """Whether what came since a case leaned towards ordinary (or in its last six hours, or the last one) is harm by
    itself: as much evidence as ended it, and a bad share beyond the objective. Old evidence lasts for days, and one
    ordinary bad event more can take it to its limit."""
    if group.counted:
        return True
    for begin in {max(case.eased_at, at - window) for window in (HOUR_S, FINE_S, LONGEST_S)}:
        n, bad = s.since(begin)
        harm = bad >= evidence.MIN_BAD and evidence.wilson_low(bad, n) > 1 - group.objective
        if harm and evidence.surprise(n, bad, s.odds / (1 + s.odds)) >= evidence.SURE:
            return True
    return False


def lasts(state: State, case: Case) -> int:
    """So many seconds after its last alarm a case is over."""
    return CLOSE_S if case.recovery >= evidence.SURE else max(memory(state, case), case.lasts)


def leans(case: Case, at: int) -> bool:
    """Whether it begins to recover."""
    return not case.eased and case.recovery >= LEANING and at - max(case.last, case.harmed) >= HOUR_S


def due(state: State, case: Case) -> int:
    """When something may be said of it."""
    times = [case.last + lasts(state, case)]
    if LEANING <= case.recovery < evidence.SURE and not case.eased:
        times.append(max(case.last, case.harmed) + HOUR_S)
    if grown(case):
        times.append(case.told + MORE_S)
    return min(times)


def grown(case: Case) -> bool:
    """Whether its figures are worth telling again."""
    return not case.eased and case.kind != "silence" and 10 * case.bad >= 11 * case.shown > 0


_PARTS: Final = (State, Case, Contributor, Group, Wide, Series)
FORMAT: Final = zlib.crc32(repr(([c.__annotations__ for c in _PARTS], PAST.descr)).encode())
"""Another one where a judge's state is of other fields."""


def dump(state: State, due: int | None) -> bytes:
    """All of it, and when its judge wants to be called."""
    for group in state.groups.values():
        group.past = group.past[: len(group.series)]  # none to spare
    return msgspec.msgpack.encode((FORMAT, msgspec.msgpack.encode((state, due), enc_hook=packed)))


def load(blob: bytes) -> tuple[State, int | None] | None:
    """What `dump` took; None where it is of another version's making."""
    made, state = msgspec.msgpack.decode(blob, type=tuple[int, bytes])
    if made != FORMAT:
        return None
    return msgspec.msgpack.decode(state, type=tuple[State, int | None], dec_hook=unpacked)


def keep_to(state: State, objectives: dict[str, float], period: float) -> None:
    """Objectives (by signal) and budget period (seconds) are those of now; signals that are gone are forgotten."""
    state.groups = {x: group for x, group in state.groups.items() if x in objectives}
    for group in state.groups.values():
        group.objective, group.share = objectives[group.signal], 1 / len(objectives)
        group.period = period
    state.looks = [x for x in state.looks if x[1] in objectives]
    heapify(state.looks)
    for case in list(state.cases.values()):
        case.members = {x: some for x, some in case.members.items() if x in objectives}
        if case.signal not in objectives:
            del state.cases[case.id]
            for signal, segment in series_of(case):
                state.groups[signal].series[segment].forget_evidence()
