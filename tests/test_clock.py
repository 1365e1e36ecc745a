"""clock.py: the contract's paragraph "The clock", sentence by sentence."""

from hypothesis import given
from hypothesis import strategies as st

from streams.clock import Clock, Progress, Source

S = 1_000_000
H = 3600 * S
A, B, C = ("a", 0), ("a", 1), ("b", 0)


def clock(*reports: tuple[Source, int | None, bool], expected: int | None = None, now: int = 0) -> Clock:
    made = Clock(len({s for s, _, _ in reports}) if expected is None else expected, now)
    for source, watermark, idle in reports:
        made.report(source, Progress(watermark, idle))
    return made


def test_it_is_the_minimum_over_the_active_sources() -> None:
    assert clock((A, 70, False), (B, 50, False), (C, 90, False)).advance() == 50


def test_an_idle_source_does_not_hold_it_back() -> None:
    assert clock((A, 70, False), (B, 50, True), (C, 90, False)).advance() == 70


def test_a_source_that_is_ahead_and_idle_does_not_pull_it() -> None:
    assert clock((A, 70, False), (B, 90, True)).advance() == 70


def test_a_source_that_never_had_an_event_and_is_idle_does_not_hold_it_back() -> None:
    assert clock((A, 70, False), (B, None, True)).advance() == 70


def test_an_active_source_without_an_event_yet_holds_it() -> None:
    assert clock((A, 70, False), (B, None, False)).advance() == 0


def test_when_all_are_idle_it_is_the_maximum() -> None:
    assert clock((A, 70, True), (B, 50, True), (C, None, True)).advance() == 70


def test_when_nothing_ever_had_an_event_it_stays_unknown_even_with_a_wall() -> None:
    assert clock((A, None, True), (B, None, True)).advance(wall=10) == 0


def test_when_all_are_idle_it_follows_a_wall_within_the_hour() -> None:
    c = clock((A, 10 * H, True), (B, 9 * H, True))
    assert c.advance(wall=10 * H + 5 * S) == 10 * H + 5 * S
    assert c.advance(wall=11 * H + 5 * S) == 11 * H + 5 * S  # and goes on: it is within the hour of itself


def test_at_an_hour_from_the_wall_it_follows_and_beyond_it_stands_still() -> None:
    assert clock((A, 10 * H, True)).advance(wall=11 * H) == 11 * H
    assert clock((A, 10 * H, True)).advance(wall=11 * H + 1) == 10 * H


def test_a_wall_that_is_behind_does_not_pull_it_back() -> None:
    assert clock((A, 10 * H, True)).advance(wall=10 * H - 5 * S) == 10 * H


def test_while_one_is_active_the_wall_does_not_count() -> None:
    assert clock((A, 10 * H, True), (B, 9 * H, False)).advance(wall=10 * H + S) == 9 * H


def test_it_blocks_until_every_expected_source_has_reported() -> None:
    c = clock((A, 70, False), (B, 90, False), expected=3)
    assert c.advance() == 0
    c.report(C, Progress(None, idle=True))
    assert c.advance() == 70


def test_it_does_not_go_back_when_a_slower_source_wakes() -> None:
    c = clock((A, 70, False), (B, 50, True))
    assert c.advance() == 70
    c.report(B, Progress(55, idle=False))
    assert c.advance() == 70
    c.report(B, Progress(75, idle=False))
    c.report(A, Progress(80, idle=False))
    assert c.advance() == 75


def test_an_older_report_does_not_take_a_watermark_back() -> None:
    c = clock((A, 70, False))
    c.report(A, Progress(60, idle=False))
    c.report(A, Progress(None, idle=False))
    assert (c.advance(), c.sources[A].watermark) == (70, 70)


reports = st.lists(
    st.tuples(
        st.sampled_from([A, B, C]),
        st.none() | st.integers(0, 4 * H),
        st.booleans(),
        st.none() | st.integers(0, 4 * H),
    ),
    max_size=30,
)


@given(reports)
def test_whatever_is_reported_it_never_goes_back_and_never_passes_all_watermarks_and_walls(
    some: list[tuple[Source, int | None, bool, int | None]],
) -> None:
    c, before, highest = Clock(3), 0, 0
    for source, watermark, idle, wall in some:
        c.report(source, Progress(watermark, idle))
        highest = max(highest, watermark or 0, wall or 0)
        now = c.advance(wall)
        assert before <= now <= highest
        before = now


@given(reports)
def test_it_says_what_the_contract_says_of_the_newest_reports(
    some: list[tuple[Source, int | None, bool, int | None]],
) -> None:
    c, now = Clock(2), 0
    marks: dict[Source, int | None] = {}
    idles: dict[Source, bool] = {}
    for source, watermark, idle, wall in some:
        c.report(source, Progress(watermark, idle))
        known = [m for m in (marks.get(source), watermark) if m is not None]
        marks[source], idles[source] = max(known, default=None), idle
        if len(marks) >= 2:
            active = [marks[s] for s in marks if not idles[s]]
            if not active and any(m is not None for m in marks.values()):
                now = max(now, *(m for m in marks.values() if m is not None))
                if wall is not None and -H <= wall - now <= H:
                    now = max(now, wall)
            elif active and None not in active:
                now = max(now, min(m for m in active if m is not None))
        assert c.advance(wall) == now
