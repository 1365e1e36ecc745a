"""The topics of a worker: those that it reads, and its own. All are made before the app starts."""

from agents.broker import TopicSpec, source_specs
from agents.settings import Settings

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
