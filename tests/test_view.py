"""view.py: what is exported of a partition's health, against the contract's formulas."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from streams import names
from streams.health import Health
from streams.route import Routes
from streams.tally import Tally
from streams.view import View, view
from streams.wire import Frontier, encode
from tests.core import BASE_S, HOUR_S, TEXT, Event, answer, records, routes, touchpoint
from tests.expected import segments_of
from tests.strategies import answers, distinct

ONE = routes(1)


def health_of(touchpoints: list[Event], answers: Sequence[Event] = (), by: Routes = ONE) -> Health:
    """One partition that owns everything; the clock is the newest event."""
    health = Health(by, 0, 2)
    marks: list[tuple[str, int, int | None, bool]] = []
    for topic, events in ((names.TOUCHPOINTS, touchpoints), (names.FEEDBACK, answers)):
        tally = Tally(topic, 0, by)
        assert tally.run(records(distinct(events)), 10**18) == []
        for target, message in tally.flush("f", snapshot=False).messages:
            if target >= 0:
                health.apply(health.offset + 1, message)
        marks.append((topic, 0, tally.watermark, True))
    health.apply(health.offset + 1, encode(Frontier("w", 0, marks)))
    return health


def at(v: View, *series: str) -> int:
    return v.series.index(series)  # type: ignore[arg-type]


def test_before_any_event_burn_is_zero_and_the_budget_whole() -> None:
    v = view(health_of([]))
    for window in v.windows:
        burn, low = v.burn(window)
        assert not burn.any()
        assert not low.any()
    assert v.remaining().tolist() == [1.0] * len(v.series)
    assert v.scores == []
    assert [w.buckets[-1] for w in v.waits] == [(float("inf"), 0)]
    assert sorted(v.moments) == ["browse", "pay"]


@given(st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=40)
def test_burn_is_the_bad_share_over_what_the_objective_allows_and_its_low_end_wilsons(good: int, bad: int) -> None:
    v = view(health_of([touchpoint()] * good + [touchpoint(outcome="failed")] * bad))
    i, n = at(v, "pay", "all", "outcome"), good + bad
    burn, low = v.burn("1h")
    assert (v.ever.good[i], v.ever.bad[i]) == (good, bad)
    assert burn[i] == pytest.approx(bad / n / 0.01 if n else 0)
    assert low[i] == pytest.approx(proportion_confint(bad, n, method="wilson")[0] / 0.01 if n else 0, abs=1e-9)
    assert v.remaining()[i] == pytest.approx(1 - (bad / n / 0.01 if n else 0))


def test_an_overspent_budget_is_below_zero() -> None:
    v = view(health_of([touchpoint()] * 97 + [touchpoint(outcome="failed")] * 3))
    assert v.remaining()[at(v, "pay", "all", "outcome")] == pytest.approx(-2)


def test_the_budget_covers_its_period_and_the_total_everything() -> None:
    v = view(health_of([touchpoint(outcome="failed"), touchpoint(at_s=5 * 24 * HOUR_S)]))
    #  hours    0       1                120
    #           | bad   |  …             |T good       budget period 5d: starts in (0, 120]
    i = at(v, "pay", "all", "outcome")
    assert (v.budget.good[i], v.budget.bad[i]) == (1, 0)
    assert (v.ever.good[i], v.ever.bad[i]) == (1, 1)
    assert v.clock == (BASE_S + 5 * 24 * HOUR_S) * 1_000_000


def test_a_declared_moment_shows_its_signals_only_and_a_discovered_one_those_that_it_carries() -> None:
    v = view(health_of([touchpoint(need_met=True, duration_s=1), touchpoint(moment="new", need_met=True, wait_s=1)]))
    assert {g for m, _, g in v.series if m == "pay"} == {"outcome", "need", "wait", "promise", "csat", "nps"}
    assert {g for m, _, g in v.series if m == "new"} == {"outcome", "need"}
    assert v.objectives[at(v, "new", "all", "need")] == 0.9


def test_a_segment_that_was_seen_shows_every_declared_signal() -> None:
    v = view(health_of([touchpoint(segment={"region": "eu"})]))
    assert {g for m, s, g in v.series if (m, s) == ("pay", "region=eu")} == set(ONE.catalogue.moments["pay"].signals)


def test_probes_and_the_company_are_shown_beside_the_customers() -> None:
    v = view(health_of([touchpoint(probe=True, outcome="failed")], [answer(score=5, voice="company")]))
    assert v.ever.bad[at(v, "pay", "voice=probe", "outcome")] == 1
    assert v.ever.good[at(v, "pay", "voice=company", "csat")] == 1
    assert v.ever.bad[at(v, "pay", "all", "outcome")] == 0


@settings(max_examples=60)
@given(st.lists(answers(st.integers(0, 1800).map(float)), max_size=25))
def test_scores_are_counted_summed_and_squared_for_each_segment_and_window(events: list[Event]) -> None:
    health = health_of([], sorted(events, key=lambda e: str(e["time"])))
    plain: dict[tuple[str, str, str], list[float]] = {}
    for e in events:
        d = e["data"]
        declared = ONE.catalogue.moments.get(d["moment"])
        if e["type"] == "cx.feedback" and "score" in d and (declared is None or d["survey"] in declared.signals):
            for segment in segments_of(e, ONE.catalogue):
                plain.setdefault((d["moment"], segment, d["survey"]), []).append(d["score"])
    found = {
        (*s.asked[i], s.survey): counts
        for s in view(health).scores
        if s.window == "1h"
        for i, *counts in np.column_stack((s.at, s.n, s.total, s.squares, s.promoters, s.detractors)).tolist()
    }
    assert set(found) == set(plain)
    for key, scores in plain.items():
        n, total, squares, promoters, detractors = found[key]
        assert n == len(scores)
        assert total / 1000 == pytest.approx(sum(scores))
        assert squares / 1e6 == pytest.approx(float((np.array(scores) ** 2).sum()))
        if key[2] == "nps":
            assert (promoters, detractors) == (sum(x >= 9 for x in scores), sum(x <= 6 for x in scores))


@given(st.lists(st.sampled_from([0, 0.5, 1, 1.5, 30, 30.5, 3600, 3601, 1e300]), max_size=20))
@settings(max_examples=50)
def test_the_histogram_of_waits_is_cumulative_and_ends_in_everything(waits: list[float]) -> None:
    [shown] = view(health_of([touchpoint(wait_s=w) for w in waits])).waits
    assert [edge for edge, _ in shown.buckets] == sorted({edge for edge, _ in shown.buckets})
    assert {30.0, float("inf")} <= {edge for edge, _ in shown.buckets}
    for edge, n in shown.buckets:
        assert n == sum(w <= edge for w in waits)
    assert shown.sum_s == pytest.approx(sum(min(w, 1e9) for w in waits))


@pytest.mark.parametrize(
    ("within", "seconds"),
    [("45s", 45), ("1.5s", 1.5), ("250ms", 0.25), ("14d1h1m6s", 1213266), ("1h1ms", 3600.001)],
)
def test_within_is_a_bucket_that_holds_exactly_the_good_waits(within: str, seconds: float) -> None:
    by = routes(1, TEXT.replace("within: 30s", f"within: {within}"))
    waits = [seconds, np.nextafter(seconds, 0), np.nextafter(seconds, 1e9), 3600.0, 0]
    v = view(health_of([touchpoint(wait_s=float(w)) for w in waits], by=by))
    [shown] = v.waits
    good = sum(w <= seconds for w in waits)
    assert v.ever.good[at(v, "pay", "all", "wait")] == good
    assert dict(shown.buckets)[seconds] == good
    assert dict(shown.buckets)[3600.0] == sum(w <= 3600 for w in waits)


def test_a_changed_within_loses_no_wait_of_the_past() -> None:
    old = health_of([touchpoint(wait_s=7), touchpoint(wait_s=29)])
    new = Health(routes(1, TEXT.replace("within: 30s", "within: 7s")), 0, 2)
    new.restore(old.snapshot())
    [shown] = view(new).waits
    assert dict(shown.buckets)[30.0] == dict(shown.buckets)[float("inf")] == 2


def test_a_signal_or_dimension_that_the_catalogue_drops_is_shown_no_more_and_neither_are_its_scores() -> None:
    old = health_of([touchpoint(need_met=True)], [answer(score=5, segment={"region": "eu"})])
    text = TEXT.replace("      csat: {objective: 80%}\n", "").replace("  region: {limit: 4}\n", "")
    new = Health(routes(1, text), 0, 2)
    new.restore(old.snapshot())
    v = view(new)
    assert "csat" not in {g for _, _, g in v.series}
    assert not any(s.startswith("region=") for _, s, _ in v.series)
    assert v.scores == []


def test_looking_changes_nothing() -> None:
    health = health_of([touchpoint(wait_s=1), touchpoint(moment="new")], [answer(score=5)])
    before = health.snapshot()
    view(health)
    view(health)
    assert health.snapshot() == before
