"""What a catalogue costs: an upper bound of its samples on /metrics, all workers together.

Segments cost their sum, not their product: a series has one dimension at a time. Discovered moments are counted at
their limit, and `other`, with the signals that they can have. Not in it: `cx_mole_active`, of which there are as many
as moles are up, and what a worker says of itself.
"""

from typing import Final, get_args

from streams.catalogue import DISCOVERED_SIGNALS, SCORED, Catalogue
from streams.moles import Kind
from streams.signals import wait_bounds

WINDOWS: Final = 7  # 5m 30m 1h 2h 6h 1d 3d
PER_SERIES: Final = 2 + 2 * WINDOWS + WINDOWS + WINDOWS + 1
"""cx_events_total and cx_window_events by result, cx_burn_rate_ratio, cx_burn_rate_low_ratio, the budget."""
PER_SCORE: Final = 3 * WINDOWS  # cx_score_mean and its two bounds; as many again of cx_nps_ratio for nps
STEPS: Final = 4  # of cx_moles_total: popped, acked, whacked, repopped


def segments(catalogue: Catalogue) -> int:
    """How many segments a moment can have: `all`, each dimension's values and its `other`, two voices."""
    return 1 + sum(d.limit + 1 for d in catalogue.dimensions.values()) + 2


def by_kind(catalogue: Catalogue) -> dict[str, int]:
    """Samples by what they are of: signals (with cx_objective_ratio and cx_moment_info), scores, waits, moles."""
    declared = [tuple(moment.signals) for moment in catalogue.moments.values()]
    moments = declared + [DISCOVERED_SIGNALS] * (catalogue.discovered.limit + 1)
    each = segments(catalogue)
    scores = [s for signals in moments for s in signals if s in SCORED]
    bounds = [wait_bounds(moment.signals.get("wait")) for moment in catalogue.moments.values()]
    return {
        "signals": sum(each * len(signals) * PER_SERIES + len(signals) + 1 for signals in moments),
        "scores": each * PER_SCORE * (len(scores) + scores.count("nps")),
        "waits": sum(len(b) + 3 for b in bounds if b),  # the last bucket, count and sum
        "moles": len(moments) * len(get_args(Kind)) * STEPS,
    }


def samples(catalogue: Catalogue) -> int:
    """All of them."""
    return sum(by_kind(catalogue).values())
