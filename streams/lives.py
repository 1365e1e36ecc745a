"""A mole as the desk keeps it, and as the world sees it."""

from typing import Literal

import msgspec

from streams import blame, cases
from streams.catalogue import TIERS, Catalogue
from streams.evidence import wilson_low
from streams.explain import explain
from streams.moles import Finding, Mole, State, moment_of
from streams.series import HOUR_S

CaseState = Literal["up", "eased", "over"]
Quiet = Literal["snoozed", "settled"]
Labels = tuple[str, str, str, str, str]
"""What is told of a mole on /metrics: moment, segment, signal, kind, tier."""


class Life(msgspec.Struct):
    """A mole and what only the desk needs of it. Times in unix seconds."""

    id: str
    moment: str
    segment: str
    signal: str
    kind: str
    state: State
    first_harm: int
    popped: int
    case: str  # that it popped with
    acked: int | None = None
    whacked: int | None = None
    repop_of: str | None = None
    finding: Finding | None = None  # the latest of its first case …
    last: Finding | None = None  # as its judge told it
    base: Finding | None = None  # … beyond this one, the last before a person whacked the mole that it returns from
    cases: dict[str, CaseState] = {}
    moments: list[str] = []
    snoozed_until: int = 0
    told: int = 0  # transitions so far
    harmed: int = 0  # when a case of it last told of harm


class Desked(msgspec.Struct):
    """All that a desk knows."""

    at: int = 0
    lives: dict[str, Life] = {}
    of: dict[str, str] = {}  # case → mole
    days: dict[str, dict[int, float]] = {}  # moment → day → bad share over the expected one
    spent: dict[str, dict[int, tuple[float, float]]] = {}  # moment → day → bad events, and those allowed


def tier_of(catalogue: Catalogue, moment: str) -> str:
    """The tier of a moment, declared or not."""
    declared = catalogue.moments.get(moment)
    return declared.tier if declared else catalogue.discovered.tier


def settles(catalogue: Catalogue, life: Life) -> int:
    """So many seconds without harm make more of it an outage of its own to whoever was told that a mole recovers:
    six hours, the long window of a page's second pair; where it is game over three: it takes one until it is told
    that it recovers, and two more are a ticket's short window."""
    return 3 * HOUR_S if gravest(catalogue, life) == TIERS[0] else cases.SETTLE_S


def rests(catalogue: Catalogue, life: Life, at: int) -> bool:
    """Whether a mole has been without harm for so long."""
    return "up" not in life.cases.values() and at - life.harmed > settles(catalogue, life)


def settled(catalogue: Catalogue, life: Life, at: int) -> bool:
    """Whether a mole recovers, and has been without harm for so long."""
    return life.state == "recovering" and rests(catalogue, life, at)


def quiet(catalogue: Catalogue, life: Life, at: int) -> Quiet | None:
    """Why nobody is to be told of a mole that is up; None where somebody is. An acknowledged mole is not quiet: what
    pages people knows that, and what still hurts a day later is worth a reminder."""
    if life.state == "snoozed":
        return "snoozed"
    return "settled" if settled(catalogue, life, at) else None


def labels_of(catalogue: Catalogue, life: Life) -> Labels:
    """A mole's labels."""
    return life.moment, life.segment, life.signal, life.kind, gravest(catalogue, life)


def gravest(catalogue: Catalogue, life: Life) -> str:
    """A mole's tier: the gravest of its moments'."""
    return min((tier_of(catalogue, m) for m in life.moments), key=TIERS.index)


def beyond(f: Finding, base: Finding | None) -> Finding:
    """What a finding says of the time after another one of its case."""
    if base is None or f.case != base.case:
        return f
    total = max(f.total - base.total, 0)
    bad = min(max(f.bad - base.bad, 0), total)  # its figures may have been settled since
    budget = f.bad / f.total / f.burn_rate if f.total and f.burn_rate else 1.0
    return msgspec.structs.replace(
        f,
        bad=bad,
        total=total,
        expected=max(f.expected - base.expected, 0.0),
        burn_rate=round(bad / total / budget, 3) if total else 0.0,
        burn_rate_low=round(wilson_low(bad, total) / budget, 3),
        budget=max(f.budget - base.budget, 0.0),
        contributors=blame.within(f.contributors, f.segment, bad, total),
    )


def mole_of(catalogue: Catalogue, life: Life) -> Mole:
    """What is shown of a life."""
    f = life.finding
    assert f is not None
    declared = catalogue.moments.get(life.moment)
    harmed = max(life.harmed, f.last_harm)
    linked = tuple(sorted(m for m in life.moments if m != life.moment))
    signal = declared.signals.get(life.signal) if declared else None  # the catalogue may have dropped it since
    objective = signal.objective if signal else catalogue.discovered.objective
    return Mole(
        id=life.id,
        moment=life.moment,
        segment=life.segment,
        signal=life.signal,
        kind=life.kind,
        tier=gravest(catalogue, life),
        state=life.state,
        first_harm=moment_of(life.first_harm),
        popped=moment_of(life.popped),
        acked=None if life.acked is None else moment_of(life.acked),
        whacked=None if life.whacked is None else moment_of(life.whacked),
        repop_of=life.repop_of,
        bad=f.bad,
        total=f.total,
        burn_rate=f.burn_rate,
        burn_rate_low=f.burn_rate_low,
        contributors=f.contributors,
        linked=linked,
        explain=explain(
            catalogue, life.moment, life.segment, life.signal, life.kind, life.first_harm, harmed, life.whacked,
            f.bad, f.total, f.expected, f.burn_rate_low * (1 - objective), f.burn_rate, f.budget, f.cause,
            f.contributors, linked,
        ),
        runbook=declared.runbook if declared else None,
    )  # fmt: skip
