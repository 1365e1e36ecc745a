"""How moments' days went: what the desk remembers of them, which moments they relate, what budgets they left.

When a day ends a moment's judge tells how many events of it were bad, how many were expected to be, and how many its
budget allowed. What is remembered of it answers two questions that no single day does: whether two moments' days
go up and down together, so that harm to both may have one cause; and whether a moment is kept much better than its
objective asks for. Functions of the desk's state (`lives.Desked`), which travels with the desk's dump.
"""

from typing import Final, TypeVar

from streams.catalogue import Catalogue
from streams.lives import Desked, tier_of
from streams.moles import Finding
from streams.related import move_together, on_one_route
from streams.series import DAY_S

DAYS: Final = 366  # of each moment that are remembered: the longest budget period

_Value = TypeVar("_Value")


def remember(state: Desked, f: Finding) -> None:
    """Takes a finding of the event `day`: told at a midnight, of the day before."""
    day = f.at // DAY_S - 1
    _keep(state.days, f.moment, day, (f.bad + 1) / (f.expected + 1))
    _keep(state.spent, f.moment, day, (f.bad, f.budget))


def _keep(kept: dict[str, dict[int, _Value]], moment: str, day: int, value: _Value) -> None:
    mine = kept.setdefault(moment, {})
    mine[day] = value
    for old in [d for d in mine if d <= day - DAYS]:
        del mine[old]


def related(catalogue: Catalogue, state: Desked, one: str, other: str) -> bool:
    """Whether harm to two moments may have one cause: they are one, or a journey's, or their days move together."""
    return (
        one == other
        or on_one_route(catalogue, one, other)
        or move_together(state.days.get(one, {}), state.days.get(other, {}))
    )


MUCH: Final = 0.5
"""Half of a period's budget left is more care than a tolerable moment needs (the board's facts.js has it too)."""


def unspent(catalogue: Catalogue, state: Desked) -> dict[str, float]:
    """Overinvestment: tolerable moments, and what share of a whole period's budget they left (0 to 1)."""
    out = {}
    days = int(catalogue.budget_period // DAY_S)
    last = state.at // DAY_S
    for moment, by_day in state.spent.items():
        period = [x for day, x in by_day.items() if last - days <= day < last]
        allowed = sum(x for _, x in period)
        if tier_of(catalogue, moment) == "tolerable" and allowed > 0 and min(by_day) <= last - days:
            out[moment] = max(0.0, 1 - sum(b for b, _ in period) / allowed)
    return out
