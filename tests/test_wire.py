"""wire.py: messages say what was packed, in chunks that a broker takes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.wire import MAX_BYTES, Changes, Frontier, Lane, Tallies, decode, encode, pack, unpack
from tests.core import ints

NAMES: list[Lane] = [(f"m{i}", "all" if i % 2 else "région=é", "outcome+") for i in range(20)]
HEAD = Tallies("cx.feedback", 3, "1-n-7", 0, 1, 41, 5, 99, False, [], b"", b"", 0, b"", b"", b"")
big = st.integers(0, 2**62)


def head() -> Tallies:
    message = decode(encode(HEAD))
    assert isinstance(message, Tallies)
    return message


def changes(totals: dict[int, int], cells: dict[tuple[int, int], int]) -> Changes:
    return Changes(
        ints(*sorted(totals)),
        ints(*(totals[i] for i in sorted(totals))),
        ints(*(b for b, _ in sorted(cells))),
        ints(*(lane for _, lane in sorted(cells))),
        ints(*(cells[key] for key in sorted(cells))),
    )


def read(messages: list[bytes]) -> tuple[dict[Lane, int], dict[tuple[int, Lane], int]]:
    """Totals and cells by name; a name that comes twice fails."""
    totals, cells = dict[Lane, int](), dict[tuple[int, Lane], int]()
    for raw in messages:
        m = decode(raw)
        assert isinstance(m, Tallies)
        found = unpack(m, ints(*range(len(m.lanes))))
        for lane, n in zip(found.lanes.tolist(), found.totals.tolist(), strict=True):
            assert m.lanes[lane] not in totals
            totals[m.lanes[lane]] = n
        for b, lane, n in zip(found.buckets.tolist(), found.cell_lanes.tolist(), found.cells.tolist(), strict=True):
            assert (b, m.lanes[lane]) not in cells
            cells[b, m.lanes[lane]] = n
    return totals, cells


lanes = st.integers(0, len(NAMES) - 1)


@given(st.dictionaries(lanes, big), st.dictionaries(st.tuples(st.integers(0, 2**36), lanes), big))
def test_what_is_packed_and_encoded_comes_out_by_name(
    totals: dict[int, int], cells: dict[tuple[int, int], int]
) -> None:
    message = encode(pack(changes(totals, cells), NAMES, head()))
    found = read([message])
    assert found[0] == {NAMES[i]: n for i, n in totals.items()}
    assert found[1] == {(b, NAMES[i]): n for (b, i), n in cells.items()}
    again = decode(message)
    assert isinstance(again, Tallies)
    assert (again.topic, again.partition, again.flush, again.to, again.floor, again.watermark) == (
        "cx.feedback", 3, "1-n-7", 41, 5, 99,
    )  # fmt: skip


@settings(max_examples=15)
@given(st.integers(0, 60_000), st.integers(0, 60_000), st.integers(1, 200))
def test_chunks_hold_everything_once_and_each_one_fits(n_lanes: int, n_cells: int, name_length: int) -> None:
    n = max(n_lanes, n_cells // 4, 1)
    names: list[Lane] = [("m", f"{i:0{name_length}}", "f") for i in range(n)]
    size = ints(*(len(s) + 2 + 9 for _, s, _ in names))
    whole = Changes(
        ints(*range(n_lanes)),
        ints(*range(n_lanes)),
        ints(*(i // n for i in range(n_cells))),
        ints(*(i % n for i in range(n_cells))),
        ints(*range(n_cells)),
    )
    messages = [encode(pack(part, names, head())) for part in whole.chunks(size)]
    assert max(map(len, messages)) <= MAX_BYTES + 200
    totals, cells = read(messages)
    assert totals == {names[i]: i for i in range(n_lanes)}
    assert cells == {(i // n, names[i % n]): i for i in range(n_cells)}


def test_little_stays_in_one_chunk() -> None:
    assert len(changes({1: 1}, {(1, 1): 1}).chunks(ints(*[10] * 20))) == 1
    assert len(changes({}, {}).chunks(ints())) == 1


def test_a_frontier_comes_back_as_one() -> None:
    sent = Frontier("w-1", 123, [("cx.touchpoints", 0, None, True), ("cx.feedback", 1, 5, False)])
    assert decode(encode(sent)) == sent
