"""promtool tests of the generated rules: each alert once where it must fire, once where it must stay quiet.

They go where the rules go, so that a team can run them after a change of its own. Firing alerts are counted from
`ALERTS`; their texts are compared in molehill's own tests, with numbers written by hand.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from streams import names
from streams.alerts import NEARLY_SPENT
from streams.alerts_pipeline import REFUSED, STALE_S
from streams.burn import FAST, SLOW, Pair, factor
from streams.catalogue import TIERS, Catalogue, Moment, Signal
from streams.evidence import MIN_BAD
from streams.promql import quoted, window
from streams.route import fingerprint

SAMPLES: Final = 3  # moments; of different tiers where the catalogue has them
SEGMENT: Final = "region=north"
LENGTH: Final = 90  # minutes
PARTITION: Final = 'topic="cx.touchpoints", partition="0"'
DESK: Final = f'{names.MOLES}_total{{moment="any", kind="burn", event="popped"}}'  # of the worker that has the desk
BY_TIER: Final = {"game-over": "page", "important": "ticket", "tolerable": "board"}
TICKETS: Final = BY_TIER | {"game-over": "ticket"}
ONE_LESS: Final = {"game-over": "ticket", "important": "board", "tolerable": "board"}

Series = dict[str, str]  # selector → values in promtool's notation


class Sample(NamedTuple):
    """A moment, and one of its signals."""

    moment: Moment
    signal: Signal

    def series(self, metric: str, segment: str = names.ALL, instance: str = "a", **labels: str) -> str:
        """One of a worker's series."""
        of = {"moment": self.moment.name, "segment": segment, "signal": self.signal.name, **labels}
        return selector(metric, instance=f"{instance}:6066", **of)

    def burning(
        self, pair: Pair, period_s: float, share: float, segment: str = names.ALL, bad: int = MIN_BAD
    ) -> Series:
        """Burn rates at a share of the threshold in both windows of a pair."""
        low = f"{factor(pair, self.signal.objective, period_s) * share:.6g}x{LENGTH}"
        return {
            self.series(names.BURN_LOW, segment, window=window(pair.long_s)): low,
            self.series(names.BURN_LOW, segment, window=window(pair.short_s)): low,
            self.series(names.WINDOW_EVENTS, segment, window=window(pair.short_s), result="bad"): f"{bad}x{LENGTH}",
        }


class Case(NamedTuple):
    """One alert in one world, looked at in one minute."""

    alert: str
    at: int
    world: Series
    fires: list[dict[str, str]]  # labels that tell them apart; none: it must stay quiet


def selector(metric: str, **labels: str) -> str:
    """A series as promtool writes it; an empty label is none."""
    return f"{metric}{{{', '.join(f'{k}={quoted(v)}' for k, v in labels.items() if v)}}}"


def samples(catalogue: Catalogue) -> list[Sample]:
    """Up to three moments, one of each tier first. The first by its strictest promise, the others by their loosest,
    where a burn rate's threshold may be capped."""
    moments = sorted(catalogue.moments.values(), key=lambda m: TIERS.index(m.tier))
    firsts = [next(m for m in moments if m.tier == tier) for tier in dict.fromkeys(m.tier for m in moments)]
    chosen = (firsts + [m for m in moments if m not in firsts])[:SAMPLES]
    by = [sorted(m.signals.values(), key=lambda s: -s.objective) for m in chosen]
    return [Sample(m, signals[-1 if i else 0]) for i, (m, signals) in enumerate(zip(chosen, by, strict=True))]


def rule_tests(catalogue: Catalogue, rules: str) -> dict[str, Any]:
    """The promtool file for the rule file named `rules`, at one evaluation a minute."""
    some = samples(catalogue)
    healthy = {k: v for s in some for k, v in described(s, "a", f"1x{LENGTH}").items()} | _running(catalogue)
    cases = [*_moles(some), *_burns(catalogue.budget_period, some), *_budgets(some), *_pipeline()]
    return {
        "rule_files": [rules],
        "evaluation_interval": "1m",
        "tests": [_test(case, {**healthy, **case.world}) for case in cases],
    }


def _test(case: Case, world: Series) -> dict[str, Any]:
    by = ", ".join(case.fires[0]) if case.fires else "moment"
    found = [{"labels": selector("", **labels), "value": 1} for labels in case.fires]
    return {
        "name": f"{case.alert} {'fires' if case.fires else 'stays quiet'}",
        "interval": "1m",
        "input_series": as_input(world),
        "promql_expr_test": [
            {
                "expr": f'count by ({by}) (ALERTS{{alertname="{case.alert}", alertstate="firing"}})',
                "eval_time": f"{case.at}m",
                "exp_samples": found,
            }
        ],
    }


def as_input(world: Series) -> list[dict[str, str]]:
    """What promtool calls `input_series`."""
    return [{"series": series, "values": values} for series, values in world.items()]


def described(sample: Sample, instance: str, values: str) -> Series:
    """What a worker says of a moment; `values` of 1."""
    m, s = sample
    objective = selector(names.OBJECTIVE, moment=m.name, signal=s.name, instance=f"{instance}:6066")
    info = selector(
        names.MOMENT_INFO,
        moment=m.name,
        tier=m.tier,
        phase=m.phase or "",
        owner=m.owner or "",
        title=m.title,
        instance=f"{instance}:6066",
    )
    return {objective: values.replace("1x", f"{s.objective:.6g}x"), info: values}


def _running(catalogue: Catalogue) -> Series:
    """A pipeline with nothing wrong: 10 events a second, read as they come."""
    known = selector(names.CATALOGUE_INFO, name=catalogue.name, fingerprint=fingerprint(catalogue))
    return {
        selector("up", job="molehill", instance="a:6066"): f"1x{LENGTH}",
        f"{names.BUILD_INFO}{{}}": f"1x{LENGTH}",
        DESK: f"1x{LENGTH}",
        f"{names.CLOCK}{{}}": f"0+60x{LENGTH}",
        f"{names.SERIES_REFUSED}{{}}": f"0x{LENGTH}",
        f"{names.RECEIVED}_total{{{PARTITION}}}": f"0+600x{LENGTH}",
        f'{names.REJECTED}_total{{{PARTITION}, reason="bad_json"}}': f"0x{LENGTH}",
        f"{names.LAG}{{{PARTITION}}}": f"5x{LENGTH}",
        known: f"1x{LENGTH}",
    }


def _fires(some: list[Sample], severities: dict[str, str]) -> list[dict[str, str]]:
    return [
        {
            "moment": s.moment.name,
            "severity": severities[s.moment.tier],
            "tier": s.moment.tier,
            "owner": s.moment.owner or "nobody",
        }
        for s in some
    ]


def _moles(some: list[Sample]) -> Iterator[Case]:
    yield Case("CxMole", 1, _up(some), _fires(some, BY_TIER))
    yield Case("CxMole", 5, _up(some, "1x3 stale"), [])  # whacked, and the desk is there to know
    yield Case("CxMole", 5, _up(some, "1x3 stale") | {DESK: "1x3 stale"}, _fires(some, BY_TIER))  # nobody knows
    yield Case("CxMole", 8, _up(some, "1x3 stale") | {DESK: "1x3 stale"}, [])
    died = _up(some, "1x12 stale") | {DESK: "1x12 stale"}
    for why in ("snoozed", "settled"):
        yield Case("CxMole", 10, _up(some) | _quiet(some, why), [])
        yield Case("CxMole", 10, _up(some) | _quiet(some, why, "_x4 1x4 stale"), _fires(some, BY_TIER))  # it wakes
        yield Case("CxMole", 13, died | _quiet(some, why, "1x12 stale"), [])
    nobody = dict.fromkeys(BY_TIER, "none")
    yield Case("CxMoleSnoozed", 10, _up(some) | _quiet(some, "snoozed"), _fires(some, nobody))
    yield Case("CxMoleSnoozed", 13, died | _quiet(some, "snoozed", "1x12 stale"), _fires(some, nobody))
    yield Case("CxMoleSnoozed", 10, _up(some) | _quiet(some, "snoozed", "_x4 1x4 stale"), [])
    yield Case("CxMoleSnoozed", 10, _up(some) | _quiet(some, "settled"), [])


def _up(some: list[Sample], values: str = f"1x{LENGTH}") -> Series:
    return {s.series(names.MOLE_ACTIVE, kind="burn", tier=s.moment.tier): values for s in some}


def _quiet(some: list[Sample], why: str, values: str = f"_x4 1x{LENGTH}") -> Series:
    return {s.series(names.MOLE_QUIET, kind="burn", tier=s.moment.tier, why=why): values for s in some}


def _burns(period_s: float, some: list[Sample]) -> Iterator[Case]:
    def world(pair: Pair, share: float, segment: str = names.ALL, bad: int = MIN_BAD) -> Series:
        return {k: v for s in some for k, v in s.burning(pair, period_s, share, segment, bad).items()}

    def one_window(pair: Pair, segment: str = names.ALL) -> Series:
        shorts = {s.series(names.BURN_LOW, segment, window=window(pair.short_s)): f"0x{LENGTH}" for s in some}
        return world(pair, 2, segment) | shorts

    for alert, pairs, minute, severities, segment in (
        ("CxBurnFast", FAST, 5, BY_TIER, names.ALL),
        ("CxBurnSlow", SLOW, 70, TICKETS, names.ALL),
        ("CxSegmentBurn", FAST, 5, ONE_LESS, SEGMENT),
    ):
        for pair in pairs:
            yield Case(alert, minute, world(pair, 1.01, segment), _fires(some, severities))
            yield Case(alert, minute, world(pair, 0.99, segment), [])
            yield Case(alert, minute, world(pair, 2, segment, MIN_BAD - 1), [])
            yield Case(alert, minute, one_window(pair, segment), [])
            yield Case(alert, minute, world(pair, 2, segment) | _up(some, "1x2 stale"), [])
            yield Case(alert, minute, world(pair, 2, segment) | _up(some) | _quiet(some, "snoozed"), [])
    for other in (names.PROBE, names.COMPANY, names.ALL):
        yield Case("CxSegmentBurn", 5, world(FAST[0], 2, other), [])


def _budgets(some: list[Sample]) -> Iterator[Case]:
    def world(left: float, bad: int) -> Series:
        return {
            k: v
            for s in some
            for k, v in (
                (s.series(names.BUDGET), f"{left}x{LENGTH}"),
                (s.series(f"{names.EVENTS}_total", result="bad"), f"{bad}x{LENGTH}"),
            )
        }

    yield Case("CxBudgetNearlySpent", 15, world(NEARLY_SPENT - 0.01, MIN_BAD), _fires(some, TICKETS))
    yield Case("CxBudgetNearlySpent", 15, world(-3, MIN_BAD), _fires(some, TICKETS))
    yield Case("CxBudgetNearlySpent", 15, world(NEARLY_SPENT + 0.01, 100), [])
    yield Case("CxBudgetNearlySpent", 15, world(-3, MIN_BAD - 1), [])


def _pipeline() -> Iterator[Case]:
    """Each alert of the pipeline: a series that makes it fire, one that does not."""
    clock, refused, build = f"{names.CLOCK}{{}}", f"{names.SERIES_REFUSED}{{}}", f"{names.BUILD_INFO}{{}}"
    lag, received = f"{names.LAG}{{{PARTITION}}}", f"{names.RECEIVED}_total{{{PARTITION}}}"
    rejected = f'{names.REJECTED}_total{{{PARTITION}, reason="bad_json"}}'
    up = selector("up", job="molehill", instance="a:6066")
    other = selector(names.CATALOGUE_INFO, name="other", fingerprint="00000000")
    page, ticket = [{"severity": "page"}], [{"severity": "ticket"}]
    late = STALE_S // 60 + 5
    yield Case("MolehillDown", 5, {build: "1x2 stale"}, page)
    yield Case("MolehillDown", 4, {build: f"1x2 stale 1x{LENGTH}"}, [])
    yield Case("MolehillWorkerDown", 7, {up: f"0x{LENGTH}"}, ticket)
    yield Case("MolehillWorkerDown", 7, {up: f"0x3 1x{LENGTH}"}, [])
    yield Case("MolehillClockStale", late, {clock: f"0x{LENGTH}"}, page)
    yield Case("MolehillClockStale", late, {clock: f"{60 - STALE_S}+60x{LENGTH}"}, [])
    yield Case("MolehillPartitionStuck", 15, {lag: f"10x{LENGTH}", received: f"100x{LENGTH}"}, ticket)
    yield Case("MolehillPartitionStuck", 15, {lag: f"0x{LENGTH}", received: f"100x{LENGTH}"}, [])
    yield Case("MolehillPartitionStuck", 15, {lag: f"10x{LENGTH}"}, [])
    yield Case("MolehillLagGrowing", 30, {lag: f"5000+600x{LENGTH}"}, ticket)
    yield Case("MolehillLagGrowing", 30, {lag: f"100000-600x{LENGTH}"}, [])
    yield Case("MolehillLagGrowing", 30, {lag: f"5+1x{LENGTH}"}, [])
    yield Case("MolehillDeadLettersRising", 25, {rejected: f"0+300x{LENGTH}"}, ticket)
    yield Case("MolehillDeadLettersRising", 25, {rejected: f"300x{LENGTH}"}, [])
    yield Case("MolehillDeadLettersRising", 25, {rejected: f"0x15 {REFUSED // 2}x{LENGTH}", received: "0+1x90"}, [])
    skipped = f"{names.SKIPPED}_total{{{PARTITION}}}"
    yield Case("MolehillEventsSkipped", 5, {skipped: f"40x{LENGTH}"}, ticket)
    yield Case("MolehillEventsSkipped", 5, {skipped: f"0x3 40x{LENGTH}"}, ticket)
    yield Case("MolehillEventsSkipped", 5, {skipped: f"0x{LENGTH}"}, [])
    yield Case("MolehillCatalogueChanged", 12, {other: f"1x{LENGTH}"}, ticket)
    yield Case("MolehillCatalogueChanged", 12, {}, [])
    yield Case("MolehillSeriesRefused", 12, {refused: f"7x{LENGTH}"}, ticket)
    yield Case("MolehillSeriesRefused", 12, {}, [])
