"""`--max-series`, as `Viewer.view(limit)` keeps it: what is shown first, what is refused, what is counted all the
same."""

import logging

import numpy as np
import pytest

from agents.metrics import Notice
from streams import names
from streams.view import Series, View, Viewer, views
from tests.core import answer, touchpoint
from tests.test_view import at, health_of

REGION, PLAN = {"region": "eu"}, {"plan": "free"}


def viewer() -> Viewer:
    """Two moments with waits and scores, for all and in segments."""
    touchpoints = [touchpoint(segment=REGION, wait_s=3), touchpoint(segment=PLAN, wait_s=50, outcome="failed")]
    answers = [answer(segment=REGION, score=5), answer(segment=PLAN, score=1), answer(survey="nps", score=8)]
    return Viewer(health_of(touchpoints, answers))


def scored(v: View) -> set[Series]:
    """The series of which a score is shown."""
    return {(*s.asked[i], s.survey) for s in v.scores for i in s.at}


def test_of_ten_series_and_more_the_limit_shows_those_of_whole_moments_and_says_how_many_it_refuses() -> None:
    free = viewer().view()
    v = viewer().view(3)
    assert len(free.series) >= 10
    assert (len(v.series), v.refused) == (3, len(free.series) - 3)
    assert {segment for _, segment, _ in v.series} == {names.ALL}
    assert free.refused == 0


@pytest.mark.parametrize("limit", [-1, 0, 1, 5, 14, 10_000])
def test_whatever_the_limit_what_is_shown_is_shown_as_without_it(limit: int) -> None:
    free, v = viewer().view(), viewer().view(limit)
    assert len(v.series) == min(max(limit, 0), len(free.series))
    assert len(v.series) + v.refused == len(free.series)
    where = [at(free, *s) for s in v.series]
    assert v.ever.bad.tolist() == free.ever.bad[where].tolist()
    assert v.objectives.tolist() == free.objectives[where].tolist()
    assert v.budget.good.tolist() == free.budget.good[where].tolist()
    assert np.array_equal(v.burn("1h"), np.array(free.burn("1h"))[:, where])


@pytest.mark.parametrize("limit", [0, 1, 5, 8, 14])
def test_scores_and_waits_of_a_refused_series_are_refused_with_it(limit: int) -> None:
    free, v = viewer().view(), viewer().view(limit)
    assert scored(free) - set(free.series) == set()
    assert scored(v) == scored(free) & set(v.series)
    waited = {m for m, segment, signal in v.series if (segment, signal) == (names.ALL, "wait")}
    assert {w.moment for w in v.waits} == waited


def test_what_is_refused_is_counted_all_the_same() -> None:
    events = [touchpoint(segment=REGION), touchpoint(segment=REGION, outcome="failed")]
    limited = Viewer(health_of(events))
    assert ("pay", "region=eu", "outcome") not in limited.view(3).series
    v = limited.view()
    i = at(v, "pay", "region=eu", "outcome")
    assert (v.ever.good[i], v.ever.bad[i]) == (1, 1)


@pytest.mark.parametrize("limit", [0, 3, 6, 20, 10_000])
def test_segments_of_one_partition_do_not_crowd_out_the_moments_of_the_next(limit: int) -> None:
    free = viewer().view()
    wholes = sum(segment == names.ALL for _, segment, _ in free.series)
    first, second = views([viewer(), viewer()], limit)
    shown = [s for v in (first, second) for s in v.series]
    assert len(shown) == min(limit, 2 * len(free.series))
    assert len(shown) + first.refused + second.refused == 2 * len(free.series)
    assert sum(segment == names.ALL for _, segment, _ in shown) == min(limit, 2 * wholes)


@pytest.mark.parametrize(
    ("seen", "said"), [([0, 0], []), ([0, 4, 7, 0, 9], ["4 series are over --max-series 3"]), ([2], ["2 series"])]
)
def test_the_first_scrape_that_lacks_some_says_so_in_the_log_and_no_other(
    seen: list[int], said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    notice = Notice(3)
    with caplog.at_level(logging.WARNING, "molehill"):
        for refused in seen:
            notice.of(refused)
    found = [r.getMessage() for r in caplog.records if r.name == "molehill"]
    assert len(found) == len(said)
    assert all(text.startswith(start) for text, start in zip(found, said, strict=True))
