"""dedupe.py: nothing is forgotten while it could still count, and everything is forgotten after."""

from hypothesis import given
from hypothesis import strategies as st

from streams.dedupe import SLICES, Dedupe
from streams.tally import Tally
from tests.core import FAR_MS, HOUR_S, Record, body, routes, touchpoint

S = 1_000_000
times = st.integers(0, 20 * HOUR_S).map(lambda s: s * S)


def remember(d: Dedupe, time: int, source: str, name: str) -> None:
    d.add([(d.end_of(time), source, [name])])


@given(st.integers(0, 48 * HOUR_S), times)
def test_the_slice_of_a_time_holds_it_and_is_no_longer_than_an_eighth_of_the_lateness_or_10_s(
    lateness_s: int, time: int
) -> None:
    d = Dedupe(lateness_s * S)
    end = d.end_of(time)
    assert end - d.slice <= time < end
    assert d.slice == max(lateness_s * S // SLICES, 10 * S)


@given(st.dictionaries(st.tuples(st.sampled_from("ab"), st.text(max_size=3)), times), times)
def test_what_is_not_too_late_is_known_and_what_is_an_eighth_older_is_not(
    events: dict[tuple[str, str], int], floor: int
) -> None:
    d = Dedupe(HOUR_S * S)
    for (source, name), time in events.items():
        remember(d, time, source, name)
    d.evict(floor)
    for (source, name), time in events.items():
        known = name in d.seen.get(source, ())
        assert known or time < floor
        assert not known or time >= floor - HOUR_S * S // 8
    assert len(d) == sum(map(len, d.seen.values()))
    assert all(d.seen.values())  # no source is kept for nothing


@given(st.dictionaries(st.tuples(st.sampled_from("ab"), st.text(max_size=3)), times), times)
def test_a_dump_added_to_another_makes_it_the_same(events: dict[tuple[str, str], int], floor: int) -> None:
    a, b = Dedupe(HOUR_S * S), Dedupe(HOUR_S * S)
    for (source, name), time in events.items():
        remember(a, time, source, name)
    b.add(a.dump())
    a.evict(floor)
    b.evict(floor)
    assert a.seen == b.seen
    assert [sorted((e, s, sorted(i)) for e, s, i in x.dump()) for x in (a, b)] == [
        sorted((e, s, sorted(i)) for e, s, i in b.dump())
    ] * 2


def test_memory_is_bounded_by_what_one_lateness_holds_however_long_it_runs() -> None:
    """One event a second: at most an hour, an eighth of it, and what came since the last flush."""
    tally = Tally("cx.touchpoints", 0, routes())
    most = 0
    for minute in range(0, 12 * 60):
        first = minute * 60
        batch = [Record(i, body(touchpoint(f"{i}", i))) for i in range(first, first + 60, 6)]
        tally.run(batch, FAR_MS * 1000)
        tally.flush(f"{minute}", snapshot=False)
        most = max(most, len(tally.dedupe))
    assert tally.accepted == 12 * 60 * 10
    assert 600 <= most <= 600 * 9 / 8 + 10
    assert sum(len(ids) for _, _, ids in tally.dedupe.dump()) == len(tally.dedupe)


def test_the_same_id_of_another_source_is_another_event() -> None:
    tally = Tally("cx.touchpoints", 0, routes())
    some = [touchpoint("1"), {**touchpoint("1"), "source": "other"}, touchpoint("1"), touchpoint("2")]
    tally.run([Record(i, body(e)) for i, e in enumerate(some)], FAR_MS * 1000)
    assert (tally.accepted, tally.duplicates) == (3, 1)


def test_a_repeat_within_the_lateness_is_a_duplicate_and_an_older_one_is_too_late() -> None:
    tally = Tally("cx.touchpoints", 0, routes())
    some = [
        touchpoint("1", 0),
        touchpoint("2", HOUR_S),
        touchpoint("1", 0),
        touchpoint("3", HOUR_S + 0.000001),
    ]
    refused = tally.run([Record(i, body(e)) for i, e in enumerate([*some, touchpoint("1", 0)])], FAR_MS * 1000)
    assert (tally.accepted, tally.duplicates, [why.reason for _, why in refused]) == (3, 1, ["too_late"])
