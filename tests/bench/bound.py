"""What could be found at all: a scan that knows what no judge can.

It knows the ordinary bad share and how much days differ, and looks at each mole through a window that begins and ends
with it. It keeps to the false moles that issue 5 allows, 2.5 in 100 moment-weeks: half of them for `all` and half for
the segments, an equal part for each doubling of a window's length between 15 minutes and two days.

A window of length w that slides over ordinary events comes to k bad ones `(k f(k) − (k + 1) f(k + 1)) / w` times in a
unit of time, f(k) being the chance of k in one window: Alm's rate of a Poisson process, (k − μ) f(k) / w (Glaz, Naus
and Wallenstein, Scan Statistics, 2001, ch. 11), meant over the days, whose levels are a gamma distribution here.
"""

import math
from typing import Final

from scipy.stats import nbinom, poisson

from tests.bench import shop

FALSE: Final = 2.5 / 100  # in a moment's week
OCTAVES: Final = math.log2(2 * shop.DAY_S / (15 * 60))


def crossings(bad: int, ordinary: float, cv: float, length_s: float, span_s: float) -> float:
    """How often in a span a sliding window comes to so many bad events, where so many are ordinary in one window and
    days differ by `cv`."""
    if cv:
        shape = max(1.0, length_s / shop.DAY_S) / cv**2  # a window of many days has the mean of their levels
        f = nbinom(shape, shape / (shape + ordinary)).pmf
    else:
        f = poisson(ordinary).pmf
    return float(bad * f(bad) - (bad + 1) * f(bad + 1)) * span_s / length_s


def possible(label: shop.Label, cv: float) -> bool:
    """Whether the scan finds it."""
    ordinary, length = shop.BASE * label.events, label.end - label.start
    allowed = FALSE / 2 / OCTAVES / (1 if label.segment == "all" else len(shop.NAMES) - 1)
    return label.bad > ordinary and crossings(label.bad, ordinary, cv, length, shop.WEEK_S) <= allowed
