"""The alerts about molehill itself: whether what it says of customers can be trusted, and what to do if not."""

from typing import Final

from streams import names
from streams.alerts import PIPELINE, RUNBOOK, Alert
from streams.catalogue import Catalogue
from streams.promql import LAG, LAG_SUM, RECEIVED, REJECTED
from streams.route import fingerprint

STALE_S: Final = 600  # two of the shortest window (5m): what a page calls now is over
CATCH_UP_S: Final = 300  # the shortest window: with more to catch up, it misses what happens now
REFUSED: Final = 10  # in 15 min; fewer are somebody's experiment


def _ours(name: str, severity: str, grafana: str, stale: bool = False, **texts: str) -> Alert:
    tier = "game-over" if severity == "page" else "important"
    labels = {"severity": severity, "component": "pipeline", "tier": tier, "owner": "molehill"}
    if stale:
        labels["stale"] = "yes"
    return Alert(
        name=name,
        labels=labels,
        runbook_url=f"{grafana}/d/{RUNBOOK}",
        dashboard_url=f"{grafana}/d/{PIPELINE}",
        **texts,
    )


def pipeline_alerts(catalogue: Catalogue, grafana: str) -> list[Alert]:
    """What is told about molehill itself."""
    share = min(1 - s.objective for m in catalogue.moments.values() for s in m.signals.values())
    refused = f"sum by (topic, reason) (increase({REJECTED}[15m]))"
    skipped = f"{names.SKIPPED}_total"
    mark = fingerprint(catalogue)
    return [
        _ours(
            "MolehillDown",
            "page",
            grafana,
            stale=True,
            expr=f"absent({names.BUILD_INFO})",
            hold="1m",  # a restart takes 10 s, a takeover 15 s to 30 s
            keep="1m",
            summary="molehill: no worker runs, nobody watches the customers",
            description="Prometheus has scraped no worker for a minute. Customers' alerts are muted "
            "until one is back.",
            advice="See whether the workers run and whether Prometheus reaches them (`/healthz`). "
            "Nothing is lost: they "
            "go on where they stopped, and count each event once.",
        ),
        _ours(
            "MolehillWorkerDown",
            "ticket",
            grafana,
            expr='up{job="molehill"} == 0',
            hold="5m",
            keep="2m",
            summary="molehill: the worker {{ $labels.instance }} does not answer",
            description="{{ $labels.instance }} has not been scraped for five minutes. The others have its moments.",
            advice="See its log: a worker that ends says why in its last line. With its data "
            "directory it comes back as "
            "itself, without one as a stranger whose moments move twice.",
        ),
        _ours(
            "MolehillClockStale",
            "page",
            grafana,
            stale=True,
            expr=f"time() - min({names.CLOCK}) > {STALE_S}",
            hold="2m",
            keep="2m",
            summary="molehill: what it shows is {{ $value | humanizeDuration }} old",
            description="The clock of event time is {{ $value | humanizeDuration }} behind. "
            "Customers' alerts would be"
            " about the past: they are muted until it has caught up.",
            advice="The clock is the oldest of the partitions that have events to read. Either "
            "workers are behind (lag: "
            "add workers) or a producer sends old events (watermarks: find the partition). A replay of history does "
            "this too, and is no fault.",
        ),
        _ours(
            "MolehillPartitionStuck",
            "ticket",
            grafana,
            expr=f"min_over_time({LAG}[5m]) > 0\nand changes({RECEIVED}[5m]) == 0",
            hold="5m",
            keep="2m",
            summary="molehill: {{ $labels.topic }} {{ $labels.partition }} is not read",
            description="{{ $value | humanize }} events wait in {{ $labels.topic }} partition {{ "
            "$labels.partition }},"
            " and none has been read for ten minutes.",
            advice="`molehill doctor` says who owns the partition. Restart that worker; if it ends at once, its last "
            "line names the record.",
        ),
        _ours(
            "MolehillLagGrowing",
            "ticket",
            grafana,
            expr=f"{LAG_SUM} > {CATCH_UP_S} * sum by (topic) (rate({RECEIVED}[5m]))\n"
            f"and on (topic) deriv({LAG_SUM}[15m]) > 0",
            hold="10m",
            keep="5m",
            summary="molehill: {{ $labels.topic }} grows faster than it is read",
            description="{{ $value | humanize }} events wait in {{ $labels.topic }}: more than five "
            "minutes' work, and"
            " growing.",
            advice="Add workers, up to one for each partition. If one partition alone lags, its keys are uneven.",
        ),
        _ours(
            "MolehillDeadLettersRising",
            "ticket",
            grafana,
            # More than the strictest objective allows to go wrong could hide in what is refused.
            expr=f"{refused}\n  / on (topic) group_left () sum by (topic) (increase({RECEIVED}[15m])) > {share:.4g}\n"
            f"and on (topic, reason) {refused} >= {REFUSED}",
            hold="5m",
            keep="15m",
            summary="molehill: {{ $value | humanizePercentage }} of {{ $labels.topic }} is refused"
            " ({{ $labels.reason }})",
            description="{{ $value | humanizePercentage }} of what came to {{ $labels.topic }} in 15 "
            "minutes went to the"
            f" dead letters as {{{{ $labels.reason }}}}; the strictest objective allows {share:.2%} to go wrong.",
            advice="Each dead letter says in its headers what was expected. Find the producer, mend "
            "it, and send them "
            "again with `molehill dead-letters requeue`.",
        ),
        _ours(
            "MolehillEventsSkipped",
            "ticket",
            grafana,
            # A counter of the process: its first sample may have it already, which no increase shows.
            expr=f"sum by (topic) (\n  increase({skipped}[1d]) > 0\n  or\n"
            f"  {skipped} > 0 unless {skipped} offset 1d\n)",
            hold="",
            keep="15m",
            summary="molehill: events of {{ $labels.topic }} were deleted before they were read",
            description="{{ $value | humanize }} offsets of {{ $labels.topic }} were gone when a worker came to them:"
            " they are in no count. The worker's log names them.",
            advice="Send the events again with `molehill emit` if you have them elsewhere. Keep source topics for"
            " longer than workers may be down (retention.ms, retention.bytes).",
        ),
        _ours(
            "MolehillCatalogueChanged",
            "ticket",
            grafana,
            expr=f'max by (name, fingerprint) ({names.CATALOGUE_INFO}{{fingerprint!="{mark}"}})',
            hold="10m",
            keep="2m",
            summary="molehill: the catalogue that runs is not the one that these rules were made from",
            description=f"A worker runs catalogue {{{{ $labels.name }}}} {{{{ $labels.fingerprint }}}}; rules and"
            f" dashboards were generated from {catalogue.name} {mark}.",
            advice="Run `molehill generate` and load what it writes; or restart the workers that "
            "still run the old file.",
        ),
        _ours(
            "MolehillSeriesRefused",
            "ticket",
            grafana,
            expr=f"sum({names.SERIES_REFUSED}) > 0",
            hold="10m",
            keep="5m",
            summary="molehill: {{ $value | humanize }} series are not exported",
            description="{{ $value | humanize }} series are over --max-series. They are counted, but not seen: no"
            " alert can come for them.",
            advice="Lower the limits of segments in the catalogue, add workers, or raise --max-series.",
        ),
    ]
