"""Starting the peers, each in a process of its own, and reading what they report."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from tests.bench.loads import Load
from tests.bench.measure import Run, differences, share, traffic
from tests.bench.peers.meter import Job
from tests.bench.shape import Totals, totals_of
from tests.integration.kafka_server import KafkaServer

HERE = Path(__file__).parent / "peers"
ROOT = Path(__file__).parents[2]
SLOWEST = 100  # events/s: a peer that is slower has hung

STREAMS = {"kafka-streams": (2, 1), "kafka-streams-full": (2, 2), "kafka-streams-thread": (1, 2)}
"""Threads, where there are as many processors (the machine of the first figures had two), and stages."""
PYTHON = {"bare": "bare", "plain": "plain", "quix": "quix", "faust": "idiomatic_faust"}
NEEDS = {"quix": "quixstreams", "faust": "faust", "bare": "aiokafka", "plain": "aiokafka"}


def missing(variant: str) -> str:
    """Why a peer cannot run here; nothing where it can."""
    if variant in STREAMS:
        tools = [tool for tool in ("java", "javac", "mvn") if shutil.which(tool) is None]
        return f"{', '.join(tools)} not found: apt-get install openjdk-17-jdk-headless maven" if tools else ""
    module = NEEDS[variant]
    return "" if importlib.util.find_spec(module) else f"{module} not found: pip install -e '.[bench]'"


def drain(variant: str, kafka: KafkaServer, load: Load, app: str, home: Path, alone: bool = False) -> Run:
    """One run of a peer; `alone`: see `measure.share`."""
    home.mkdir(parents=True, exist_ok=True)
    task = Job(kafka.bootstrap, load.topic("touchpoints"), app, load.events, home, home / "report.json")
    command = _java(*STREAMS[variant]) if variant in STREAMS else _python(PYTHON[variant])
    log = home / "log"
    with log.open("wb") as out, share(alone):
        done = subprocess.run(
            command(task), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT,
            timeout=120 + load.events / SLOWEST, check=False,
        )  # fmt: skip
    if not task.out.exists():
        raise RuntimeError(f"{variant} ended with {done.returncode}:\n{log.read_text(errors='replace')[-2000:]}")
    report = orjson.loads(task.out.read_bytes())
    wrong = differences(load.truth, _totals(report))
    counters = report["received"], report["duplicates"]
    if not wrong and counters != (load.events, load.duplicates):
        wrong = f"received, duplicates are {counters} instead of {(load.events, load.duplicates)}"
    figures = report["wall_s"], report["cpu_s"], report["rss_mb"]
    return Run(variant, load.name, load.events, *figures, wrong, traffic(kafka, app))


def _totals(report: dict[str, Any]) -> Totals:
    if "rows" in report:
        return totals_of(report["rows"])
    if "marginals" in report:
        return totals_of(report["marginals"], marginal=True)
    return {(m, g, s, r): n for m, g, s, r, n in report["totals"]}


def _python(module: str) -> Callable[[Job], list[str]]:
    return lambda task: [sys.executable, "-m", f"tests.bench.peers.{module}", *task.arguments()]


def _java(threads: int, stages: int) -> Callable[[Job], list[str]]:
    home = kafka_streams()
    path = f"{home / 'classes'}:{home / 'jars'}/*"
    numbers = str(min(threads, len(os.sched_getaffinity(0)))), str(stages)
    return lambda task: ["java", "-Xmx3g", "-cp", path, "StreamsPeer", *task.arguments(), *numbers]


def kafka_streams() -> Path:
    """The Kafka Streams peer with its jars, fetched and compiled once for each version of its sources."""
    sources = HERE / "pom.xml", HERE / "StreamsPeer.java"
    digest = hashlib.sha256(b"".join(s.read_bytes() for s in sources)).hexdigest()[:16]
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "molehill"
    cache = Path(os.environ.get("MOLEHILL_TEST_CACHE") or default)
    home = cache / f"bench-streams-{digest}"
    if home.exists():
        return home
    cache.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=f"{home.name}.", dir=cache))
    try:
        maven = ["mvn", "-q", "-B", "-f", str(sources[0]), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        subprocess.run([*maven, f"-DoutputDirectory={half / 'jars'}"], stdin=subprocess.DEVNULL, check=True)
        javac = ["javac", "-cp", f"{half / 'jars'}/*", "-d", str(half / "classes"), str(sources[1])]
        subprocess.run(javac, stdin=subprocess.DEVNULL, check=True)
        half.rename(home)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return home
