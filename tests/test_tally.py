"""tally.py, through journal and health: totals and windows are exact through any cut, crash and restart."""

from collections import Counter

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from streams import names
from streams.tally import Tally
from streams.view import view
from tests import corpus
from tests.core import FAR_MS, HOUR_S, TEXT, Event, Record, answer, body, records, routes, touchpoint
from tests.expected import WINDOWS, Expected, micros_of
from tests.pipeline import SOURCES, Pipeline, budget_of, shown, totals_of, window_of
from tests.strategies import distinct, events_of, touchpoints

ROUTES = routes()
SOME_BAD = ("cut off", "a null value", "no id", "an unknown type", "no customer", "csat 6", "no such survey")
BAD = {topic: [b for b in corpus.BAD if b.topic == topic and b.name in SOME_BAD] for topic, _ in SOURCES}
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)  # smaller cases have tests of their own
Script = dict[tuple[str, int], list[Event | corpus.Bad]]


@st.composite
def scripts(draw: st.DrawFn, size: int = 12) -> Script:
    """What each source holds: events of any time, some twice, some bad messages among them."""
    out: Script = {}
    n = 0
    for source in SOURCES:
        some: list[Event | corpus.Bad] = []
        for e in draw(st.lists(events_of(source[0]), max_size=size)):
            n += 1
            some.append({**e, "id": f"{n}"})
            match draw(st.integers(0, 5)):
                case 0:
                    some.append(some[-1])
                case 1:
                    some.append(draw(st.sampled_from(some)))
                case 2:
                    some.append(draw(st.sampled_from(BAD[source[0]])))
        out[source] = some
    return out


def made(script: Script) -> dict[tuple[str, int], list[Record]]:
    return {
        source: [
            Record(i, e.value, headers=e.headers) if isinstance(e, corpus.Bad) else Record(i, body(e))
            for i, e in enumerate(some)
        ]
        for source, some in script.items()
    }


def expected_of(script: Script) -> Expected:
    out = Expected(ROUTES.catalogue)
    for source, some in script.items():
        out.read(source, [e.reason if isinstance(e, corpus.Bad) else e for e in some])
    return out


def assert_exact(p: Pipeline, expected: Expected) -> None:
    """Counts of each source, totals, and every window at the clock of now."""
    assert p.counts() == {source: +count for source, count in expected.counts.items()}
    for count in p.counts().values():
        refused = sum(count[reason] for reason in names.REASONS)
        assert count["received"] == count["accepted"] + count["duplicates"] + refused
    assert {tp: o.tally.watermark for tp, o in p.owners.items()} == expected.watermarks
    for idle in (False, True):
        p.frontier(idle)
        healths = p.healths()
        assert totals_of(healths) == expected.totals()
        [clock] = {h.clock.now for h in healths}
        if clock:
            for window in WINDOWS:
                assert window_of(healths, window) == expected.window(window, clock), window
            assert budget_of(healths) == expected.budget(clock)


@settings(max_examples=60)
@given(scripts(), st.data(), st.booleans())
def test_totals_and_windows_are_exact_wherever_batches_and_flushes_are_cut(
    script: Script, data: st.DataObject, chunked: bool
) -> None:
    p = Pipeline(ROUTES, made(script), chunked)
    for _ in range(data.draw(st.integers(0, 12))):
        source = data.draw(st.sampled_from(SOURCES))
        if data.draw(st.booleans()):
            p.feed(source, data.draw(st.integers(0, 9)))
        else:
            p.flush(source)
    p.finish()
    assert_exact(p, expected_of(script))


@settings(max_examples=120)
@given(scripts(), st.data(), st.booleans())
def test_totals_and_windows_are_exact_after_crashes_at_any_point_of_a_flush(
    script: Script, data: st.DataObject, chunked: bool
) -> None:
    p = Pipeline(ROUTES, made(script), chunked)
    for _ in range(data.draw(st.integers(1, 20))):
        source = data.draw(st.sampled_from(SOURCES))
        match data.draw(st.sampled_from(["feed", "feed", "flush", "kill", "kill in a flush"])):
            case "feed":
                p.feed(source, data.draw(st.integers(1, 9)))
            case "flush":
                p.flush(source)
            case "kill":
                p.restart(source)
            case _:
                sent = p.prepare(source)
                if sent is not None:
                    rows = data.draw(st.integers(0, len(sent.rows)), "rows")
                    some = {t: data.draw(st.integers(0, len(sent.messages)), "messages") for t in p.tallies}
                    p.send(source, sent, rows, some)
                p.restart(source)
    p.finish()
    assert_exact(p, expected_of(script))


@settings(max_examples=120)
@given(scripts(), st.data(), st.booleans())
def test_a_zombie_that_flushes_once_more_after_its_successor_started_changes_nothing(
    script: Script, data: st.DataObject, chunked: bool
) -> None:
    p = Pipeline(ROUTES, made(script), chunked)
    zombies = []
    for _ in range(data.draw(st.integers(1, 20))):
        source = data.draw(st.sampled_from(SOURCES))
        match data.draw(st.sampled_from(["feed", "feed", "flush", "succeed", "zombie", "kill"])):
            case "feed":
                p.feed(source, data.draw(st.integers(1, 9)))
            case "flush":
                p.flush(source)
            case "succeed":
                zombies.append((source, p.restart(source)))
            case "zombie" if zombies:
                source, zombie = zombies.pop(data.draw(st.integers(0, len(zombies) - 1)))
                p.feed(source, data.draw(st.integers(0, 9)), zombie)
                p.flush(source, zombie)
            case "kill":
                p.restart(source)
    p.finish()
    for source in SOURCES:  # and whoever comes next finds the truth, whichever fork it takes
        p.restart(source)
    p.finish()
    assert_exact(p, expected_of(script))


def far(name: str, hour: float) -> Event:
    return touchpoint(name, hour * HOUR_S)


def test_a_zombie_that_flushes_twice_after_its_successor_started_counts_nothing_twice() -> None:
    """Its second flush closes buckets in health, which the successor's first flush, behind it, tells again."""
    source = (names.TOUCHPOINTS, 0)
    p = Pipeline(ROUTES, {source: records([far("0", 0), far("1", 1), far("2", 3), far("3", 5), far("4", 5.1)])})
    p.feed(source, 1)
    p.flush(source)
    zombie = p.restart(source)
    p.feed(source, 2, zombie)
    p.flush(source, zombie)
    p.feed(source, 1, zombie)
    p.flush(source, zombie)
    p.finish()
    p.frontier(idle=True)
    healths = p.healths()
    assert totals_of(healths) == {("pay", "all", "outcome", "good"): 5}
    assert window_of(healths, "1d") == {("pay", "all", "outcome", "good"): 5}


@settings(max_examples=60, phases=UNSHRUNK)
@given(scripts(), st.data())
def test_any_number_of_zombies_that_flush_at_will_change_nothing(script: Script, data: st.DataObject) -> None:
    p = Pipeline(ROUTES, made(script))
    zombies = []
    for _ in range(data.draw(st.integers(5, 25))):
        source = data.draw(st.sampled_from(SOURCES))
        match data.draw(st.sampled_from(["feed", "flush", "succeed", "zombie", "zombie", "zombie"])):
            case "feed":
                p.feed(source, data.draw(st.integers(1, 9)))
            case "flush":
                p.flush(source)
            case "succeed":
                zombies.append((source, p.restart(source)))
            case "zombie" if zombies:
                source, zombie = data.draw(st.sampled_from(zombies))
                p.feed(source, data.draw(st.integers(0, 9)), zombie)
                p.flush(source, zombie)
    p.finish()
    assert_exact(p, expected_of(script))


LATENESS_S = HOUR_S
in_reach = st.integers(0, 30 * HOUR_S).map(lambda s: s / 10)


@settings(max_examples=60)
@given(
    st.lists(touchpoints(in_reach), max_size=25),
    st.data(),
    st.integers(1, 9),
)
def test_the_order_within_the_allowed_lateness_and_repeats_change_nothing(
    events: list[Event], data: st.DataObject, batch: int
) -> None:
    """Each event twice, both at most the allowed lateness after anything newer."""
    jitter = st.integers(0, LATENESS_S)
    source = (names.TOUCHPOINTS, 0)
    timed: list[tuple[float, int, Event]] = []
    for i, e in enumerate(distinct(events)):
        at = micros_of(e["time"]) / 1e6
        timed += [(at + data.draw(jitter), i, e), (at + data.draw(jitter), i, e)]
    shuffled = [e for _, _, e in sorted(timed, key=lambda x: x[:2])]
    p = Pipeline(ROUTES, {source: records(shuffled)})
    while p.owners[source].tally.offset + 1 < len(shuffled):
        p.feed(source, batch)
        p.flush(source)
    assert p.counts()[source] == +Counter(received=2 * len(events), accepted=len(events), duplicates=len(events))
    plain = Expected(ROUTES.catalogue, accepted=events)
    p.frontier(idle=True)
    healths = p.healths()
    assert totals_of(healths) == plain.totals()
    if events:
        clock = max(micros_of(e["time"]) for e in events)
        assert {h.clock.now for h in healths} == {clock}
        for window in WINDOWS:
            assert window_of(healths, window) == plain.window(window, clock)


@settings(max_examples=40)
@given(scripts(), st.permutations(SOURCES), st.permutations(SOURCES))
def test_how_the_topics_interleave_changes_nothing(
    script: Script, one: list[tuple[str, int]], other: list[tuple[str, int]]
) -> None:
    found = []
    for order in (one, other):
        p = Pipeline(ROUTES, made(script))
        for step in (1, 3, 100):
            for source in order:
                p.feed(source, step)
                p.flush(source)
        p.frontier(idle=True)
        healths = p.healths()
        found.append((totals_of(healths), [window_of(healths, w) for w in WINDOWS], budget_of(healths)))
    assert found[0] == found[1]


def test_an_id_used_again_at_another_time_counts_the_same_wherever_flushes_are_cut() -> None:
    """Counting is a function of the records: what a flush forgets, a tally without that flush must forget too."""
    some = records([touchpoint("x", 0), touchpoint("y", 2 * HOUR_S), touchpoint("x", 2 * HOUR_S)])
    found = []
    for cut in (1, 2, 3):
        tally = Tally(names.TOUCHPOINTS, 0, ROUTES)
        tally.run(some[:cut], FAR_MS * 1000)
        tally.flush("a", snapshot=False)
        tally.run(some[cut:], FAR_MS * 1000)
        found.append((tally.accepted, tally.duplicates))
    assert len(set(found)) == 1


@settings(max_examples=60, phases=UNSHRUNK)
@given(st.lists(touchpoints(st.integers(0, 5 * HOUR_S).map(float)), max_size=25), st.data())
def test_ids_that_are_used_again_at_any_time_do_not_make_a_replay_differ(
    events: list[Event], data: st.DataObject
) -> None:
    events = [{**e, "id": f"{i % 5}"} for i, e in enumerate(events)]
    source = (names.TOUCHPOINTS, 0)
    found = []
    for _ in range(2):
        p = Pipeline(ROUTES, {source: records(events)})
        for _ in range(data.draw(st.integers(0, 4))):
            p.feed(source, data.draw(st.integers(1, 9)))
            p.flush(source)
        p.finish()
        found.append((p.counts(), totals_of(p.healths())))
    assert found[0] == found[1]


def test_a_batch_that_comes_again_is_not_counted_again() -> None:
    tally = Tally(names.TOUCHPOINTS, 0, ROUTES)
    some = records(distinct([touchpoint()] * 5))
    tally.run(some[:3], FAR_MS * 1000)
    tally.run(some[1:], FAR_MS * 1000)
    assert tally.run(some, FAR_MS * 1000) == []
    assert (tally.received, tally.accepted, tally.duplicates, tally.offset) == (5, 5, 0, 4)


# Time


@pytest.mark.parametrize(
    ("ahead_s", "timestamp_type", "broker_s", "wall_s", "reason"),
    [
        (300, 1, 0, 0, None),
        (300.000001, 1, 0, 0, "from_future"),
        (300.000001, 1, 0, 10**6, "from_future"),  # LogAppendTime: the wall does not count
        (300, 1, 0, -(10**6), None),
        (300, 0, 0, 0, None),
        (300.000001, 0, 10**6, 0, "from_future"),  # CreateTime: the record's timestamp does not count
        (300, 0, -(10**6), 0, None),
    ],
)
def test_an_event_over_five_minutes_ahead_is_from_the_future(
    ahead_s: float, timestamp_type: int, broker_s: int, wall_s: int, reason: str | None
) -> None:
    base_ms = 1709251200000
    record = Record(
        0, body(touchpoint("1", ahead_s)), timestamp=base_ms + broker_s * 1000, timestamp_type=timestamp_type
    )
    tally = Tally(names.TOUCHPOINTS, 0, ROUTES)
    refused = tally.run([record], (base_ms + wall_s * 1000) * 1000)
    assert [why.reason for _, why in refused] == ([] if reason is None else [reason])
    assert (tally.watermark is None) == (reason is not None)


def test_refused_and_repeated_events_do_not_move_the_watermark() -> None:
    tally = Tally(names.TOUCHPOINTS, 0, ROUTES)
    some = [touchpoint("1", 0), touchpoint("1", 500), touchpoint("2", 9 * HOUR_S, moment="Not a slug")]
    tally.run(records(some), FAR_MS * 1000)
    assert tally.watermark == micros_of(some[0]["time"])


def test_from_the_future_comes_before_too_late_and_too_late_before_a_duplicate() -> None:
    tally = Tally(names.TOUCHPOINTS, 0, ROUTES)
    some = records([touchpoint("1", 0), touchpoint("2", 2 * HOUR_S), touchpoint("1", 0)])
    future = Record(3, body(touchpoint("1", 0)), timestamp=0)
    refused = tally.run([*some, future], 0)
    assert [why.reason for _, why in refused] == ["too_late", "from_future"]


def test_what_was_too_late_stays_so_after_the_allowed_lateness_has_grown() -> None:
    source = (names.TOUCHPOINTS, 0)
    p = Pipeline(ROUTES, {source: records([touchpoint("1", 0), touchpoint("2", 3 * HOUR_S), touchpoint("1", 0)])})
    p.feed(source, 2)
    p.flush(source)
    p.routes = routes(text=TEXT.replace("allowed_lateness: 1h", "allowed_lateness: 12h"))
    p.restart(source)
    p.finish()
    assert p.counts()[source] == Counter(received=3, accepted=2, too_late=1)


# Admission


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
