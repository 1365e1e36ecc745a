"""Who is blamed: segments by how surprising their bad share is beside the rest's."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.baseline import Group
from streams.blame import blame, counted, dimension, wider
from streams.detect import Judge
from streams.evidence import MIN_BAD, surprise
from streams.moles import Contributor
from tests.core import catalogue

T = 1_700_006_400
Counts = dict[str, tuple[int, int]]  # segment → good, bad


def group(counts: Counts) -> Group:
    """A moment that saw these counts in one step."""
    judge = Judge(catalogue(), "pay")
    judge.step(T + 10, [(segment, "outcome", good, bad) for segment, (good, bad) in counts.items()])
    return judge.state.groups["outcome"]


OUTAGE: Counts = {
    "all": (880, 120),
    "carrier=AA": (40, 60), "carrier=MQ": (55, 45), "carrier=UA": (785, 15),
    "origin=LGA": (580, 108), "origin=EWR": (300, 12),
}  # fmt: skip
"""Two carriers fail, most of whose flights leave one airport."""


def test_the_failing_segments_are_named_and_narrow_ones_come_first() -> None:
    found = blame(group(OUTAGE), T, ())
    assert [c.segment for c in found[:2]] == ["carrier=AA", "carrier=MQ"]
    assert "carrier=UA" not in {c.segment for c in found}
    assert (found[0].bad, found[0].total) == (60, 100)


def test_who_is_blamed_is_no_part_of_the_rest() -> None:
    excess = {c.segment: c.excess for c in blame(group(OUTAGE), T, ())}
    assert excess["carrier=AA"] == round(60 - 100 * 15 / 800, 1), "beside UA alone"
    assert excess["carrier=MQ"] == round(45 - 100 * 15 / 800, 1)


def test_a_segment_that_raised_an_alarm_comes_first() -> None:
    g = group(OUTAGE)
    assert blame(g, T, [(g, "origin=LGA", T)])[0].segment == "origin=LGA"


def test_nobody_is_blamed_where_all_fail_alike() -> None:
    alike: Counts = {"all": (700, 300), "plan=free": (350, 150), "plan=pro": (350, 150)}
    assert blame(group(alike), T, ()) == ()


def test_two_bad_events_are_no_blame() -> None:
    assert blame(group({"all": (98, 2), "plan=pro": (0, 2), "plan=free": (98, 0)}), T, ()) == ()


def test_a_probe_is_no_customer() -> None:
    assert blame(group({"all": (900, 9), "voice=probe": (0, 50)}), T, ()) == ()


pairs = st.tuples(st.integers(0, 60), st.integers(0, 60))


@given(pairs, pairs, st.dictionaries(st.sampled_from("abcd"), pairs))
def test_who_is_blamed_never_has_more_good_or_bad_events_than_the_mole(
    mole: tuple[int, int], more: tuple[int, int], own: dict[str, tuple[int, int]]
) -> None:
    whole = [max(mole[i] + more[i], *(n[i] for n in own.values()), 0) for i in (0, 1)]
    counts = {segment: (good + bad, bad) for segment, (good, bad) in {**own, "all": whole}.items()}
    for c in counted("abcd", ("all", sum(mole), mole[1]), counts):
        good, bad = own[c.segment]
        assert (c.total - c.bad, c.bad) == (min(good, mole[0]), min(bad, mole[1]))
        assert c.bad >= MIN_BAD
        assert 0 <= c.excess <= c.bad


def test_who_is_hurt_by_another_signal_is_told_by_the_moles_or_not_at_all() -> None:
    counts = {"all": (500, 90), "a": (100, 40), "b": (85, 7), "c": (2, 2)}
    expected = (Contributor("a", 40, 100, 27.5),)  # 40 of 100, and of the others 50 of 400
    assert counted("abc", ("all", 500, 90), counts) == expected


def test_a_segments_mole_is_told_with_its_own_figures_beside_the_rest_of_the_moment() -> None:
    counts = {"all": (500, 90), "a": (110, 40), "b": (90, 40)}
    found = counted("ab", ("a", 100, 40), counts)  # ten good ones in the block, before the harm
    assert found == (Contributor("a", 40, 100, round(40 - 100 * 50 / 390, 1)), Contributor("b", 40, 90, 29.0))


def test_trouble_is_wider_where_the_rest_would_raise_the_alarm_alone() -> None:
    base: Counts = {"all": (700, 300), "plan=free": (200, 200), "plan=pro": (500, 100)}
    assert wider(group(base), T, ["plan=free"])
    narrow: Counts = {"all": (799, 201), "plan=free": (200, 200), "plan=pro": (599, 1)}
    assert not wider(group(narrow), T, ["plan=free"])


@given(st.integers(1, 500), st.floats(0.001, 0.999), st.data())
def test_surprise_is_the_log_of_a_likelihood_ratio(n: int, rest: float, data: st.DataObject) -> None:
    b = data.draw(st.integers(1, n))
    p = b / n
    ratio = [(p / rest) if bad else (1 - p) / (1 - rest) for bad in [True] * b + [False] * (n - b)]
    truth = sum(math.log(r) for r in ratio)
    assert surprise(n, b, rest) == pytest.approx(truth, abs=1e-6)
    assert surprise(n, b, rest) >= -1e-9


@pytest.mark.parametrize(("segment", "expected"), [("all", ""), ("plan=pro", "plan"), ("a=b=c", "a")])
def test_a_segment_tells_its_dimension(segment: str, expected: str) -> None:
    assert dimension(segment) == expected


def test_a_segment_whose_blocks_reach_back_further_than_its_moments_is_no_error() -> None:
    g = group({"all": (20, 9), "plan=pro": (0, 10)})  # ten bad of the nine that `all` still knows
    assert [(c.segment, c.bad, c.total) for c in blame(g, T, ())] == [("plan=pro", 10, 10)]
