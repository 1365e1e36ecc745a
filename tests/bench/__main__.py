"""The command: `python -m tests.bench`; `python -m tests.bench moles` scores what is found instead (moles.py).

Every round drains every load with every variant, so that whatever else the machine does falls on all alike.
Trust ratios and CPU seconds more than events/s: on a shared machine the broker and the variant compete.
"""

import functools
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console

from tests.bench import cost, live, peer, plot, recovery, scale, soak, worker
from tests.bench.backlog import fill
from tests.bench.loads import DEFAULT_EVENTS, FLIGHTS, Load, make
from tests.bench.measure import Run, machine, share
from tests.bench.quota import QuotaError, group
from tests.bench.report import bars, bars_table, hops, summary, table
from tests.integration.kafka_server import KafkaServer, kafka_jars

LOADS = ("sparse", "dense")
OURS = ("molehill", "molehill-2", "moles")
VARIANTS = (*OURS, "bare", "plain", "quix", "kafka-streams", "kafka-streams-full", "kafka-streams-thread", "faust")
FEWER = {"faust": 10_000}  # events, for a peer that is slower by orders of magnitude
POM = Path(__file__).parents[2] / "deploy" / "kafka" / "pom.xml"
console = Console(width=150 if not sys.stdout.isatty() else None)


class Bench:
    """One broker, the loads that were needed so far, and the runs."""

    def __init__(self, kafka: KafkaServer, home: Path, alone: bool) -> None:
        self.kafka = kafka
        self.alone = alone
        self.home = home
        self.loads: dict[tuple[str, int], Load] = {}
        self.runs: list[Run] = []

    def load(self, name: str, events: int) -> Load:
        """A load on its topics; made and sent once, and read once before it counts: who came first found it cold."""
        found = self.loads.get((name, events))
        if found is None:
            with console.status(f"loading {events:,} {name} events"):
                found = self.loads[name, events] = make(name, events, self.home)
                fill(self.kafka.bootstrap, found)
            with console.status(f"warming up with {events:,} {name} events"):
                app = f"warm-{name}-{events}"
                peer.drain("bare", self.kafka, found, app, self.home / app)
        return found

    def run(self, variant: str, load: Load, number: int) -> None:
        """One drain; a variant that fails is a wrong run, and the others go on."""
        app = f"{variant}-{load.name}-{load.events}-{number}"
        home = self.home / app
        with console.status(f"round {number}: {variant} drains {load.events:,} {load.name} events"):
            try:
                if variant == "molehill-2":  # two workers, for peers that use more than one processor
                    run = scale.drain(self.kafka, load, 2, app, home)
                elif variant in ("molehill", "moles"):  # peers judge nothing, so that is measured apart
                    run = worker.drain(self.kafka, load, app, home, variant == "moles", self.alone)
                else:
                    run = peer.drain(variant, self.kafka, load, app, home, self.alone)
            except Exception as e:  # a peer's failure, whatever it is, is a result
                run = Run(variant, load.name, load.events, 0.0, 0.0, 0.0, f"{type(e).__name__}: {e}")
        self.runs.append(run)
        found = run.wrong or f"{run.rate:>9,.0f} events/s, {run.cpu_per_million:6.1f} CPU-s/million, totals exact"
        console.print(f"round {number} {load.name:7}{variant:14}{found}", highlight=False, markup=False)
        shutil.rmtree(home, ignore_errors=True)


def chosen(only: tuple[str, ...], alone: bool) -> tuple[list[str], list[str]]:
    """Loads and variants; a kind of which none is named is there whole."""
    names = {x for part in only for x in part.replace(",", " ").split()}
    if unknown := names - {*LOADS, *VARIANTS}:
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: expected some of {', '.join((*LOADS, *VARIANTS))}")
    loads = [x for x in LOADS if x in names] or list(LOADS)
    variants = [x for x in VARIANTS if x in names] or list(VARIANTS)
    if "sparse" in loads and not FLIGHTS.exists():
        console.print(f"sparse is skipped: {FLIGHTS} is missing")
        loads.remove("sparse")
    if alone and "molehill-2" in variants:
        console.print("molehill-2 is skipped: --alone gives it one processor")
        variants.remove("molehill-2")
    for variant in [v for v in variants if v not in OURS]:
        if why := peer.missing(variant):
            console.print(f"{variant} is skipped: {why}", markup=False)
            variants.remove(variant)
    return loads, variants


@click.command()
@click.argument("what", type=click.Choice(["drain", "recovery", "scale", "soak"]), default="drain")
@click.option("--records", default=1_000_000, show_default=True, help="recovery: of the long history's journal.")
@click.option("--judging", is_flag=True, help="recovery: moles are judged, as a worker does unless told otherwise.")
@click.option(
    "--quota", type=click.FloatRange(min=0.1), help="scale: so much of a processor for each worker (cgroups)."
)
@click.option("--minutes", default=30, show_default=True, help="soak: how long, at 1,000 events/s.")
@click.option("--rounds", default=3, show_default=True, help="Drains of each load by each variant.")
@click.option("--events", type=int, help="Of each load. [default: sparse 644,781 (the file, thrice), dense 600,000]")
@click.option("--only", multiple=True, help=f"Loads and variants: {', '.join((*LOADS, *VARIANTS))}.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="JSON file with every run.")
@click.option("--idle", is_flag=True, help="Instead: CPU of a worker with no input, and at 1,000 events/s.")
@click.option("--latency", type=int, metavar="RATE", help="Instead: produce-to-/metrics at RATE events/s.")
@click.option(
    "--scrape", is_flag=True, help="Instead: the same at 10,000 events/s and 50,000 samples, scraped or not."
)
@click.option(
    "--cost",
    "cost_axes",
    multiple=True,
    metavar="AXIS",
    help=f"Instead: how cost grows with all, {', '.join(cost.AXES)}.",
)
@click.option("--alone", is_flag=True, help="drain: a processor for the variant alone, the broker has the others.")
@click.option("--keep", is_flag=True, help="Keep the broker's directory, for a look at its logs.")
def main(
    what: str, records: int, judging: bool, quota: float | None, minutes: int, rounds: int, events: int | None,
    only: tuple[str, ...], out: Path | None, idle: bool, latency: int | None, scrape: bool,
    cost_axes: tuple[str, ...], alone: bool, keep: bool,
) -> None:  # fmt: skip
    """Measures molehill on a real Kafka; exits with 1 where a verified total is wrong.

    `drain` (the default): against its peers, a backlog each. `recovery`: how long until a worker that died is exact
    and consuming again. `scale`: two workers against one. `soak`: whether memory stays where it is.
    Example: python -m tests.bench recovery --records 1000000
    """
    if quota is not None:
        _check_quota(quota)
    result: dict[str, Any] = {"machine": machine()}
    home = Path(tempfile.mkdtemp(prefix="molehill-bench-"))
    kafka = KafkaServer(kafka_jars(POM), home)
    with share(False) as _:
        if alone:
            os.sched_setaffinity(0, os.sched_getaffinity(0) - {0})
        kafka.start()
    wrong = False
    try:
        if what == "recovery":
            told: Any = functools.partial(console.print, highlight=False)
            result["recovery"] = recovery.measure(kafka, home, records, judging, told)
            console.print(recovery.table(result["recovery"]))
            wrong = not all(f["exact"] for f in result["recovery"])
        elif what == "soak":
            result["soak"] = soak.measure(kafka, home, minutes, live.IDLE_RATE, console)
            console.print(soak.line(result["soak"]), highlight=False)
        elif what == "scale":
            load = make("dense", events or DEFAULT_EVENTS["dense"], home)
            result["scale"] = scale.measure(kafka, home, load, rounds, quota, console)
            console.print(scale.table(result["scale"]))
            wrong = any(f["wrong"] for f in result["scale"])
        elif cost_axes:
            axes = tuple(cost.AXES) if "all" in cost_axes else cost_axes
            result["cost"] = cost.measure(kafka, home, axes, console)
            console.print(cost.table(result["cost"]))
            if out is not None:
                plot.draw(result["cost"], out.with_suffix(".svg"))
        elif idle or scrape or latency is not None:
            result["live"] = live.measure(kafka, home, idle, latency, scrape)
            console.print(live.table(result["live"]))
        else:
            bench = Bench(kafka, home, alone)
            _drain_all(bench, *chosen(only, alone), rounds, events)
            entries = summary([r for r in bench.runs if r.wall_s])
            result |= {"summary": entries, "runs": [r.as_json() for r in bench.runs]}
            result["bars"] = bars(entries)
            console.print(table(entries), hops(entries), *([bars_table(result["bars"])] if result["bars"] else []))
            wrong = any(r.wrong for r in bench.runs)
    finally:
        kafka.close()
        if not keep:
            shutil.rmtree(home, ignore_errors=True)
    result["machine_after"] = machine()
    if out is not None:
        out.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    console.print(f"{result['machine']}", highlight=False, markup=False)
    sys.exit(1 if wrong else 0)


def _check_quota(share: float) -> None:
    try:
        with group("try", share):
            pass
    except QuotaError as e:
        raise click.ClickException(str(e)) from None


def _drain_all(bench: Bench, loads: list[str], variants: list[str], rounds: int, events: int | None) -> None:
    for number in range(1, rounds + 1):
        for name in loads:
            wanted = events or DEFAULT_EVENTS[name]
            for variant in variants:
                few = min(wanted, FEWER.get(variant, wanted))
                bench.run(variant, bench.load(name, few), number)


if __name__ == "__main__":
    if sys.argv[1:2] == ["moles"]:
        from tests.bench.moles import main as moles  # not with the others: it needs no Kafka

        moles(sys.argv[2:], prog_name="python -m tests.bench moles")
    main()
