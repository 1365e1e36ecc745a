"""Who listens for silence: when a series is looked at next, whose silence it is, and when it is over.

A look costs little, and each one says when the next is due: the earliest time at which the evidence (`silence`)
could reach its limit.
"""

import math
from heapq import heappop, heappush

import numpy as np

from streams import blame, names, silence
from streams.baseline import Group
from streams.cases import Case, State, series_of
from streams.moles import mole_id
from streams.series import BLOCK_S, DAY_S, HOUR_S, STEP_S, Series


def begin(state: State, midnight: int, lateness: float) -> None:
    """Puts those on the list who speak often enough to be missed, and have a past to be missed by."""
    for group in state.groups.values():
        some = list(group.series.values())
        for row in np.flatnonzero(silence.speaking(group)).tolist():
            s = some[row]
            known = midnight - s.born >= silence.NEEDS_DAYS * DAY_S
            if known and not (s.looked or s.silent or s.alone):
                silence.afresh(s, midnight)
                _schedule(state, s, silence.next_look(group, s, midnight, lateness))


def heard(state: State) -> int:
    """When anything was last counted."""
    return max((s.last for group in state.groups.values() for s in group.series.values()), default=0)


def give_up(state: State) -> None:
    """Listens to nobody; `begin` takes them up again."""
    for _, signal, segment in state.looks:
        state.groups[signal].series[segment].looked = False
    state.looks = []


def look(state: State, moment: str, at: int, lateness: float) -> list[Case]:
    """The looks that are due at `at`; the new cases."""
    found: list[Case] = []
    while state.looks and state.looks[0][0] <= at:
        _, signal, segment = heappop(state.looks)
        group = state.groups[signal]
        s = group.series[segment]
        s.looked = False
        if s.silent:
            continue
        due = _due(group, s, at, lateness)
        if due:
            _schedule(state, s, due)
        elif case := _case(state, moment, group, s, at, lateness):
            state.cases[case.id] = case
            found.append(case)
    return found


def _schedule(state: State, s: Series, at: int) -> None:
    s.looked = True
    heappush(state.looks, (at, s.signal, s.segment))


def _due(group: Group, s: Series, at: int, lateness: float) -> int:
    """When to look again; 0 where too little came."""
    limit = silence.limit(group, s)
    if silence.most(group, s, at) >= limit:
        silence.catch_up(group, s, at)
    if s.quiet >= limit and silence.back(group, s, at):
        silence.afresh(s, at)
    if silence.stopped(group, s, at):
        s.quiet, s.quiet_since = limit, silence.began(s)
    if s.quiet < limit:
        return silence.next_look(group, s, at, lateness)
    sure = int(-(-(s.quiet_since + lateness) // BLOCK_S) + 1) * BLOCK_S
    if at < sure:
        return sure
    whole = group.all
    if s is not whole and not whole.silent:
        silence.catch_up(group, whole, at)
        if whole.quiet >= silence.limit(group, whole) / 2:  # it may be the whole moment: that is for it to say
            return at + HOUR_S
    return 0


def _case(state: State, moment: str, group: Group, s: Series, at: int, lateness: float) -> Case | None:
    """A silence of its own, unless it is part of another case."""
    stopped = s.last < s.quiet_since + BLOCK_S
    since = silence.began(s) if stopped else s.quiet_since
    for case in state.cases.values():
        harmed = case.kind != "silence" and case.segment in (s.segment, names.ALL) and since >= case.first_harm
        silent = case.kind == "silence" and (
            case.segment in (s.segment, names.ALL) or abs(case.first_harm - since) <= blame.TOGETHER_S
        )
        if silent or case.popped == at:
            case.members.setdefault(s.signal, {})[s.segment] = since
            s.silent = True
            return None
        if harmed:
            s.quiet, s.quiet_since = 0.0, at
            _schedule(state, s, silence.next_look(group, s, at, lateness))
            return None
    cause = "stopped" if stopped else "quiet"
    n = 0 if stopped else s.since(since + BLOCK_S - STEP_S)[0]  # the block that holds it has more
    name = mole_id(moment, s.signal, "silence", at)
    expect = silence.between(group, s, since, at)
    if stopped:
        expect += silence.between(group, s, since, at, group.idle)
    mine = Case(name, s.segment, s.signal, "silence", since, at, at, at, 0, n, expect, cause)
    mine.members[s.signal] = {s.segment: since}
    s.silent = True
    s.heard, s.quiet_at = s.total, at
    return mine


def hear(state: State, case: Case, at: int, sure: float) -> bool:
    """Whether a silent series speaks again as its hour expects, by so much evidence."""
    group = state.groups[case.signal]
    s = group.series[case.segment]
    n = s.total - s.heard
    if not n:
        return False
    mean = silence.between(group, s, s.quiet_at, at) * silence.least(group, s)
    case.recovery = max(0.0, case.recovery + n * math.log(silence.FALL) - mean * (1 - 1 / silence.FALL))
    case.total += n
    s.heard, s.quiet_at = s.total, at
    return case.recovery >= sure


def end(state: State, case: Case, at: int) -> None:
    """Listens anew to all whose silence it was."""
    for signal, segment in series_of(case):
        group = state.groups[signal]
        for s in group.series.values() if segment == names.ALL else (group.series[segment],):
            silence.afresh(s, at)
