"""journal.py: what was written comes back, from whatever is left of it."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams import journal as j
from streams.dedupe import Ids
from streams.errors import StateError
from streams.journal import Flush, Journal, Row, restore
from tests.flushes import T, again, compacted, flush, head, written

LIMIT = 512 * 1024


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
