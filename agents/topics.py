"""The topics of a worker: those that it reads, and its own. All are made before the app starts."""

from agents.broker import TopicSpec, partition_counts, source_specs
from agents.settings import Settings
from streams.catalogue import Catalogue
from streams.errors import BrokerError, SettingsError

DAY_MS = 86_400_000
# By the broker's clock: it refuses records of a worker whose own is more than an hour ahead.
STAMPED = {"message.timestamp.type": "LogAppendTime"}
# Young records stay: a stale owner's row must not replace what recovery still needs to compare it with.
COMPACTED = STAMPED | {
    "cleanup.policy": "compact",
    "segment.ms": "300000",
    "min.compaction.lag.ms": "600000",
    "delete.retention.ms": "3600000",
}


def sources(settings: Settings, partitions: int | None) -> list[TopicSpec]:
    """What upstream systems write to, and where refused events go."""
    return source_specs(partitions, settings.touchpoints, settings.feedback, settings.dead_letters)


def mapped(settings: Settings, catalogue: Catalogue) -> list[str]:
    """The topics that the catalogue's sources name. They are others' to make: raises BrokerError where one is missing
    or has another partition count than molehill's, SettingsError where one is molehill's own."""
    if not catalogue.sources:
        return []
    ours = [settings.touchpoints, settings.feedback]
    own = {*ours, settings.dead_letters, *(spec.name for spec in internal(settings, 1))}
    counts = partition_counts(settings.brokers, [*ours, *(s.topic for s in catalogue.sources)])
    expected = next((counts[t] for t in ours if t in counts), None)
    for source in catalogue.sources:
        where, found = f"sources.{source.name}: topic {source.topic}", counts.get(source.topic)
        if source.topic in own:
            raise SettingsError(f"{where}: found one of molehill's own topics, expected another")
        if found is None:
            raise BrokerError(f"{where} is missing: correct its name, or make it first")
        expected = expected or found
        if found != expected:
            others = ", ".join(f"{t} has {n}" for t, n in sorted(counts.items()) if t != source.topic)
            raise BrokerError(
                f"{where} has {found} partitions and {others}; expected equal counts, as a customer's events of all "
                f"topics must meet in one worker. Start another application on topics of its own: `molehill topics "
                f"--partitions {found} --touchpoints … --feedback …`, then --app, --touchpoints, --feedback"
            )
    return [s.topic for s in catalogue.sources]


def internal(settings: Settings, partitions: int) -> list[TopicSpec]:
    """What only workers read. Tallies are the log that health is folded from: they outlive any snapshot."""
    return [
        TopicSpec(settings.tallies, partitions, STAMPED | {"retention.ms": str(7 * DAY_MS)}),
        TopicSpec(settings.journal, partitions, COMPACTED),
        TopicSpec(settings.snapshots, partitions, COMPACTED),
        TopicSpec(settings.candidates, 1, STAMPED | {"retention.ms": str(7 * DAY_MS)}),
        TopicSpec(settings.desk, 1, COMPACTED),
        TopicSpec(settings.board, 1, COMPACTED),
        TopicSpec(settings.moles, None, STAMPED | {"retention.ms": str(28 * DAY_MS)}),
    ]
