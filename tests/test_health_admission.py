"""health.py: which moments and values are shown under their own names, decided once."""

from collections import Counter

import pytest

from streams import names
from streams.health import Health
from streams.route import Routes, partition_of
from tests.core import NEWLY, TEXT, Event, records, routes, touchpoint
from tests.logs import GOOD, ONE, T0, folded, logged
from tests.pipeline import Pipeline, totals_of, window_of
from tests.strategies import distinct


def regions(*values: str) -> list[Event]:
    return distinct([touchpoint(segment={"region": v}) for v in values])


def shown_segments(health: Health) -> dict[str, int]:
    return {s: n for (m, s, _, _), n in totals_of([health]).items() if s.startswith("region=")}


def test_past_the_limit_a_value_counts_as_other_first_come() -> None:
    health = folded(ONE, logged(regions("a", "b", "c", "d", "e", "f", "a", "e", "d")))
    assert shown_segments(health) == {
        "region=a": 2, "region=b": 1, "region=c": 1, "region=d": 2, "region=other": 3,
    }  # fmt: skip


def test_every_moment_has_the_limit_for_itself() -> None:
    some = [touchpoint(moment=m, segment={"region": f"{m}{i}"}) for m in ("pay", "browse") for i in range(5)]
    totals = totals_of([folded(ONE, logged(distinct(some)))])
    by = Counter(m for (m, s, _, _) in totals if s.startswith("region=") and s != "region=other")
    assert by == {"pay": 4, "browse": 4}


def test_a_value_called_other_takes_no_place() -> None:
    health = folded(ONE, logged(regions("other", "a", "b", "c", "d", "e")))
    assert set(shown_segments(health)) == {"region=a", "region=b", "region=c", "region=d", "region=other"}
    assert shown_segments(health)["region=other"] == 2


def test_moments_are_discovered_up_to_the_limit_and_then_count_as_other() -> None:
    some = [touchpoint(moment=f"new-{i}", need_met=False) for i in range(5)] + [touchpoint(moment="new-4")]
    totals = totals_of([folded(ONE, logged(distinct(some)))])
    assert totals == {
        **{(f"new-{i}", "all", "outcome", "good"): 1 for i in range(3)},
        **{(f"new-{i}", "all", "need", "bad"): 1 for i in range(3)},
        ("other", "all", "outcome", "good"): 3,
        ("other", "all", "need", "bad"): 2,
    }


def test_what_was_admitted_stays_and_what_was_not_stays_out_through_a_snapshot() -> None:
    log = logged(regions("a", "b", "c", "d", "e"), [{**e, "id": f"x{e['id']}"} for e in regions("e", "a", "f")])
    assert len(log) == 2
    health = Health(ONE, 0, 1)
    health.restore(folded(ONE, log[:1]).snapshot())
    health.apply(1, log[1])
    assert shown_segments(health) == {"region=a": 2, "region=b": 1, "region=c": 1, "region=d": 1, "region=other": 3}


def test_two_sources_that_admit_in_other_orders_are_shown_as_their_owner_decided() -> None:
    p = Pipeline(
        ONE,
        {
            (names.TOUCHPOINTS, 0): records(regions("a", "b", "c", "d", "e")),
            (names.TOUCHPOINTS, 1): records(regions("e", "d", "c", "b", "a")),
        },
    )
    p.finish()
    assert shown_segments(p.healths()[0]) == {
        "region=a": 2, "region=b": 2, "region=c": 2, "region=d": 2, "region=other": 2,
    }  # fmt: skip


def declared_later(partitions: int, name: str = "new-0") -> Routes:
    return routes(partitions, TEXT + NEWLY.format(name=name))


def elsewhere(partitions: int) -> str:
    """A moment whose owner changes with its declaration."""
    return next(
        n for n in (f"new-{i}" for i in range(99)) if partition_of(n, partitions) != partition_of("", partitions)
    )


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("more", [0, 1])
def test_a_discovered_moment_that_is_declared_keeps_its_totals_at_its_new_owner(partitions: int, more: int) -> None:
    name = elsewhere(3)
    some = [touchpoint(moment=name, segment={"region": "eu"}), touchpoint(moment=name, outcome="failed")]
    some += [touchpoint("later", moment=name)] * more
    old = routes(partitions)
    p = Pipeline(old, {T0: records([{**e, "id": f"{i}"} for i, e in enumerate(some)])})
    p.feed(T0, 2)
    p.flush(T0)
    snapshots = [h.snapshot() for h in p.healths()]
    read = {t: len(log) for t, log in p.tallies.items()}
    p.routes = declared_later(partitions, name)
    p.restart(T0)
    p.finish()
    healths = []
    for partition, log in p.tallies.items():
        health = Health(p.routes, partition, 1)
        health.restore(snapshots[partition])
        for offset in range(read[partition], len(log)):
            health.apply(offset, log[offset])
        healths.append(health)
    p.frontier(idle=True)
    wanted = {
        (name, "all", "outcome", "good"): 1 + more,
        (name, "all", "outcome", "bad"): 1,
        (name, "region=eu", "outcome", "good"): 1,
    }
    assert totals_of(healths) == totals_of(p.healths()) == wanted
    for health in healths:
        health.apply(10**6, p.tallies[0][-1])
    assert window_of(healths, "3d") == wanted


def test_a_moment_past_the_limit_that_is_declared_later_is_measured_under_its_own_name() -> None:
    """Also where one partition owns both the declared moment and the undeclared ones."""
    some = distinct([touchpoint(moment=f"new-{i}") for i in (1, 2, 3, 0)] + [touchpoint(moment="new-0")] * 5)
    p = Pipeline(ONE, {T0: records(some)})
    p.feed(T0, 4)
    p.flush(T0)
    [old] = p.healths()
    assert totals_of([old])["other", "all", "outcome", "good"] == 1
    p.routes = declared_later(1)
    p.restart(T0)
    p.finish()
    new = Health(p.routes, 0, 1)
    new.restore(old.snapshot())
    for offset, message in enumerate(p.tallies[0]):
        new.apply(offset, message)
    assert totals_of([new])["new-0", "all", "outcome", "good"] >= 5


def test_all_is_told_again_to_a_new_owner_that_has_heard_of_later_offsets_already() -> None:
    """The old worker's last tallies reached the broker and its journal entry did not; then the catalogue changed."""
    routes3, there = routes(3), "pay"
    names_of = (f"new-{i}" for i in range(99))
    name = next(n for n in names_of if partition_of(n, 3) == routes3.owner(there) != partition_of("", 3))
    some = distinct([touchpoint(moment=name)] * 2 + [touchpoint(moment=there)] * 4)
    p = Pipeline(routes3, {T0: records(some)})
    p.feed(T0, 2)
    p.flush(T0)
    p.feed(T0, 3)
    sent = p.prepare(T0)
    assert sent is not None
    p.send(T0, sent, 0, dict.fromkeys(p.tallies, 9))
    p.routes = declared_later(3, name)
    p.restart(T0)
    p.feed(T0, 1)
    p.flush(T0)
    p.finish()
    totals = totals_of(p.healths())
    assert totals[there, "all", "outcome", "good"] == 4
    assert totals[name, "all", "outcome", "good"] == 2


def test_a_dimension_that_the_catalogue_drops_is_shown_no_more() -> None:
    log = logged(regions("a", "b"))
    less = routes(1, TEXT.replace("  region: {limit: 4}\n", ""))
    health = Health(less, 0, 1)
    health.restore(folded(ONE, log).snapshot())
    assert totals_of([health]) == {GOOD: 2}
