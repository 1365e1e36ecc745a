"""Truth computed another way: DuckDB over the file for totals, a plain loop over the events for windows."""

import gzip
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson

Total = tuple[str, str, str, str]  # moment, segment, signal, result
DATA = Path(__file__).parents[2] / "shared" / "data"

_EVENTS = """
create table e as select
  j->>'$.type' as type, (j->>'$.time')::timestamptz as time, j->>'$.data.moment' as moment,
  coalesce(j->>'$.data.outcome', 'ok') as outcome,
  (j->>'$.data.promised_by')::timestamptz as promised_by, j->>'$.data.survey' as survey,
  (j->>'$.data.score')::double as score, j->'$.data.segment' as segment
from (select json as j from read_json_objects(?, format = 'newline_delimited'))
"""
_SERIES = """
create table s as
  select *, 'all' as seg from e
union all
  select e.*, k || '=' || (segment->>('$.' || k)) as seg
  from e, (select unnest(json_keys(segment)) as k, segment as g from (select distinct segment from e)) x
  where x.g = e.segment
"""
_TOTALS = """
select moment, seg, 'outcome', case when outcome = 'ok' then 'good' else 'bad' end, count(*)
  from s where type = 'cx.touchpoint' group by all
union all
select moment, seg, 'promise', case when outcome = 'ok' and time <= promised_by then 'good' else 'bad' end, count(*)
  from s where type = 'cx.touchpoint' and promised_by is not null group by all
union all
select moment, seg, 'csat', case when score >= 4 then 'good' else 'bad' end, count(*)
  from s where type = 'cx.feedback' and survey = 'csat' and score is not null group by all
"""


def totals(file: Path) -> dict[Total, int]:
    """The totals of a file's outcome, promise and csat signals for `all` and every dimension=value, by DuckDB."""
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    con.execute(_EVENTS, [str(file)])
    con.execute(_SERIES)
    return {(m, g, s, r): n for m, g, s, r, n in con.execute(_TOTALS).fetchall()}


def lines(file: Path) -> list[bytes]:
    """The lines of a gzipped file."""
    with gzip.open(file) as f:
        return [line.rstrip(b"\n") for line in f]


def verdicts(event: dict[str, Any]) -> dict[str, str]:
    """What one event says of outcome, promise and csat, by the contract's words."""
    data = event["data"]
    out = {}
    if event["type"] == "cx.touchpoint":
        ok = data.get("outcome", "ok") == "ok"
        out["outcome"] = "good" if ok else "bad"
        if data.get("promised_by"):
            kept = ok and datetime.fromisoformat(event["time"]) <= datetime.fromisoformat(data["promised_by"])
            out["promise"] = "good" if kept else "bad"
    elif data.get("survey") == "csat" and data.get("score") is not None:
        out["csat"] = "good" if data["score"] >= 4 else "bad"
    return out


WINDOWS = {"5m": (300, 10), "30m": (1800, 10), "1h": (3600, 60), "2h": (7200, 60), "6h": (21600, 60)}
WINDOWS |= {"1d": (86_400, 600), "3d": (259_200, 600)}


def window_counts(events: Iterable[dict[str, Any]], clock_s: float) -> Counter[tuple[str, str, str, str, str]]:
    """(moment, segment, signal, window, result) → events whose bucket starts in (floor(T) - w, floor(T)]."""
    out: Counter[tuple[str, str, str, str, str]] = Counter()
    for e in events:
        at = datetime.fromisoformat(e["time"]).timestamp()
        found = verdicts(e)
        if not found or at < clock_s - 300_000:
            continue
        data = e["data"]
        segments = ["all", *(f"{k}={v}" for k, v in data.get("segment", {}).items())]
        for window, (length, bucket) in WINDOWS.items():
            start, top = at // bucket * bucket, clock_s // bucket * bucket
            if top - length < start <= top:
                for segment in segments:
                    for signal, result in found.items():
                        out[data["moment"], segment, signal, window, result] += 1
    return out


def loads(some: Iterable[bytes]) -> list[dict[str, Any]]:
    """JSON lines."""
    return [orjson.loads(x) for x in some]
