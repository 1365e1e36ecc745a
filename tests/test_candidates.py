"""The candidates log folds into what a desk makes of the same findings."""

from streams.candidates import Candidates, Judged, encode
from streams.desk import Desk
from streams.moles import Finding, Transition
from tests.core import catalogue
from tests.findings import HOUR_S, T, finding, later


def folded(steps: list[list[Finding]], again: bool = False) -> list[Transition]:
    """By way of the log; `again`: each record comes twice, and each time to a fold that was restored."""
    fold, out, offset = Candidates(catalogue(), 1), list[Transition](), 0
    for found in steps:
        record = encode(Judged(0, found[0].at, found))
        for _ in range(1 + again):
            out += fold.apply(offset, record)
            offset += 1
            if again:
                blob, fold = fold.snapshot(), Candidates(catalogue(), 1)
                fold.restore(blob)
    return out


def test_two_signals_that_tell_of_harm_in_one_step_are_both_heard_live_as_in_a_backtest() -> None:
    f, at = finding(), T + 8 * HOUR_S
    faint, sure = (later(f, at, "harm", bad=bad, faint=bad == 20) for bad in (20, 30))
    steps = [[f], [later(f, T + 600, "ease")], [faint, sure], [later(f, at + HOUR_S, "over")]]
    desk = Desk(catalogue())
    expected = [t for found in steps for t in desk.advance(found[0].at, found)]
    assert [t.event for t in expected] == ["popped", "recovering", "updated", "relapsed", "whacked"]
    assert folded(steps) == folded(steps, again=True) == expected
