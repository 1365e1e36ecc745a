"""The log of one source, and the health that is folded from it."""

from streams import names
from streams.health import Health
from streams.route import Routes
from streams.tally import Tally
from tests.core import Event, records, routes

ONE = routes(1)  # one tallies partition: it owns everything
T0 = (names.TOUCHPOINTS, 0)
GOOD = ("pay", "all", "outcome", "good")


def folded(routes: Routes, log: list[bytes], expected: int = 1, partition: int = 0) -> Health:
    health = Health(routes, partition, expected)
    for offset, message in enumerate(log):
        health.apply(offset, message)
    return health


def logged(*batches: list[Event], routes: Routes = ONE) -> list[bytes]:
    """The log of one source, with a flush after each batch."""
    tally, first, out = Tally(*T0, routes), 0, []
    for i, batch in enumerate(batches):
        tally.run(records(batch, first), 10**18)
        first += len(batch)
        out += [m for t, m in tally.flush(f"f{i}", snapshot=False).messages if t >= 0]
    return out
