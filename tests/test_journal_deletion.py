"""journal.py: what is deleted was useless, whoever deletes it."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.dedupe import Ids
from streams.journal import Journal, Row
from tests.flushes import T, again, flush, head, written


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
