"""promtool tests of a takeover, beside those of `rule_tests`."""

from collections.abc import Callable
from typing import Any

from streams import names
from streams.burn import FAST, factor
from streams.catalogue import Catalogue
from streams.evidence import MIN_BAD
from streams.promql import window
from streams.rule_tests import Sample, Series, as_input, described, samples


def takeover_tests(catalogue: Catalogue, rules: str) -> dict[str, Any]:
    """A worker falls silent, another has its series 30 s later: no alert resolves, none begins anew.

    In steps of 10 s; a burn rate also while it waits for its `for`.
    """
    some = samples(catalogue)
    pair, period = FAST[0], catalogue.budget_period

    def mole(s: Sample, instance: str, values: str) -> Series:
        return {s.series(names.MOLE_ACTIVE, instance=instance, kind="burn", tier=s.moment.tier): values}

    def snoozed(s: Sample, instance: str, values: str) -> Series:
        labels = {"kind": "burn", "tier": s.moment.tier, "why": "snoozed"}
        return mole(s, instance, values) | {s.series(names.MOLE_QUIET, instance=instance, **labels): values}

    def burn(s: Sample, instance: str, values: str) -> Series:
        low = values.replace("1x", f"{factor(pair, s.signal.objective, period) * 1.01:.6g}x")
        bad = s.series(names.WINDOW_EVENTS, instance=instance, window=window(pair.short_s), result="bad")
        lows = (s.series(names.BURN_LOW, instance=instance, window=window(x)) for x in (pair.long_s, pair.short_s))
        return dict.fromkeys(lows, low) | {bad: values.replace("1x", f"{MIN_BAD}x")}

    return {
        "rule_files": [rules],
        "evaluation_interval": "10s",
        "tests": [
            _takeover("CxMole", 0, some, mole, 13),
            _takeover("CxMoleSnoozed", 0, some, snoozed, 13, never="CxMole"),
            _takeover("CxBurnFast", 120, some, burn, 5),
            _takeover("CxBurnFast", 120, some, burn, 13),
        ],
    }


def _takeover(
    alert: str, since: int, some: list[Sample], of: Callable[[Sample, str, str], Series], step: int, never: str = ""
) -> dict[str, Any]:
    """The old worker's last sample is the one of `step`; the alert fires from the second `since` on, the other one
    at no time."""
    world: Series = {}
    for instance, values in (("a", f"1x{step} stale"), ("b", f"_x{step + 4} 1x60")):
        world[f'{names.MOLES}_total{{instance="{instance}:6066"}}'] = values  # the desk moves as well
        for s in some:
            world |= described(s, instance, values) | of(s, instance, values)
    return {
        "name": f"{alert}: a takeover after {step * 10} s",
        "interval": "10s",
        "input_series": as_input(world),
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}'
                f' and ignoring (alertstate) ALERTS_FOR_STATE{{alertname="{alert}"}} == 0)',
                "eval_time": f"{at}s",
                "exp_samples": [{"labels": "{}", "value": len(some)}],
            }
            for at in range(since, 310, 10)
        ]
        + [
            {"expr": f'ALERTS{{alertname="{never}"}}', "eval_time": f"{at}s", "exp_samples": []}
            for at in range(since, 310, 10)
            if never
        ],
    }
