"""The two loads, their catalogues, and their truth.

`sparse` is the flights out of New York: some events a minute, so that every 10 s bucket holds one or two and
whatever is paid for each bucket shows. `dense` is generated: 10,000 events a minute, so that what is paid for
each event shows. Both are files of JSON lines, written once; DuckDB computes the truth from the file.
"""

import gzip
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import orjson

from tests.bench.shape import Totals
from tests.integration.catalogues import FLIGHTS as SPARSE_CATALOGUE
from tests.truth import DATA

FLIGHTS = DATA / "flights-jan-apr.jsonl.gz"
FLIGHTS_EVENTS = 214_927
COPY_WEEKS = 18  # the file spans 17 weeks and 2 days: copies follow one another
SEED = 7
PER_MINUTE = 10_000
DUPLICATES = 0.02
RECENT = 1_000  # a duplicate repeats one of so many events: about 6 s of event time, far within the lateness
JITTER_MS = 20_000  # events come up to so much out of order
BEGIN = datetime(2025, 1, 6, tzinfo=UTC)  # fixed, for determinism; the past, as a backlog is
MOMENTS = ("browse", "search", "checkout", "payment", "dispatch", "delivery", "support", "returns")
Dimensions = dict[str, tuple[str, ...]]
DIMENSIONS: Dimensions = {
    "region": ("north", "south", "east", "west", "overseas"),
    "plan": ("free", "pro", "team"),
    "channel": ("web", "ios", "android", "phone"),
}
_MOMENT = """\
  {name}:
    title: {name}
    tier: important
    signals: {{outcome: {{objective: 95%}}, promise: {{objective: 90%}}, need: {{objective: 90%}}}}
"""
_DENSE = """\
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: dense}
segments:
"""


def dense_catalogue(dimensions: Dimensions) -> str:
    """The moments of the dense load, by these dimensions."""
    segments = "".join(f"  {k}: {{values: [{', '.join(v)}]}}\n" for k, v in dimensions.items())
    return f"{_DENSE}{segments}moments:\n" + "".join(_MOMENT.format(name=m) for m in MOMENTS)


CATALOGUES = {"sparse": SPARSE_CATALOGUE, "dense": dense_catalogue(DIMENSIONS)}
DEFAULT_EVENTS = {"sparse": 3 * FLIGHTS_EVENTS, "dense": 600_000}  # drains of some seconds

# First come by identity; a repeat has the same values. Dimensions become series by unpivoting their keys.
_TRUTH = """
with e as (
  select distinct on (j->>'$.source', j->>'$.id')
    (j->>'$.time')::timestamptz as time, j->>'$.data.moment' as moment,
    coalesce(j->>'$.data.outcome', 'ok') = 'ok' as ok,
    (j->>'$.data.promised_by')::timestamptz as promised_by,
    (j->>'$.data.need_met')::boolean as need, j->'$.data.segment' as segment
  from (select json as j from read_json_objects(?, format = 'newline_delimited'))
), v as (
  select moment, segment, 'outcome' as signal, ok as good, count(*) as n from e group by all
  union all
  select moment, segment, 'promise', ok and time <= promised_by, count(*) from e
    where promised_by is not null group by all
  union all
  select moment, segment, 'need', need, count(*) from e where need is not null group by all
), s as (
  select moment, 'all' as seg, signal, good, n from v
  union all
  select moment, k || '=' || (segment->>('$.' || k)), signal, good, n
    from (select *, unnest(json_keys(segment)) as k from v)
)
select moment, seg, signal, if(good, 'good', 'bad'), sum(n)::bigint from s group by all
"""


@dataclass(frozen=True)
class Load:
    """A backlog as a file, and what a right answer says of it."""

    name: str
    file: Path
    events: int
    duplicates: int
    truth: Totals

    @property
    def catalogue(self) -> str:
        """The moments of this load."""
        return CATALOGUES[self.name]

    def topic(self, kind: str) -> str:
        """The source topic; `kind` is touchpoints or feedback."""
        return f"bench.{self.name}.{self.events}.{kind}"


def make(name: str, events: int, home: Path) -> Load:
    """Writes a load of exactly so many lines."""
    file = home / f"{name}-{events}.jsonl"
    with file.open("wb") as out:
        for line in sparse(events) if name == "sparse" else dense(events):
            out.write(line + b"\n")
    duplicates = events - unique(file)
    return Load(name, file, events, duplicates, truth(file))


def truth(file: Path) -> Totals:
    """The totals of outcome, promise and need for `all` and every dimension=value, each identity once."""
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        return {(m, g, s, r): n for m, g, s, r, n in con.execute(_TRUTH, [str(file)]).fetchall()}


def unique(file: Path) -> int:
    """How many identities a file has."""
    query = """select count(distinct (json->>'$.source', json->>'$.id'))
        from read_json_objects(?, format = 'newline_delimited')"""
    with duckdb.connect() as con:
        row = con.execute(query, [str(file)]).fetchone()
    return int(row[0]) if row else 0


def sparse(events: int) -> Iterator[bytes]:
    """The first so many flights; past the file's end they fly again, 18 weeks later and with new ids."""
    for i in range(-(-events // FLIGHTS_EVENTS)):
        with gzip.open(FLIGHTS) as lines:
            for n, line in enumerate(lines, i * FLIGHTS_EVENTS):
                if n == events:
                    return
                yield _copied(line, i) if i else line.rstrip(b"\n")


def _copied(line: bytes, i: int) -> bytes:
    event = orjson.loads(line)
    event["id"] += f"-copy-{i}"
    event["time"] = _later(event["time"], i)
    if "promised_by" in event["data"]:
        event["data"]["promised_by"] = _later(event["data"]["promised_by"], i)
    return orjson.dumps(event)


def _later(time: str, i: int) -> str:
    return text(datetime.fromisoformat(time) + timedelta(weeks=COPY_WEEKS * i))


def text(time: datetime) -> str:
    """RFC 3339 in UTC, with milliseconds only where there are some."""
    return time.isoformat(timespec="milliseconds" if time.microsecond else "seconds")[:-6] + "Z"


def dense(events: int, seed: int = SEED) -> Iterator[bytes]:
    """Generated touchpoints in rough order of time, with 2 % repeats; the same bytes for the same arguments."""
    chance = random.Random(seed)
    recent: list[bytes] = []
    step_ms = 60_000 / PER_MINUTE
    for i in range(events):
        # None among the last ones: a repeat changes nothing, so nobody could see that it has been counted.
        if len(recent) >= RECENT and i < events - RECENT and chance.random() < DUPLICATES:
            yield recent[int(chance.random() * RECENT)]
            continue
        at = BEGIN + timedelta(milliseconds=int(i * step_ms + JITTER_MS * chance.random()))
        line = touchpoint(chance, at)
        if len(recent) < RECENT:
            recent.append(line)
        else:
            recent[i % RECENT] = line
        yield line


def touchpoint(chance: random.Random, at: datetime, dimensions: Dimensions = DIMENSIONS) -> bytes:
    """One event of the dense load, some 400 bytes."""
    pick = chance.random
    segment = ",".join(f'"{k}":"{v[int(pick() ** 2 * len(v))]}"' for k, v in dimensions.items())
    promised = at + timedelta(milliseconds=int(pick() * 60_000) - 4_000)
    customer = f"c{int(pick() * 50_000):05d}"
    outcome = "ok" if pick() < 0.95 else "failed"
    return (
        f'{{"specversion":"1.0","type":"cx.touchpoint","source":"/shop/web","id":"{chance.getrandbits(96):024x}",'
        f'"time":"{_millis(at)}","data":{{"moment":"{MOMENTS[int(pick() ** 2 * len(MOMENTS))]}",'
        f'"customer":"{customer}","journey":"j-{chance.getrandbits(32):08x}","segment":{{{segment}}},'
        f'"outcome":"{outcome}","need_met":{"true" if pick() < 0.93 else "false"},'
        f'"duration_s":{pick() * 30:.2f},"promised_by":"{_millis(promised)}"}}}}'
    ).encode()


def _millis(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")[:-6] + "Z"
