"""What every variant computes and how it is written down: totals by (moment, segment, signal, result).

Peers may keep one row for each (moment, combination of segment values), which is less work than molehill's
marginal series and favours them; `totals_of` turns rows into the totals that are compared.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

Total = tuple[str, str, str, str]  # moment, segment, signal, result
Totals = dict[Total, int]

SIGNALS = ("outcome", "promise", "need")
WIDTH = 2 * len(SIGNALS)  # of a row: good and bad of each signal, in this order
LATENESS_S = 3600  # the catalogues' allowed_lateness: the default


def verdicts(data: Mapping[str, Any], time: str) -> list[int]:
    """The places of a row that one touchpoint adds 1 to.

    Times are compared as text, which is right for these loads (all end in Z, with or without the same fraction).
    """
    bad = data.get("outcome", "ok") != "ok"
    out = [1 if bad else 0]
    promised = data.get("promised_by")
    if promised is not None:
        out.append(3 if bad or time > promised else 2)
    need = data.get("need_met")
    if need is not None:
        out.append(4 if need else 5)
    return out


def totals_of(rows: Iterable[tuple[str, Mapping[str, str], list[int]]], marginal: bool = False) -> Totals:
    """Rows of (moment, segment, counts) → totals, without zeros. A `marginal` row is one series; `{}` is all."""
    out: Counter[Total] = Counter()
    for moment, segment, row in rows:
        found = [f"{k}={v}" for k, v in segment.items()]
        for name in found or ["all"] if marginal else ["all", *found]:
            for i, n in enumerate(row):
                if n:
                    out[moment, name, SIGNALS[i // 2], "bad" if i % 2 else "good"] += n
    return dict(out)
