"""One series' last days: counted in cells that grow coarser as they lie back, and never lost in between."""

from hypothesis import given
from hypothesis import strategies as st

from streams.series import BLOCK_S, DAY_S, FINE_S, HOUR_S, HOURS, MEMORY_S, Series, of_day

T = 1_700_006_400  # a midnight
steps = st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 5), st.booleans()), min_size=1, max_size=700)


def filled(some: list[tuple[int, int, bool]], memory: int) -> tuple[Series, list[tuple[int, int, int]]]:
    """A series after (wait in 10 s, events, one is bad), and the same as a list of (start, events, bad)."""
    s, at, plain = Series("all", "outcome", memory=memory), T, list[tuple[int, int, int]]()
    for wait, n, bad in some:
        at += 10 * wait
        if s.block != at // BLOCK_S:
            s.roll(at // BLOCK_S)
        s.total += n
        s.b += bad
        plain.append((at, n, int(bad)))
    return s, plain


@given(steps, st.sampled_from([MEMORY_S, 30 * DAY_S]), st.integers(0, 30 * DAY_S))
def test_what_was_counted_since_a_time_is_known_to_the_cell_that_holds_it(
    some: list[tuple[int, int, bool]], memory: int, back: int
) -> None:
    s, plain = filled(some, memory)
    now = plain[-1][0]
    at = now - min(back, memory - DAY_S)
    cell = BLOCK_S if now - at <= FINE_S - HOUR_S else HOUR_S if now - at <= MEMORY_S - DAY_S else DAY_S
    n, b = s.since(at)
    for found, which in ((n, 1), (b, 2)):
        least = sum(x[which] for x in plain if x[0] >= at)
        most = sum(x[which] for x in plain if x[0] >= at // cell * cell)
        assert least <= found <= most
    assert len(s.blocks) <= 200


@given(steps)
def test_a_day_is_learnt_by_its_hours(some: list[tuple[int, int, bool]]) -> None:
    s, plain = filled(some, MEMORY_S)
    begin = plain[-1][0] // DAY_S * DAY_S
    (n,), (b,) = of_day([s], begin)
    for hour in range(HOURS):
        mine = [x for x in plain if begin + hour * HOUR_S <= x[0] < begin + (hour + 1) * HOUR_S]
        assert (n[hour], b[hour]) == (sum(x[1] for x in mine), sum(x[2] for x in mine))
