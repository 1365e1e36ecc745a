"""Looks at the newest records of source topics as a worker would, for the doctor: no group, no commits."""

import time
from collections.abc import Mapping
from typing import Any

from agents import records
from agents.sender import partition_of
from streams.catalogue import Catalogue
from streams.diagnosis import Sample
from streams.event_reader import Reader, segments
from streams.events import BY_TYPE, Rejection, micros
from streams.mapping import Mapper
from streams.tally import FUTURE, LOG_APPEND_TIME


class Sampler:
    """Reads records of one topic into a `Sample`. `kind`: which of the contract's topics; "" for a mapped one."""

    def __init__(self, topic: str, partitions: int, kind: str, catalogue: Catalogue | None) -> None:
        self.partitions = partitions
        self.sample = Sample()
        self._reader = Reader(kind) if kind else Reader(topic, tuple(BY_TYPE))
        sources = [s for s in catalogue.sources if s.topic == topic] if catalogue else []
        self._mappers = [Mapper(s, p) for s in sources for p in range(partitions)]
        self._now = time.time_ns() // 1000

    def add(self, record: Any) -> None:
        """One record."""
        s = self.sample
        appended = record.timestamp * 1000
        s.stamped = s.stamped and record.timestamp_type == LOG_APPEND_TIME
        s.appended[record.partition] = max(appended, s.appended.get(record.partition, 0))
        try:
            if self._mappers:
                value = self._mappers[record.partition].event(record)
                if value is None:
                    return
                event = self._reader.read(value, ())
            else:
                event = self._reader.read(record.value, record.headers)
        except Rejection as why:
            s.records += 1
            s.refused[why.reason] = s.refused.get(why.reason, 0) + 1
            return
        s.records += 1
        s.moments.add(event.data.moment)
        for dimension, value_ in segments(event.data.segment).items():
            s.values.setdefault(dimension, set()).add(value_)
        if record.key is None:
            s.keyless += 1
        elif record.key != event.data.customer.encode():
            s.other_key += 1
        elif record.partition != partition_of(record.key, self.partitions):
            s.misplaced += 1
        at = micros(event.time)
        if at > (appended if record.timestamp_type == LOG_APPEND_TIME else self._now) + FUTURE:
            s.ahead += 1
        else:
            s.newest[record.partition] = max(at, s.newest.get(record.partition, 0))


def sample(
    reader: Any, kinds: Mapping[str, str], partitions: Mapping[str, int], catalogue: Catalogue | None, count: int
) -> dict[str, Sample]:
    """Topic → the sample of its newest `count` records or so. Raises BrokerError."""
    out: dict[str, Sample] = {}
    for topic, kind in kinds.items():
        if topic in partitions:
            sampler = Sampler(topic, partitions[topic], kind, catalogue)
            spans = records.newest(records.bounds(reader, topic, partitions[topic]), -(-count // partitions[topic]))
            for record in records.read(reader, spans):
                sampler.add(record)
            out[topic] = sampler.sample
    return out
