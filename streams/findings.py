"""What a judge says of a case: its figures so far, what they burn, and who carries them."""

from streams import blame, cases, evidence, names, surge
from streams.cases import Case, State
from streams.moles import Contributor, Finding, Said


def tell(state: State, moment: str, case: Case, event: Said, at: int, half_life: float) -> Finding:
    """What is said at `at`, unix seconds; the case remembers that it was. `half_life`: the budget period, in days."""
    group = state.groups[case.signal]
    s = group.series[case.segment]
    if event in ("up", "harm", "more") and case.kind != "silence":
        case.contributors = _contributors(state, case, at)
    elif event in ("ease", "over"):
        case.contributors = blame.within(case.contributors, case.segment, case.bad, case.total)
    case.told, case.shown = at, case.bad
    case.harmed = at if event in ("up", "harm") else case.harmed
    budget = 1 - group.objective
    daily = evidence.daily(group, s)
    share = case.bad / case.total if case.total else 0.0
    return Finding(
        at=at,
        moment=moment,
        segment=case.segment,
        signal=case.signal,
        kind=case.kind,
        event=event,
        case=case.id,
        first_harm=case.first_harm,
        last_harm=case.last,
        since=case.since,
        bad=case.bad,
        total=case.total,
        expected=round(case.expected, 3),
        burn_rate=round(share / budget, 3),
        burn_rate_low=round(evidence.wilson_low(case.bad, case.total) / budget, 3),
        budget=round(case.bad / (budget * daily * half_life), 6),
        contributors=case.contributors,
        faint=case.faint,
        cause=case.cause,
    )


def _contributors(state: State, case: Case, at: int) -> tuple[Contributor, ...]:
    """By the signal with most bad events, which shows best who is hurt; alarms by the signal that raised them. Of
    complaints that are counted by their number."""
    own = state.groups[case.signal]
    since = max(case.first_harm, at - cases.memory(state, case))
    if own.counted:
        return blame.within(surge.blame(own, since, at, blame.MOST), case.segment, case.bad, case.total)
    groups = [state.groups[signal] for signal in sorted(case.members)]
    worst = max(groups, key=lambda g: g.all.since(case.first_harm)[1])
    alarms = [
        (group, name, max(onset, at - group.series[name].memory))
        for group in groups
        for name, onset in case.members[group.signal].items()
    ]
    found = [c.segment for c in blame.blame(worst, since, alarms)]
    counts = {x: own.series[x].since(since) for x in (names.ALL, *found) if x in own.series}
    return blame.counted(found, (case.segment, case.total, case.bad), counts)
