"""cells.py against a dict."""

from hypothesis import given
from hypothesis import strategies as st

from streams.cells import Cells, keys
from tests.core import BASE_S, ints

cells = st.dictionaries(st.tuples(st.integers(0, 30), st.integers(0, 5)), st.integers(0, 9), max_size=12)
FIRST = BASE_S // 10
LAST = 253_402_300_799 // 10  # the last bucket of the year 9999


def packed(some: dict[tuple[int, int], int], order: bool = True) -> tuple[object, object]:
    items = sorted(some.items()) if order else list(some.items())
    buckets, lanes = ints(*(FIRST + b for (b, _), _ in items)), ints(*(lane for (_, lane), _ in items))
    return keys(buckets, lanes), ints(*(n for _, n in items))


def held(c: Cells) -> dict[tuple[int, int], int]:
    assert c.keys.tolist() == sorted(set(c.keys.tolist()))
    return {
        (b - FIRST, lane): n
        for b, lane, n in zip(c.buckets.tolist(), c.lanes.tolist(), c.values.tolist(), strict=True)
    }


@given(st.lists(st.tuples(st.sampled_from(["add", "raise", "evict"]), cells, st.integers(0, 30)), max_size=12))
def test_cells_are_what_a_dict_would_hold(steps: list[tuple[str, dict[tuple[int, int], int], int]]) -> None:
    c, plain = Cells(), dict[tuple[int, int], int]()
    for step, some, bucket in steps:
        if step == "add":
            found = c.add(*packed(some))  # type: ignore[arg-type]
            for key, n in some.items():
                plain[key] = plain.get(key, 0) + n
            assert found.tolist() == [plain[key] for key in sorted(some)]
        elif step == "raise":
            grown = c.raise_to(*packed(some, order=False))  # type: ignore[arg-type]
            assert grown.tolist() == [max(0, n - plain.get(key, 0)) for key, n in some.items()]
            for key, n in some.items():
                plain[key] = max(n, plain.get(key, 0))
        else:
            c.evict(FIRST + bucket)
            plain = {key: n for key, n in plain.items() if key[0] >= bucket}
        assert held(c) == plain


def test_the_last_bucket_of_9999_and_the_last_lane_fit_into_a_key() -> None:
    c = Cells()
    c.add(keys(ints(LAST), ints((1 << 24) - 1)), ints(7))
    assert (c.buckets.tolist(), c.lanes.tolist(), c.values.tolist()) == ([LAST], [(1 << 24) - 1], [7])


@given(cells)
def test_raising_twice_to_the_same_grows_nothing(some: dict[tuple[int, int], int]) -> None:
    c = Cells()
    c.raise_to(*packed(some))  # type: ignore[arg-type]
    assert not c.raise_to(*packed(some)).any()  # type: ignore[arg-type]
