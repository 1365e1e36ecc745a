"""intervals.py against statsmodels and numpy."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from streams.intervals import Z, mean_interval, nps_interval, ratio, wilson_low
from tests.core import ints

totals = st.integers(1, 10**7)


@given(st.lists(totals.flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=20))
def test_the_wilson_bound_is_that_of_statsmodels(some: list[tuple[int, int]]) -> None:
    found = wilson_low(ints(*(b for b, _ in some)), ints(*(n for _, n in some)))
    for low, (bad, n) in zip(found, some, strict=True):
        expected, _ = proportion_confint(bad, n, alpha=0.05, method="wilson")
        assert low == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(totals.flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_wilson_bound_lies_between_zero_and_the_ratio(some: tuple[int, int]) -> None:
    bad, n = some
    [low] = wilson_low(ints(bad), ints(n))
    assert 0 <= low <= bad / n
    assert (low == 0) == (bad == 0)


def test_nothing_at_all_is_a_ratio_and_a_bound_of_zero() -> None:
    assert ratio(ints(0, 1), ints(0, 4)).tolist() == [0, 0.25]
    assert wilson_low(ints(0), ints(0)).tolist() == [0]
    assert wilson_low(ints(), ints()).tolist() == []


def test_z_is_the_97_5th_percentile_of_the_normal_distribution() -> None:
    assert pytest.approx(NormalDist().inv_cdf(0.975), abs=1e-12) == Z


@given(st.lists(st.integers(1000, 10_000), min_size=2, max_size=200))
def test_a_mean_and_its_bounds_are_numpys(milli: list[int]) -> None:
    scores = np.array(milli) / 1000
    found = [
        x.item() for x in mean_interval(ints(len(milli)), scores.sum(keepdims=True), (scores**2).sum(keepdims=True))
    ]
    spread = 1.959963984540054 * scores.std(ddof=1) / np.sqrt(len(scores))
    expected = [scores.mean(), scores.mean() - spread, scores.mean() + spread]
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_mean_of_one_score_has_no_width() -> None:
    assert [x.tolist() for x in mean_interval(ints(1), np.array([4.0]), np.array([16.0]))] == [[4.0]] * 3


@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=300))
def test_a_net_promoter_share_and_its_bounds_are_those_of_the_scores_minus_one_zero_and_one(
    some: list[int],
) -> None:
    """Each answer is +1, 0 or −1, so the share is their mean, and √((p + d − (p − d)²) / n) its standard error."""
    share, low, high = (x.item() for x in nps_interval(ints(some.count(1)), ints(some.count(-1)), ints(len(some))))
    spread = 1.959963984540054 * np.std(some) / np.sqrt(len(some))
    assert share == pytest.approx(np.mean(some))
    assert low == pytest.approx(max(np.mean(some) - spread, -1), abs=1e-7)
    assert high == pytest.approx(min(np.mean(some) + spread, 1), abs=1e-7)
