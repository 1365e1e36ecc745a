"""What is ordinary: learnt at midnight, and the same for whoever has no past."""

import numpy as np
import pytest

from streams import baseline
from streams.baseline import Group
from streams.past import PAST
from streams.series import DAY_S, HOURS


def test_a_series_that_is_known_before_its_first_event_is_expected_to_be_as_one_that_is_not() -> None:
    """As in `backtest`, which reads ahead of its clock."""
    g = np.random.default_rng(3)
    group = Group("outcome", 0.99, 1.0)
    for name in ("all", "plan=pro", "plan=free"):
        group.add(name).born = 1
    early = group.add("plan=early")
    for day in range(20):
        n = np.full((4, HOURS), 500.0)
        n[early.row] = 0
        b = g.poisson(n * 0.01 * g.gamma(1 / 0.3**2, 0.3**2)).astype(float)
        baseline.learn(group, (day + 1) * DAY_S, 28.0, n, b, None)
    late = group.add("plan=late")
    assert group.pooled != baseline.CV_PRIOR
    for field in PAST.names or ():
        assert group.past[field][late.row] == pytest.approx(group.past[field][early.row]), field
