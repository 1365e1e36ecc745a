"""What the board and `GET /api/moments` say of a moment: one JSON object, written by its owner, read by everyone."""

from typing import Any, Final

import numpy as np
import orjson

from streams import names
from streams.catalogue import Catalogue
from streams.health import Health
from streams.signals import bad, good
from streams.view import View
from streams.windows import HOUR_S, Row

WINDOWS: Final = ("5m", "1h", "6h", "1d", "3d")
SEGMENTS: Final = 10  # a moment's worst
HOURS: Final = 24


def hours(health: Health, moment: str, signal: str) -> list[list[int]]:
    """Good and bad of the last 24 hours of the clock, oldest first: [[good, bad], …]."""
    ring = health.windows.rings[-1]
    lanes = [health.lanes.get((moment, names.ALL, field)) for field in (good(signal), bad(signal))]
    starts = range(ring.top - (HOURS - 1) * HOUR_S, ring.top + 1, HOUR_S)
    return [[_cell(ring.rows.get(start), lane) for lane in lanes] for start in starts]


def _cell(row: Row | None, lane: int | None) -> int:
    return 0 if row is None or lane is None else row.get(lane)


def summaries(v: View, catalogue: Catalogue, recent: dict[tuple[str, str], list[list[int]]]) -> dict[str, bytes]:
    """By moment; `recent` has what `hours` says of each (moment, signal)."""
    rates = {w: v.burn(w) for w in WINDOWS}
    remaining = v.remaining()
    day = v.windows["1d"]
    out: dict[str, dict[str, Any]] = {m: _head(catalogue, m) for m in v.moments}
    order = np.argsort(-rates["1d"][1], kind="stable").tolist()  # the worst first, by what the evidence supports
    for i in order:
        moment, segment, signal = v.series[i]
        found = out[moment]
        if segment != names.ALL and (len(found["segments"]) == SEGMENTS or not day.bad[i]):
            continue
        entry = {
            "signal": signal,
            "objective": float(v.objectives[i]),
            "good": int(day.good[i]),
            "bad": int(day.bad[i]),
            "burn_rate": {w: round(float(rates[w][0][i]), 3) for w in WINDOWS},
            "burn_rate_low": {w: round(float(rates[w][1][i]), 3) for w in WINDOWS},
            "error_budget_remaining": round(float(remaining[i]), 4),
        }
        if segment == names.ALL:
            found["signals"].append(entry | {"hours": recent.get((moment, signal), [])})
        else:
            found["segments"].append({"segment": segment} | entry)
    for found in out.values():
        found["signals"].sort(key=lambda s: s["signal"])
    return {moment: orjson.dumps(found) for moment, found in out.items()}


def _head(catalogue: Catalogue, moment: str) -> dict[str, Any]:
    m = catalogue.moments.get(moment)
    return {
        "moment": moment,
        "title": moment if m is None else m.title,
        "tier": catalogue.discovered.tier if m is None else m.tier,
        "phase": None if m is None else m.phase,
        "owner": None if m is None else m.owner,
        "runbook": None if m is None else m.runbook,
        "declared": m is not None,
        "signals": [],  # of `all`, over one day
        "segments": [],  # the worst, over one day
    }
