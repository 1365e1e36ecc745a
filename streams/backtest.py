"""A file through the same core without Kafka, in event time.

Ingest is the live one (`tally.Tally`, one topic-partition for each topic), up to its packed buffer of
(bucket, code): what a code stands for is looked up once, and its counts go straight to the judges, each event in
the step in which it arrived, as in `streams.steps`.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from streams import names
from streams.catalogue import Catalogue
from streams.codes import CODE_BITS, CODE_MASK
from streams.desk import Desk
from streams.detect import Judge
from streams.events import SECOND
from streams.moles import Finding, Transition
from streams.route import Routes, segment_of
from streams.series import Series
from streams.signals import CAME, LEFT
from streams.stock import Episode, Key, Stock
from streams.tally import Refused, Tally
from streams.windows import BUCKET_S

BATCH: Final = 4096  # lines between two advances of the clock
NEVER_MS: Final = 253_402_300_800_000  # a broker's timestamp that no event is ahead of

_ANSWER, _SURVEY = names.ANSWER.encode(), names.SURVEY.encode()
Row = tuple[Series, int, int]  # series, events, bad ones


class Line(msgspec.Struct, gc=False):
    """A line of a file in the shape of a Kafka record."""

    offset: int
    value: bytes | None
    key: bytes | None = None
    timestamp: int = NEVER_MS
    timestamp_type: int = 1
    headers: Sequence[tuple[str, bytes | None]] = ()


class _Typed(msgspec.Struct, gc=False):
    type: str = ""


class Code:
    """What one code adds to its moment's series; `sign` -1 takes back what was counted in the step of its time."""

    __slots__ = ("judge", "rows", "sign")

    def __init__(self, judge: Judge, rows: list[Row], sign: int) -> None:
        self.judge = judge
        self.rows = rows
        self.sign = sign


class Source:
    """One topic of the file."""

    def __init__(self, topic: str, routes: Routes) -> None:
        self.tally = Tally(topic, 0, routes)
        self.codes: list[Code | None] = []
        self.lines: list[Line] = []
        self.offset = 0

    def add(self, value: bytes) -> None:
        self.lines.append(Line(self.offset, value))
        self.offset += 1

    def run(self) -> list[Refused]:
        refused = self.tally.run(self.lines, NEVER_MS * 1000)
        self.lines = []
        return refused


class Backtest:
    """`feed` lines, then `finish`; both give the transitions of moles. `refused` counts by reason."""

    def __init__(self, catalogue: Catalogue, stock: bool = False) -> None:
        self.catalogue = catalogue
        self.stock = Stock(catalogue.budget_period) if stock else None
        self.routes = Routes(catalogue, 1)
        self.sources = {t: Source(t, self.routes) for t in (names.TOUCHPOINTS, names.FEEDBACK)}
        self.judges: dict[str, Judge] = {}
        self.desk = Desk(catalogue)
        self.through = 0  # unix seconds: end of the last step that was judged
        self.first = 0
        self.gap = (0, 0)  # unix seconds: the longest time in which nothing came
        self.received = self.accepted = self.duplicates = 0
        self.refused: dict[str, int] = {}
        self._last = 0
        self._admitted: dict[str, dict[str, None]] = {}
        self._waiting: dict[int, dict[Code, int]] = {}  # bucket → code → events
        self._type = msgspec.json.Decoder(_Typed).decode

    def feed(self, lines: Sequence[bytes]) -> list[Transition]:
        """The next lines, in the order of the file."""
        touchpoints, feedback = self.sources.values()
        for value in lines:
            # a line is read for its type only where it has one of these words in it, or hides it behind a backslash
            spoken = _ANSWER in value or _SURVEY in value or b"\\" in value
            (feedback if spoken and self._is_feedback(value) else touchpoints).add(value)
        self._run()
        return self._advance(self._clock())

    def _is_feedback(self, value: bytes) -> bool:
        try:
            return self._type(value).type in (names.ANSWER, names.SURVEY)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False  # whatever is wrong with it, the reader says what

    def finish(self) -> list[Transition]:
        """What the last step tells. The clock stands at the latest event, as it does after a replay; its own step
        has not ended."""
        marks = [s.tally.watermark for s in self.sources.values() if s.tally.watermark is not None]
        return self._advance(max(marks) // (SECOND * BUCKET_S) * BUCKET_S) if marks else []

    def _run(self) -> None:
        for source in self.sources.values():
            tally = source.tally
            if not source.lines:
                continue
            for _, why in source.run():
                self.refused[why.reason] = self.refused.get(why.reason, 0) + 1
            if len(tally.codes) < len(source.codes):  # the cache of codes began again
                source.codes = []
            for packed in tally.take().tolist():
                code = packed & CODE_MASK
                if code > len(source.codes):
                    self._learn(source)
                what = source.codes[code - 1]
                if what is not None:
                    step = self._waiting.setdefault(packed >> CODE_BITS, {})
                    step[what] = step.get(what, 0) + 1
            tally.fresh.clear()
        tallies = [s.tally for s in self.sources.values()]
        self.received = sum(t.received for t in tallies)
        self.accepted = sum(t.accepted for t in tallies)
        self.duplicates = sum(t.duplicates for t in tallies)

    def _clock(self) -> int:
        """The end of the last step that is whole: the least watermark of the topics that keep up."""
        marks = [s.tally.watermark for s in self.sources.values() if s.tally.watermark is not None]
        if not marks:
            return 0
        late = max(marks) - int(self.catalogue.allowed_lateness * SECOND)
        return min(m for m in marks if m >= late) // (SECOND * BUCKET_S) * BUCKET_S

    def _learn(self, source: Source) -> None:
        """Looks up the codes that are new."""
        tally = source.tally
        for code in range(len(source.codes) + 1, len(tally.codes) + 1):
            rows: list[Row] = []
            sign, judge = 1, None
            for i in tally.codes.lanes(code):
                moment, segment, field = tally.ledger.names[i]
                if field[-1] in (LEFT, CAME):
                    sign = -1 if field[-1] == LEFT else 1
                    field = field[:-1]
                if field[-1] in "+-":
                    moment, segment = self._admit(moment, segment)
                    judge = self.judge(moment)
                    rows.append((judge.series(segment, field[:-1]), 1, int(field[-1] == "-")))
            source.codes.append(None if judge is None else Code(judge, rows, sign))

    def judge(self, moment: str) -> Judge:
        """The judge of a moment; made on first sight."""
        found = self.judges.get(moment)
        if found is None:
            found = self.judges[moment] = Judge(self.catalogue, moment)
        return found

    def _admit(self, moment: str, segment: str) -> tuple[str, str]:
        """First come, as `Health` does it for the moments that it owns."""
        if moment not in self.catalogue.moments and moment != names.OTHER:
            moment = self._first("", moment, self.catalogue.discovered.limit)
        dimension, _, value = segment.partition("=")
        known = self.catalogue.dimensions.get(dimension)
        if known is not None and known.values is None and value != names.OTHER:
            segment = segment_of(dimension, self._first(f"{moment}\0{dimension}", value, known.limit))
        return moment, segment

    def _first(self, scope: str, name: str, limit: int) -> str:
        some = self._admitted.setdefault(scope, {})
        if name not in some:
            if len(some) >= limit:
                return names.OTHER
            some[name] = None
        return name

    def _advance(self, end: int) -> list[Transition]:
        """Judges every step that ends at or before `end`."""
        if end <= self.through:
            return []
        found: list[Finding] = []
        for bucket in sorted(b for b in self._waiting if (b + 1) * BUCKET_S <= end):
            codes = self._waiting.pop(bucket)
            if (bucket + 1) * BUCKET_S <= self.through:  # of a topic that fell behind; judged with the next step
                later = self._waiting.setdefault(self.through // BUCKET_S, {})
                for code, n in codes.items():
                    later[code] = later.get(code, 0) + n
                continue
            self.first = self.first or bucket * BUCKET_S
            self._came(bucket * BUCKET_S)
            for judge, rows in self._rows(codes):
                if self.stock is not None:
                    for s, n, bad in rows:
                        self.stock.add((judge.moment, s.segment, s.signal), (bucket + 1) * BUCKET_S, n, bad)
                found += judge.step_rows((bucket + 1) * BUCKET_S, rows)
        self._came(end)
        for judge in self.judges.values():
            while judge.due is not None and judge.due <= end:
                found += judge.step_rows(judge.due, ())
        self.through = end
        found.sort(key=lambda f: (f.at, f.moment, f.segment, f.signal, f.kind))
        told: list[Transition] = []
        at = 0
        while at < len(found):
            until = at
            while until < len(found) and found[until].at == found[at].at:
                until += 1
            told += self.desk.advance(found[at].at, found[at:until])
            at = until
        return [*told, *self.desk.advance(end, ())]

    def _came(self, at: int) -> None:
        if self._last and at - self._last > self.gap[1] - self.gap[0]:
            self.gap = (self._last, at)
        self._last = at

    def stock_episodes(self) -> dict[Key, list[Episode]]:
        """What multi-window burn-rate alerts, one set a series, would have fired; voices have none."""
        if self.stock is None:
            return {}
        return {
            key: self.stock.episodes(key, self.judges[key[0]].objectives[key[2]])
            for key in self.stock.counts
            if not key[1].startswith("voice=")
        }

    def _rows(self, codes: dict[Code, int]) -> Iterator[tuple[Judge, list[Row]]]:
        """A step's rows by judge, each series once."""
        by: dict[str, list[tuple[Code, int]]] = {}
        for code, n in codes.items():
            by.setdefault(code.judge.moment, []).append((code, n))
        for moment in sorted(by) if len(by) > 1 else by:
            some = by[moment]
            code, n = some[0]
            if len(some) == 1 and n == code.sign == 1:
                yield code.judge, code.rows
            elif all(code.sign == 1 for code, _ in some):
                yield code.judge, [row for code, n in some for row in code.rows * n]
            elif rows := _merged(some):  # what came late leaves nothing in the step of its time
                yield code.judge, rows


def _merged(codes: list[tuple[Code, int]]) -> list[Row]:
    series: dict[int, Series] = {}
    cells: dict[int, list[int]] = {}
    for code, count in codes:
        signed = count * code.sign
        for s, n, bad in code.rows:
            cell = cells.get(id(s))
            if cell is None:
                series[id(s)] = s
                cells[id(s)] = [n * signed, bad * signed]
            else:
                cell[0] += n * signed
                cell[1] += bad * signed
    return [(series[k], n, bad) for k, (n, bad) in cells.items() if n > 0]
