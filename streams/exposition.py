"""The samples of which there are tens for each series, in the exposition format of Prometheus.

Everything else on `/metrics` is few, and prometheus_client's. Its objects for each sample took 0.48 to 0.63 CPU
seconds for 50,000 samples (17.5 s for the 1.4 million of 45,000 series), a line of text for each 0.025 (0.65 s).
Names, labels, their order, their escapes and numbers below a million are the same, byte for byte: a test says so.

    # HELP cx_window_events Events in a sliding window.
    # TYPE cx_window_events gauge
    cx_window_events{moment="pay",result="good",segment="all",signal="outcome",window="5m"} 12.0
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from streams import names
from streams.intervals import Floats, mean_interval, nps_interval
from streams.view import Counts, Scores, View
from streams.windows import WINDOWS

PART: Final = 256  # series in one piece of text: at most 3,600 lines, some 2 ms
Numbers = npt.NDArray[np.int64] | Floats
Samples = Iterator[tuple[str, str, Numbers]]  # labels between moment and segment, labels at the end, a value a series


@dataclass(frozen=True)
class Bulk:
    """A family with as many samples for each series as `of` gives columns."""

    name: str
    kind: str
    what: str
    of: Callable[[View, slice], Samples]

    @property
    def sample(self) -> str:
        """The name of its samples."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    def head(self, openmetrics: bool) -> str:
        """What stands before its samples; OpenMetrics names a counter without the suffix of its samples."""
        name = self.name if openmetrics else self.sample
        return f"# HELP {name} {self.what}\n# TYPE {name} {self.kind}\n"


def _both(counts: Counts, window: str = "") -> Samples:
    yield 'result="good",', window, counts.good
    yield 'result="bad",', window, counts.bad


def _windows(v: View, some: slice) -> Samples:
    for window in WINDOWS:
        yield from _both(v.windows[window].part(some), f',window="{window}"')


def _burn(which: int) -> Callable[[View, slice], Samples]:
    def of(v: View, some: slice) -> Samples:
        for window in WINDOWS:
            yield "", f',window="{window}"', v.burn(window, some)[which]

    return of


SERIES: Final = (
    Bulk(names.EVENTS, "counter", "Events ever counted for a signal.", lambda v, some: _both(v.ever.part(some))),
    Bulk(names.WINDOW_EVENTS, "gauge", "Events in a sliding window.", _windows),
    Bulk(names.BURN, "gauge", "Bad share over the share that the objective allows.", _burn(0)),
    Bulk(names.BURN_LOW, "gauge", "The same from the lower bound of the bad share (Wilson, 95 %).", _burn(1)),
    Bulk(
        names.BUDGET,
        "gauge",
        "Share of the error budget that is left over the budget period.",
        lambda v, some: iter((("", "", v.remaining(some)),)),
    ),
)
BOUNDS: Final = ("as measured", "lower end of the 95 % interval", "upper end of the 95 % interval")
MEANS: Final = (names.SCORE_MEAN, names.SCORE_LOW, names.SCORE_HIGH)
SHARES: Final = (names.NPS, names.NPS_LOW, names.NPS_HIGH)


def exposition(views: Sequence[View], openmetrics: bool, wanted: Collection[str] = ()) -> Iterator[bytes]:
    """The text, in pieces of some milliseconds each; with `wanted` only the samples of those names."""
    labels = _Labels()
    for bulk in SERIES:
        if wanted and bulk.sample not in wanted:
            continue
        head = bulk.head(openmetrics)
        for v in views:
            for begin in range(0, len(v.series), PART):
                some = slice(begin, min(begin + PART, len(v.series)))
                yield (head + "".join(_lines(bulk.sample, labels.of(v, some), bulk.of(v, some)))).encode()
                head = ""
    yield from _scores(views, wanted)


def _lines(name: str, labels: Sequence[tuple[str, str]], samples: Samples) -> Iterator[str]:
    for between, after, numbers in samples:
        yield "".join(
            [
                f"{name}{{{moment}{between}{rest}{after}}} {value}\n"
                for (moment, rest), value in zip(labels, _texts(numbers), strict=True)
            ]
        )


def _texts(numbers: Numbers) -> Iterable[str]:
    """As prometheus_client writes them below a million: 1.0, 0.25."""
    return map(repr, numbers.astype(np.float64).tolist())


class _Labels:
    """What stands for a series between the braces, made once for all families."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, int], list[tuple[str, str]]] = {}
        self.escaped = cache(escaped)

    def of(self, v: View, some: slice) -> list[tuple[str, str]]:
        key = id(v), some.start
        found = self.known.get(key)
        if found is None:
            quote = self.escaped
            found = self.known[key] = [
                (f'moment="{quote(m)}",', f'segment="{quote(s)}",signal="{quote(g)}"') for m, s, g in v.series[some]
            ]
        return found


def _scores(views: Sequence[View], wanted: Collection[str]) -> Iterator[bytes]:
    for names_, what, surveys in ((MEANS, "Mean score", None), (SHARES, "Net promoter share", "nps")):
        for which, (name, bound) in enumerate(zip(names_, BOUNDS, strict=True)):
            head = f"# HELP {name} {what}, {bound}.\n# TYPE {name} gauge\n"
            for s in (s for v in views for s in v.scores if surveys in (None, s.survey)):
                if wanted and name not in wanted:
                    break
                for begin in range(0, len(s.at), PART * 8):
                    some = slice(begin, begin + PART * 8)
                    values = (mean if surveys is None else share)(s, some)[which]
                    yield (head + "".join(_score_lines(name, s, some, values))).encode()
                    head = ""


def mean(s: Scores, some: slice) -> tuple[Floats, Floats, Floats]:
    """Mean scores with their bounds."""
    return mean_interval(s.n[some], s.total[some] / 1000, s.squares[some] / 1_000_000)


def share(s: Scores, some: slice) -> tuple[Floats, Floats, Floats]:
    """Net promoter shares with their bounds."""
    return nps_interval(s.promoters[some], s.detractors[some], s.n[some])


def _score_lines(name: str, s: Scores, some: slice, values: Floats) -> Iterator[str]:
    for i, value in zip(s.at[some].tolist(), _texts(values), strict=True):
        moment, segment = s.asked[i]
        yield (
            f'{name}{{moment="{escaped(moment)}",segment="{escaped(segment)}",'
            f'survey="{s.survey}",window="{s.window}"}} {value}\n'
        )


def escaped(label: str) -> str:
    """A label's value."""
    return label.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
