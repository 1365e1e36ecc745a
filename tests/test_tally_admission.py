"""tally.py: which moments and values ingest lets through, and where each is shown."""

import pytest

from streams import names
from streams.tally import Tally
from streams.view import view
from tests.core import FAR_MS, TEXT, answer, records, routes, touchpoint
from tests.pipeline import Pipeline, shown, totals_of
from tests.strategies import distinct

ROUTES = routes()


def test_ingest_lets_ten_times_the_limit_through_and_counts_the_rest_as_other() -> None:
    tally = Tally(names.TOUCHPOINTS, 0, ROUTES)
    some = [touchpoint(segment={"region": f"r{i}"}) for i in range(45)]
    some += [touchpoint(moment=f"new-{i}") for i in range(35)]
    some += some[:45:9] + some[45::7]
    tally.run(records(distinct(some)), FAR_MS * 1000)
    tally.flush("f", snapshot=False)
    totals = {lane: int(tally.ledger.totals[i]) for lane, i in tally.ledger.lanes.items()}
    regions = {s: n for (m, s, f), n in totals.items() if m == "pay" and s.startswith("region=")}
    assert len(regions) == 41
    assert regions["region=other"] == 5
    assert sum(regions.values()) == 50
    moments = {m: n for (m, s, f), n in totals.items() if m != "pay" and s == "all"}
    assert len(moments) == 31
    assert moments["other"] == 5
    assert sum(moments.values()) == 40


def test_a_segments_value_of_over_128_characters_counts_as_other() -> None:
    tally = Tally(names.TOUCHPOINTS, 0, ROUTES)
    some = [touchpoint(segment={"region": "x" * n}) for n in (128, 129)]
    tally.run(records(distinct(some)), FAR_MS * 1000)
    tally.flush("f", snapshot=False)
    assert {s for _, s, _ in tally.ledger.lanes} == {"all", "region=" + "x" * 128, "region=other"}


def test_more_distinct_keys_than_the_cache_holds_are_counted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.codes.MAX_CODES", 7)
    some = distinct([touchpoint(segment={"region": f"r{i % 31}"}, need_met=i % 3 == 0) for i in range(300)])
    source = (names.TOUCHPOINTS, 0)
    p = Pipeline(ROUTES, {source: records(some)})
    for _ in range(100):
        p.feed(source, 3)
        assert len(p.owners[source].tally.codes) <= 7 + 3
    p.finish()
    totals = p.owners[source].tally.ledger
    assert totals.totals[totals.lanes["pay", "all", "outcome+"]] == 300
    assert totals.totals[totals.lanes["pay", "all", "need+"]] == 100
    assert totals.totals[totals.lanes["pay", "region=r4", "outcome+"]] == 10


def test_a_moment_without_a_limit_left_has_no_name_of_its_own_when_nothing_is_discovered() -> None:
    none = routes(text=TEXT.replace("limit: 3", "limit: 0"))
    source = (names.TOUCHPOINTS, 0)
    p = Pipeline(none, {source: records(distinct([touchpoint(moment="new"), touchpoint(moment="newer")]))})
    p.finish()
    assert totals_of(p.healths()) == {("other", "all", "outcome", "good"): 2}


def test_declared_and_discovered_moments_are_shown_by_exactly_one_partition() -> None:
    some = distinct([touchpoint(moment=m) for m in ("pay", "browse", "new-1", "new-2")])
    source = (names.TOUCHPOINTS, 0)
    p = Pipeline(ROUTES, {source: records(some)})
    p.finish()
    by = [set(shown(v, v.ever.good, v.ever.bad)) for v in map(view, p.healths())]
    assert sum(map(len, by)) == 4
    assert {k[0] for k in set.union(*by)} == {"pay", "browse", "new-1", "new-2"}


def test_feedback_and_touchpoints_of_one_moment_meet_in_one_place() -> None:
    p = Pipeline(
        ROUTES,
        {
            (names.TOUCHPOINTS, 0): records([touchpoint("1", outcome="failed")]),
            (names.FEEDBACK, 0): records([answer("1", score=5)]),  # the same id, on another topic
        },
    )
    p.finish()
    assert totals_of(p.healths()) == {("pay", "all", "outcome", "bad"): 1, ("pay", "all", "csat", "good"): 1}
