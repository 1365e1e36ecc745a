"""`molehill doctor`: gathers what can be seen from outside, and says what `streams.diagnosis` concludes of it.

It reads, and changes nothing; but `--probe` makes a topic of its own for a moment to learn the broker's time, which
Kafka tells only of a record that it has just taken.
"""

import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from agents import broker, options, records, settings
from agents import topics as layout
from agents.files import read_catalogue
from agents.sampling import sample
from agents.settings import Settings
from streams import diagnosis, names
from streams.catalogue import Catalogue
from streams.diagnosis import Finding, Group, Sample
from streams.diagnosis_topics import Expected, Topic, topics
from streams.errors import BrokerError, CatalogueError, InputError

SAMPLE: Final = 2_000
PAGE_S: Final = 10.0
COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@options.brokers
@click.option(
    "--catalogue", metavar="FILE", help="The catalogue. Without it nothing is said of moments and segments."
)
@click.option("--worker", metavar="URL", help="A worker's pages, such as http://127.0.0.1:6066.")
@options.touchpoints
@options.feedback
@options.dead_letters
@click.option("--moles", metavar="TOPIC", help=f"Default {names.MOLES_TOPIC}.")
@click.option("--app", metavar="NAME", help="The application: consumer group, internal topics. Default molehill.")
@click.option("--sample", "count", type=click.IntRange(1, 1_000_000), default=SAMPLE, show_default=True,
              help="Newest records of each source topic to look at.")  # fmt: skip
@click.option("--probe", is_flag=True, help="Learn the broker's time: makes and deletes a topic for it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each check.")
def doctor(
    brokers: str | None, catalogue: str | None, worker: str | None, touchpoints: str | None, feedback: str | None,
    dead_letters: str | None, moles: str | None, app: str | None, count: int, probe: bool, as_json: bool,
) -> None:  # fmt: skip
    """Check broker, topics, keys, lag, clock, catalogue and a worker.

    One line for each check: ok, warn or fail, what was found, and what to do. Exit 1 if anything fails.

    \b
    Example:
      molehill doctor --brokers localhost:9092 --catalogue moments.yaml --worker http://127.0.0.1:6066
    """
    found = Settings(
        broker.given_brokers(brokers),
        Path(catalogue or settings.env("catalogue") or ""),
        Path(),
        app=settings.application_name(app or settings.env("app") or "molehill"),
        touchpoints=touchpoints or settings.env("touchpoints") or names.TOUCHPOINTS,
        feedback=feedback or settings.env("feedback") or names.FEEDBACK,
        dead_letters=dead_letters or settings.env("dead-letters") or names.DEAD_LETTERS,
        moles=moles or settings.env("moles") or names.MOLES_TOPIC,
    )
    failed = False
    for finding in examine(found, worker or settings.env("worker"), count, probe):
        failed = failed or finding.status == "fail"
        show(finding, as_json)
    if failed:
        raise click.exceptions.Exit(1)


def show(finding: Finding, as_json: bool) -> None:
    """One line on stdout."""
    if as_json:
        import orjson

        click.echo(orjson.dumps(asdict(finding)))
    else:
        status = click.style(f"{finding.status:<4}", fg=COLOURS[finding.status])
        todo = f" → {finding.todo}" if finding.todo else ""
        click.echo(f"{status}  {finding.check}: {finding.what}{todo}")


def examine(settings: Settings, worker: str | None, count: int, probe: bool) -> Iterator[Finding]:
    """All checks; what needs a broker only if there is one."""
    catalogue = yield from _catalogue(settings.catalogue)
    try:
        yield from _on_broker(settings, catalogue, worker, count, probe)
    except BrokerError as error:
        yield Finding("broker", "fail", str(error), "start it, or correct --brokers")
        if worker is not None:
            yield from _worker(worker, {})


def _catalogue(path: Path) -> Generator[Finding, None, Catalogue | None]:
    """Returns the catalogue, where there is a valid one."""
    if path == Path():
        todo = "give --catalogue to have moments, segments and retention checked"
        yield Finding("catalogue", "warn", "none was given", todo)
        return None
    try:
        found = read_catalogue(path)
    except CatalogueError as error:
        what = f"{path} has {len(error.problems)} problem{'s' * (len(error.problems) != 1)}"
        yield Finding("catalogue", "fail", what, f"molehill check {path}")
        return None
    except InputError as error:
        yield Finding("catalogue", "fail", str(error), "correct --catalogue")
        return None
    yield Finding("catalogue", "ok", f"{path} is valid: {len(found.moments)} moments")
    return found


def _on_broker(
    settings: Settings, catalogue: Catalogue | None, worker: str | None, count: int, probe: bool
) -> Iterator[Finding]:
    kinds = {**settings.kinds, **{s.topic: "" for s in catalogue.sources}} if catalogue else settings.kinds
    with broker.connect(settings.brokers) as admin, broker.told(settings.brokers):
        members = len(admin.describe_cluster()["brokers"])
        yield Finding("broker", "ok", f"{settings.brokers}: {members} broker{'s' * (members != 1)}")
        counts = broker.partition_counts(settings.brokers, list(kinds))
        expected = expectations(settings, kinds, counts)
        found = describe(admin, [e.name for e in expected])
        yield from topics(expected, found, members, catalogue)
        skew_s = skew(settings.brokers, admin, f"{settings.app}.doctor.{secrets.token_hex(4)}") if probe else None
        with records.consumer(settings.brokers) as reader:
            samples = sample(reader, kinds, counts, catalogue, count)
            group = group_of(admin, reader, settings.app, counts)
    yield from diagnosis.keys(samples)
    yield from diagnosis.lag(group)
    yield from diagnosis.clock(samples, time.time_ns() // 1000, skew_s, catalogue)
    if catalogue is not None:
        yield from diagnosis.catalogue_in_use(catalogue, samples)
    if worker is not None:
        yield from _worker(worker, samples)


def expectations(settings: Settings, sources: Mapping[str, str], counts: Mapping[str, int]) -> list[Expected]:
    """The topics that there should be: sources, dead letters, and a worker's own."""
    partitions = max(counts.values(), default=broker.DEFAULT_PARTITIONS)
    own = [
        Expected(s.name, "state" if s.config.get("cleanup.policy") == "compact" else "log", s.partitions, s.config)
        for s in layout.internal(settings, partitions)
    ]
    return [
        *(Expected(name, "source" if kind else "mapped") for name, kind in sources.items()),
        Expected(settings.dead_letters, "letters"),
        *own,
    ]


def describe(admin: Any, wanted: list[str]) -> dict[str, Topic]:
    """The topics that exist, as they are."""
    found = {t["name"]: t["partitions"] for t in admin.describe_topics(wanted) if not t["error_code"]}
    configs = broker.configs(admin, sorted(found))
    return {
        name: Topic(
            partitions=len(parts),
            replicas=min((len(p["replica_nodes"]) for p in parts), default=0),
            thin=sum(len(p["isr_nodes"]) < len(p["replica_nodes"]) for p in parts),
            dead=sum(p["leader_id"] < 0 for p in parts),
            config=configs.get(name, {}),
        )
        for name, parts in found.items()
    }


def group_of(admin: Any, reader: Any, name: str, counts: Mapping[str, int]) -> Group:
    """The application's consumer group, on its source topics."""
    members = len(admin.describe_groups([name])[name]["members"])
    offsets = admin.list_group_offsets({name: None}).get(name, {})
    committed = {(tp.topic, tp.partition): found.offset for tp, found in offsets.items() if found.offset >= 0}
    ends: dict[tuple[str, int], int] = {}
    ages: dict[tuple[str, int], float] = {}
    for topic, count in counts.items():
        for tp, (begin, end) in records.bounds(reader, topic, count).items():
            key = (topic, tp.partition)
            at = max(begin, committed.get(key, 0))
            committed[key], ends[key] = at, end
            if at < end:
                first = next(records.read(reader, {tp: (at, at + 1)}), None)
                ages[key] = 0.0 if first is None else max(0.0, time.time() - first.timestamp / 1000)
    return Group(name, members, committed, ends, ages)


def skew(brokers: str, admin: Any, topic: str) -> float:
    """Seconds that the broker's clock is ahead of ours, by a record that it stamps; right to half a round trip."""
    from kafka import KafkaProducer

    spec = broker.TopicSpec(topic, 1, {"message.timestamp.type": "LogAppendTime"})
    broker.ensure_topics(brokers, [spec], equal=())
    try:
        producer = KafkaProducer(bootstrap_servers=brokers.split(","), enable_idempotence=False, acks=1)
        try:
            producer.send(topic, b"").get(timeout=broker.REQUEST_SECONDS)  # connects
            began = time.time()
            stamped = producer.send(topic, b"").get(timeout=broker.REQUEST_SECONDS).timestamp / 1000
            return float(stamped - (began + time.time()) / 2)
        finally:
            producer.close(timeout=2)
    finally:
        admin.delete_topics([topic])


def _worker(url: str, samples: Mapping[str, Sample]) -> Iterator[Finding]:
    from prometheus_client.parser import text_string_to_metric_families

    try:
        ready = _page(url, "/readyz")
        shown = ready and {f.name: f.samples for f in text_string_to_metric_families(_page(url, "/metrics"))}
    except urllib.error.HTTPError as error:
        what = f"{url}: {'not ready: it recovers, or waits for partitions' if error.code == 503 else error}"
        yield Finding("worker", "fail", what, "wait for its recovery, then look at its log")
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        yield Finding("worker", "fail", f"{url} does not answer: {reason}", "start it, or correct --worker")
        return
    yield Finding("worker", "ok", f"{url} is ready")
    if shown:
        marks = {
            (s.labels["topic"], int(s.labels["partition"])): round(s.value * 1_000_000)
            for s in shown.get(names.WATERMARK, ())
        }
        behind = sum(int(s.value) for s in shown.get(names.LAG, ()))
        yield from diagnosis.watermarks(marks, samples, behind)
        exported, refused = (
            sum(int(s.value) for s in shown.get(name, ())) for name in (names.SERIES, names.SERIES_REFUSED)
        )
        yield from diagnosis.series(exported, refused)


def _page(url: str, path: str) -> str:
    with urllib.request.urlopen(url.rstrip("/") + path, timeout=PAGE_S) as answer:
        return str(answer.read().decode())
