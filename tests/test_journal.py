"""journal.py: what was written comes back, from whatever is left of it; and what is deleted was useless."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams import journal as j
from streams.dedupe import Ids
from streams.errors import StateError
from streams.journal import Flush, Head, Journal, Restored, Row, restore
from streams.ledger import NOBODY

LIMIT = 512 * 1024
T = "cx.touchpoints"


def head(to: int, floor: int = 0, catalogue: str = "c") -> Head:
    return Head(to, to, floor, to + 1, to, 1, {"bad_json": 1}, catalogue)


def flush(
    to: int, ids: list[Ids] | None = None, snapshot: bool = False, all_ids: bool = False, floor: int = 0
) -> Flush:
    """A flush that tells one tallies partition, and as a snapshot also the journal alone."""
    messages = [(0, b"told %d" % to)] + [(NOBODY, b"whole %d" % to)] * snapshot
    return Flush(head(to, floor), ids or [], messages, snapshot, all_ids)


def compacted(rows: list[Row]) -> list[tuple[bytes, bytes]]:
    last = dict(rows)
    return [(k, v) for k, v in last.items() if v is not None]


def again(rows: list[Row], nonce: str = "next") -> Restored:
    return restore(T, 0, compacted(rows), nonce, 1)


def written(journal: Journal, *flushes: Flush) -> list[Row]:
    return [row for f in flushes for row in journal.write(f)]


def test_nothing_written_is_nothing_restored() -> None:
    found = again([])
    assert (found.head, found.ids, found.tallies, found.resend) == (None, [], [], [])
    assert found.journal.wants_snapshot


def test_a_snapshot_and_what_came_after_it_is_the_state_and_the_last_flush_is_sent_again() -> None:
    rows = written(
        Journal(T, 0, 1, "a"),
        flush(5, [(9, "s", ["1"])], snapshot=True, all_ids=True),
        flush(7, [(9, "s", ["2"])]),
        flush(8, [(19, "t", ["3"])]),
    )
    found = again(rows)
    assert found.head == head(8)
    assert found.ids == [(9, "s", ["1"]), (9, "s", ["2"]), (19, "t", ["3"])]
    assert found.tallies == [b"whole 5", b"told 7", b"told 8"]
    assert found.resend == [(0, b"told 8")]


def test_a_second_snapshot_replaces_the_tallies_but_without_all_ids_not_the_ids() -> None:
    rows = written(
        Journal(T, 0, 1, "a"),
        flush(5, [(9, "s", ["1"])], snapshot=True, all_ids=True),
        flush(7, [(9, "s", ["2"])], snapshot=True),
    )
    found = again(rows)
    assert found.tallies == [b"whole 7"]
    assert found.ids == [(9, "s", ["1"]), (9, "s", ["2"])]
    assert found.resend == [(0, b"told 7")]


def test_journals_of_other_topics_and_partitions_do_not_mix() -> None:
    rows = [
        row
        for topic, partition in ((T, 0), (T, 1), (T, 10), ("cx.feedback", 0))
        for row in Journal(topic, partition, 1, "a").write(flush(partition, snapshot=True))
    ]
    for partition in (0, 1, 10):
        found = restore(T, partition, compacted(rows), "n", 1)
        assert found.head == head(partition)
        assert found.journal.garbage == []


def test_an_entry_of_many_parts_counts_only_with_all_of_them() -> None:
    journal = Journal(T, 0, 1, "a")
    first = written(journal, flush(5, snapshot=True, all_ids=True))
    big = Flush(head(9), [], [(0, bytes(300_000))] * 4)
    second = journal.write(big)
    assert len(second) == 4
    for missing in range(4):
        found = again(first + second[:missing] + second[missing + 1 :])
        assert found.head == head(5)
        assert set(found.journal.garbage) == {k for i, (k, _) in enumerate(second) if i != missing}
    assert again(first + second).head == head(9)


def test_the_first_entry_without_its_end_is_a_start_from_nothing_and_is_cleared_away() -> None:
    rows = Journal(T, 0, 1, "a").write(Flush(head(9), [], [(0, bytes(300_000))] * 2, True, True))
    found = again(rows[:1])
    assert found.head is None
    assert found.journal.garbage == [rows[0][0]]


def test_rows_without_an_unbroken_chain_are_an_error_and_not_an_empty_state() -> None:
    journal = Journal(T, 0, 1, "a")
    written(journal, flush(5, snapshot=True))
    with pytest.raises(StateError, match="no unbroken chain"):
        again(written(journal, flush(7)))


def test_of_two_forks_the_one_that_got_further_is_the_state_and_the_other_one_is_cleared_away() -> None:
    a = Journal(T, 0, 1, "a")
    shared = written(a, flush(5, [(9, "s", ["1"])], snapshot=True, all_ids=True))
    b = again(shared, "b").journal
    fork_a = written(a, flush(7, [(9, "s", ["a"])]))
    fork_b = written(b, flush(8, [(9, "s", ["b"])], snapshot=True, all_ids=True))
    for rows in (shared + fork_a + fork_b, shared + fork_b + fork_a):
        found = again(rows)
        assert found.head == head(8)
        assert found.ids == [(9, "s", ["b"])]
        assert set(found.journal.garbage) == {shared[0][0], fork_a[0][0]}


def test_no_key_is_ever_used_again_whoever_writes() -> None:
    rows: list[Row] = []
    for nonce in ("a", "b", "a"):  # the same worker may come back
        journal = again(rows, nonce).journal
        for to in range(3):
            rows += journal.write(flush(len(rows) + to, snapshot=to == 0))
    assert len({k for k, _ in rows}) == len(rows) == 9


def test_an_owner_begins_with_a_snapshot_and_wants_the_next_one_after_so_many_entries_or_bytes() -> None:
    journal = Journal(T, 0, 1, "a")
    assert journal.wants_snapshot
    journal.write(flush(0, snapshot=True))
    for i in range(j.SNAPSHOT_EVERY):
        assert not journal.wants_snapshot
        journal.write(flush(i + 1))
    assert journal.wants_snapshot
    journal.write(flush(999, snapshot=True))
    size = j.SNAPSHOT_BYTES // 10
    for _ in range(9):
        journal.write(Flush(head(1000), [], [(0, bytes(size))]))
        assert not journal.wants_snapshot
    journal.write(Flush(head(1000), [], [(0, bytes(size))]))
    assert journal.wants_snapshot


# Sizes


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 256), st.integers(1, 300)), max_size=4),
    st.lists(st.integers(0, 400_000), max_size=8),
)
@example([(60_000, 256, 10)], [])
@example([(200_000, 3, 10)], [400_000] * 3)
def test_a_flush_of_any_size_makes_rows_under_512_kib_and_comes_back_whole(
    ids: list[tuple[int, int, int]], sizes: list[int]
) -> None:
    sent: list[Ids] = [
        (10**15 + i, "s" * source, [f"{n:0{length}}" for n in range(count)])
        for i, (count, length, source) in enumerate(ids)
        if count
    ]
    messages = [(i % 3, bytes([i]) * size) for i, size in enumerate(sizes)]
    rows = Journal(T, 0, 1, "a").write(Flush(head(1), sent, messages))
    assert max(len(v or b"") + len(k) for k, v in rows) < LIMIT
    found = again(rows)
    merged: dict[tuple[int, str], list[str]] = {}
    for end, source, some in found.ids:
        merged.setdefault((end, source), []).extend(some)
    assert merged == {(end, source): some for end, source, some in sent}
    assert found.tallies == [m for _, m in messages]
    assert found.resend == messages


def test_many_sources_with_one_short_id_each_make_rows_under_512_kib() -> None:
    """A device may be a source: each (slice, source) costs its frame, however short it is."""
    ids: list[Ids] = [(10**15, f"{i:x}", ["1"]) for i in range(40_000)]
    rows = Journal(T, 0, 1, "a").write(Flush(head(1), ids, []))
    assert len(again(rows).ids) == 40_000
    assert max(len(v or b"") for _, v in rows) < LIMIT


# Deleting


def test_after_a_snapshot_with_all_ids_everything_before_it_goes() -> None:
    journal = Journal(T, 0, 1, "a")
    old = written(journal, flush(1, [(99, "s", ["1"])], snapshot=True, all_ids=True), flush(2, [(99, "s", ["2"])]))
    assert journal.freed() == []
    new = written(journal, flush(3, [(99, "s", ["1", "2", "3"])], snapshot=True, all_ids=True))
    assert journal.freed() == [(k, None) for k, _ in old]
    assert journal.freed() == []
    assert again(new).ids == [(99, "s", ["1", "2", "3"])]


def test_after_a_snapshot_without_all_ids_an_entry_waits_for_the_end_of_its_ids() -> None:
    journal = Journal(T, 0, 1, "a")
    first = written(journal, flush(1, [(10, "s", ["1"])], snapshot=True, all_ids=True))
    second = written(journal, flush(2, [(20, "s", ["2"])]))
    written(journal, flush(3, [(30, "s", ["3"])], snapshot=True, floor=9))
    assert journal.freed() == []
    written(journal, flush(4, floor=10))
    assert journal.freed() == [(k, None) for k, _ in first]
    written(journal, flush(5, floor=19))
    assert journal.freed() == []
    written(journal, flush(6, floor=20))
    assert journal.freed() == [(k, None) for k, _ in second]


def test_without_a_snapshot_nothing_goes_however_old() -> None:
    journal = Journal(T, 0, 1, "a")
    rows = written(journal, flush(1, snapshot=True, all_ids=True), flush(2), flush(3))
    successor = again(rows).journal
    assert journal.freed() == successor.freed() == []


SLICE = 10


@settings(max_examples=200)
@given(st.data())
def test_no_deletion_ever_takes_what_a_later_restore_needs(data: st.DataObject) -> None:
    """Owners write, snapshot, free, die within an entry and follow each other; deletions arrive in part."""
    rows: list[Row] = []
    journal, offset, floor = again(rows, "0").journal, 0, 0
    known: dict[str, int] = {}  # id → the end of its slice, of the newest complete entry
    told: list[bytes] = []  # the tallies since the state's beginning, oldest first
    for step in range(data.draw(st.integers(1, 25))):
        snapshot = journal.wants_snapshot or data.draw(st.booleans())
        all_ids = snapshot and data.draw(st.booleans())
        offset += data.draw(st.integers(1, 5))
        end = (offset // SLICE + 1) * SLICE
        fresh: list[Ids] = [(end, "s", [f"{step}"])]
        floor = max(floor, offset - 2 * SLICE)
        live = {i: e for i, e in {**known, f"{step}": end}.items() if e > floor}
        ids: list[Ids] = [(e, "s", [i]) for i, e in live.items()] if all_ids else fresh
        padding = [(1, bytes(300_000))] * data.draw(st.sampled_from([0, 0, 2]))
        f = flush(offset, ids, snapshot, all_ids, floor)
        f.messages += padding
        new = journal.write(f)
        if len(new) > 1 and data.draw(st.booleans()):
            rows += new[: data.draw(st.integers(0, len(new) - 1))]  # it dies before the last part
            offset = max(offset - 5, again(rows).head.to if again(rows).head else 0)  # type: ignore[union-attr]
            journal = again(rows, f"{step}").journal
            continue
        rows += new
        known = live
        told = [b"whole %d" % offset] if snapshot else [*told, b"told %d" % offset]
        deleted = journal.freed()
        rows += deleted[: data.draw(st.integers(0, len(deleted)))]
        found = again(rows)
        assert found.head == head(offset, floor)
        assert {i for e, _, some in found.ids for i in some if e > floor} == set(known)
        assert [m for m in found.tallies if not m.startswith(b"\0")] == told
        if data.draw(st.booleans()):
            journal = again(rows, f"{step}").journal


def test_where_a_zombie_deleted_what_its_successor_leans_on_the_zombies_own_whole_chain_is_the_state() -> None:
    """Both stand on the same old entry; the successor's snapshot does not hold its ids. Counting is a function of
    the source's records, so the zombie's chain is true up to its offset, and reading goes on from there."""
    zombie = Journal(T, 0, 1, "a")
    rows = written(zombie, flush(5, [(99, "s", ["old"])], snapshot=True, all_ids=True))
    successor = again(rows, "b").journal
    rows += successor.write(flush(6, [(99, "s", ["b"])], snapshot=True, all_ids=False))
    rows += zombie.write(flush(7, [(99, "s", ["old", "a"])], snapshot=True, all_ids=True))
    rows += zombie.freed()
    rows += successor.write(flush(8, [(99, "s", ["c"])]))
    found = again(rows)
    assert found.head == head(7)
    assert {i for _, _, some in found.ids for i in some} == {"old", "a"}


def test_a_fork_whose_ids_were_deleted_is_not_taken_for_a_state() -> None:
    """The successor wrote all ids and freed the entry that the zombie's snapshot, further on, leans on."""
    zombie = Journal(T, 0, 1, "a")
    rows = written(zombie, flush(5, [(99, "s", ["old"])], snapshot=True, all_ids=True))
    successor = again(rows, "b").journal
    rows += successor.write(flush(6, [(99, "s", ["old", "b"])], snapshot=True, all_ids=True))
    rows += successor.freed()
    rows += zombie.write(flush(7, [(99, "s", ["a"])], snapshot=True, all_ids=False))
    found = again(rows)
    assert "old" in {i for _, _, some in found.ids for i in some}


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 30)), min_size=1, max_size=8))
def test_the_newest_of_complete_entries_is_the_state_whatever_their_number(owners: list[tuple[int, int]]) -> None:
    """Entries are numbered 1, 2 … 10, 11; owners too: no order of texts may decide."""
    rows: list[Row] = []
    to = 0
    for i, (entries, _) in enumerate(owners):
        journal = again(rows, f"{i}").journal
        for n in range(entries):
            to += 1
            rows += journal.write(flush(to, snapshot=n == 0, all_ids=n == 0))
    assert again(rows).head == head(to)
    epochs = [int(k.split(b"|")[2].split(b"-")[0]) for k, _ in rows]
    assert all(b in (a, a + 1) for a, b in pairwise(epochs))
