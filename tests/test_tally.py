"""tally.py, through journal and health: totals and windows are exact through any cut, crash and restart."""

from collections import Counter

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from streams import names
from streams.tally import Tally
from tests import corpus
from tests.core import FAR_MS, HOUR_S, Event, Record, body, records, routes, touchpoint
from tests.expected import WINDOWS, Expected, micros_of
from tests.pipeline import SOURCES, Pipeline, budget_of, totals_of, window_of
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
