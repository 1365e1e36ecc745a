"""windows.py against a naive sum."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.windows import FEW, HOUR_S, LOOSE, RESOLUTIONS, WINDOWS, Ahead, Ints, Ring, Row, Windows
from tests.core import BASE_S, DAY_S, ints

BUDGET_S = 5 * DAY_S
BUCKET_OF = {"5m": 10, "30m": 10, "1h": 60, "2h": 60, "6h": 60, "1d": 600, "3d": 600}
WIDE = FEW + 500  # so many lanes that rows are packed
LANES = (0, 1, WIDE - 1)
S = 1_000_000

starts = st.one_of(st.integers(0, 60), st.integers(0, 720), st.integers(0, 7 * DAY_S // 10)).map(
    lambda i: BASE_S + 10 * i
)
values = st.one_of(st.integers(0, 5), st.sampled_from([255, 256, 65_536, 1 << 32, 1 << 40]))
cells = st.lists(st.tuples(starts, st.sampled_from(LANES), values), max_size=8)
steps = st.lists(st.one_of(cells, starts.flatmap(lambda s: st.integers(s, s + 9))), max_size=12)


def ring(resolution_s: int, longest_s: int, clock_s: int, *cells: tuple[int, int]) -> Ring:
    made = Ring(resolution_s, longest_s)
    made.advance(clock_s, 1)
    for start, value in cells:
        made.add(ints(start), ints(0), ints(value), 1)
    return made


def put(w: Windows, some: list[tuple[int, int, int]]) -> None:
    w.add(ints(*(s for s, _, _ in some)), ints(*(x for _, x, _ in some)), ints(*(v for _, _, v in some)), WIDE)


def test_a_window_of_30_s_at_clock_47_covers_the_buckets_that_start_in_10_to_40() -> None:
    r = ring(10, 30, 47, (0, 1), (10, 2), (20, 4), (30, 8), (40, 16), (50, 32))
    #  start    0    10   20   30   40   50
    #           | 1  | 2  | 4  | 8  | 16 | 32 |
    #                     [####|####|##T#]         starts in (40 - 30, 40]
    assert r.sums(30, 1).tolist() == [4 + 8 + 16]


def test_the_window_moves_when_the_clock_enters_the_next_bucket_and_not_before() -> None:
    r = ring(10, 30, 47, (20, 4), (30, 8), (40, 16), (50, 32))
    r.advance(49, 1)
    #  start    20   30   40   50
    #           | 4  | 8  | 16 | 32 |
    #           [####|####|###T]              at 49: starts in (10, 40]
    assert r.sums(30, 1).tolist() == [4 + 8 + 16]
    r.advance(50, 1)
    #           | 4  | 8  | 16 | 32 |
    #                [####|####|T###]         at 50: starts in (20, 50]
    assert r.sums(30, 1).tolist() == [8 + 16 + 32]


def test_a_coarse_window_rounds_clock_and_cells_to_its_own_bucket() -> None:
    r = ring(60, 120, 185, (50, 1), (60, 2), (110, 4), (170, 8), (180, 16), (240, 32))
    #  start    0         60        120       180       240
    #           |      1  | 2    4  |      8  | 16      | 32
    #                               [#########|T########]      starts in (180 - 120, 180]
    assert r.sums(120, 1).tolist() == [8 + 16]


def test_a_late_cell_counts_in_every_window_that_it_falls_in() -> None:
    w = Windows(BUDGET_S)
    w.advance((BASE_S + 7200) * S)
    put(w, [(BASE_S + 7200 - 1800, 0, 1)])
    #  start  -1800            -300          0
    #           | 1             |            |
    #           (               (###### 5m ##T]
    #           (########### 30m ############T]      open on its left: the bucket that starts at −1800 is out
    #     (################# 1h #############T]
    found = {name: int(w.sums(name)[0]) for name in WINDOWS}
    assert found == {"5m": 0, "30m": 0, "1h": 1, "2h": 1, "6h": 1, "1d": 1, "3d": 1}


def test_what_is_ahead_of_the_clock_comes_in_with_it_and_only_then() -> None:
    w = Windows(BUDGET_S)
    w.advance(BASE_S * S)
    put(w, [(BASE_S + 300, 0, 7)])
    for clock_s in (0, 299):  # buckets of 10 min: that of the cell is that of the clock already
        w.advance((BASE_S + clock_s) * S)
        assert [int(w.sums(name)[0]) for name in WINDOWS] == [0, 0, 0, 0, 0, 7, 7]
    w.advance((BASE_S + 300) * S)
    assert [int(w.sums(name)[0]) for name in WINDOWS] == [7] * 7


def test_a_lead_of_a_day_waits_once_and_a_step_of_the_clock_touches_its_own_hour_only() -> None:
    w = Windows(BUDGET_S)
    w.advance(BASE_S * S)
    put(w, [(BASE_S + s, 0, 1) for s in range(0, DAY_S, 10)])
    for clock_s in (0, 10, 3590):
        w.advance((BASE_S + clock_s) * S)
        assert w.ahead.size == 23 * 360
        assert [len(r.ahead) for r in w.rings] == [359 - clock_s // 10, 59 - clock_s // 60, 5 - clock_s // 600, 0]
    w.advance((BASE_S + 2 * DAY_S) * S)
    assert w.ahead.size == 0
    assert not any(r.ahead for r in w.rings)


@given(st.lists(st.one_of(cells, starts), max_size=12))
def test_what_is_of_a_later_hour_comes_due_once_and_in_its_hour(
    script: list[int | list[tuple[int, int, int]]],
) -> None:
    ahead, hour = Ahead(), 0
    waits, got = Counter[tuple[int, int, int]](), Counter[tuple[int, int, int]]()
    for step in script:
        if isinstance(step, int):
            hour = max(hour, step // HOUR_S)
            given = ahead.advance(step)
        else:
            waits.update(step)
            given = ahead.add(*(ints(*(cell[i] for cell in step)) for i in range(3)))
        got.update(zip(*(x.tolist() for x in given), strict=True))
        assert got == Counter({c: n for c, n in waits.items() if c[0] // HOUR_S <= hour})
        rest = Counter(zip(*(x.tolist() for x in ahead.dump()), strict=True))
        assert got + rest == waits
        assert ahead.size == rest.total()


@given(steps, st.data())
def test_every_window_is_the_naive_sum_of_its_cells_whenever_they_came(
    script: list[int | list[tuple[int, int, int]]], data: st.DataObject
) -> None:
    w, clock, seen = Windows(BUDGET_S), 0, list[tuple[int, int, int]]()
    for step in script:
        if isinstance(step, int):
            clock = max(clock, step)
            w.advance(step * S + 999_999)  # a step back changes nothing
        else:
            seen += step
            put(w, step)
        for name, length in WINDOWS.items():
            if data.draw(st.booleans(), f"look at {name}"):  # what is not looked at is not kept up
                assert of_lanes(w.sums(name, WIDE)) == naive(seen, clock, length, BUCKET_OF[name])
        assert of_lanes(w.budget(WIDE)) == naive(seen, clock, BUDGET_S, 3600)


def of_lanes(total: Ints) -> list[int]:
    assert total.sum() == total[list(LANES)].sum()
    return [int(total[i]) for i in LANES]


def naive(seen: list[tuple[int, int, int]], clock: int, length: int, bucket: int) -> list[int]:
    out: Counter[int] = Counter()
    top = clock // bucket * bucket
    for start, lane, value in seen:
        if top - length < start // bucket * bucket <= top:
            out[lane] += value
    return [out[lane] for lane in LANES]


@given(steps, starts)
def test_a_ring_that_is_dumped_and_added_again_goes_on_as_before(
    script: list[int | list[tuple[int, int, int]]], later: int
) -> None:
    for resolution_s, longest_s in (*RESOLUTIONS, (3600, BUDGET_S)):
        old = Ring(resolution_s, longest_s)
        for step in script:
            if isinstance(step, int):
                old.advance(step, WIDE)
            elif step:
                starts, lanes, values = (ints(*column) for column in zip(*step, strict=True))
                old.add(starts, lanes, values, WIDE)
        new = Ring(resolution_s, longest_s)
        new.advance(old.top, WIDE)
        new.add(*old.dump(), WIDE)
        for _ in range(2):
            assert new.sums(longest_s, WIDE).tolist() == old.sums(longest_s, WIDE).tolist()
            assert new.top == old.top
            old.advance(later, WIDE)
            new.advance(later, WIDE)


@given(st.lists(st.tuples(st.sampled_from(LANES), values), max_size=8), st.sampled_from(LANES), st.booleans())
def test_a_packed_row_says_what_it_said_and_takes_more(some: list[tuple[int, int]], lane: int, full: bool) -> None:
    plain = Counter(range(WIDE) if full else ())
    row = Row(WIDE)
    row.add(ints(*plain), ints(*plain.values()), WIDE)
    for _ in range(2):
        for at, value in some:
            plain[at] += value
            row.add(ints(at), ints(value), WIDE)
        row.pack()
        assert row.get(lane) == plain[lane]
        assert dict(zip(*(x.tolist() for x in row.cells()), strict=True)) == +plain
        total = np.ones(WIDE, np.int64)
        row.add_to(total)
        assert total[lane] == 1 + plain[lane]
        row.add_to(total, -1)
        assert (total == 1).all()


@pytest.mark.parametrize(("lanes", "most"), [((0,), 5), ((0, 7, WIDE - 1), 15), (range(WIDE), WIDE)])
def test_packed_small_numbers_take_five_bytes_each_or_one_for_every_lane(lanes: Sequence[int], most: int) -> None:
    row = Row(WIDE)
    row.add(ints(*lanes), ints(*(200 for _ in lanes)), WIDE)
    row.pack()
    assert row.values.nbytes + (0 if row.lanes is None else row.lanes.nbytes) == most


def test_with_many_lanes_only_the_newest_rows_are_dense() -> None:
    w = Windows(BUDGET_S)
    for start in range(BASE_S, BASE_S + 600, 10):
        w.advance(start * S)
        put(w, [(start, 0, 1)])
    assert sorted(len(r.values) for r in w.rings[0].rows.values()) == [1] * 59 + [WIDE]


def test_a_whole_history_at_once_leaves_few_rows_dense() -> None:
    r = Ring(10, 18_000)
    r.advance(BASE_S, WIDE)
    starts = np.arange(BASE_S - 17_990, BASE_S + 1, 10)
    r.add(starts, np.zeros(len(starts), np.int64), np.ones(len(starts), np.int64), WIDE)
    assert sum(len(row.values) == WIDE for row in r.rows.values()) <= LOOSE + 1
    assert r.sums(18_000, WIDE)[0] == len(r.rows) == 1800


def test_rows_that_no_window_covers_are_gone() -> None:
    w = Windows(BUDGET_S)
    for hour in range(0, 24 * 30, 2):
        w.advance((BASE_S + hour * 3600) * S)
        put(w, [(BASE_S + hour * 3600, 0, 1)])
        for r in w.rings:
            assert len(r.rows) <= r.longest_s // r.resolution_s
            assert not r.ahead
    assert [len(r.rows) for r in w.rings] == [1, 3, 36, 60]


def test_lanes_that_came_later_start_from_zero_in_old_buckets() -> None:
    w = Windows(BUDGET_S)
    w.advance(BASE_S * S)
    w.add(ints(BASE_S), ints(0), ints(5), 1)
    w.add(ints(BASE_S), ints(6), ints(3), 7)
    assert w.sums("5m").tolist() == [5, 0, 0, 0, 0, 0, 3]
