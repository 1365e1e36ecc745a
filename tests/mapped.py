"""A topic that is there already and that a catalogue maps: the catalogue's text, its records, what they become."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from streams import names
from streams.catalogue import parse
from streams.event_reader import Reader
from streams.mapping import Mapper

HEAD = """\
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: shop}
segments: {region: {limit: 20}}
moments:
  pay: {title: Pay, tier: game-over, signals: {outcome: {objective: 99%}}}
"""
ORDERS = """\
sources:
  orders:
    topic: shop.orders
    otherwise: skip
    events:
      paid:
        type: cx.touchpoint
        when: {$.status: [PAID, DECLINED], $.test: {not: true}}
        id: [$.order.id, $.attempt]
        time: {from: $.at, format: epoch_ms}
        data:
          moment: pay
          customer: $.customer.id
          outcome: {from: $.status, map: {PAID: ok}, default: failed}
          reason: {from: $.error, as: slug}
          wait_s: {from: $.wait_ms, scale: 0.001}
          probe: $.robot
          segment: {region: {from: [$.ship_to.country, $.country], default: unknown}}
      rated:
        type: cx.feedback
        when: {$.stars: {at_least: 1, below: 6}}
        time: {from: $.when, format: "%d.%m.%Y %H:%M", zone: Europe/Berlin}
        data: {customer: $key, survey: csat, score: $.stars}
      asked:
        type: cx.survey
        when: {$.asked: {exists: true}}
        time: $timestamp
        source: crm
        data: {customer: $headers.customer, survey: nps}
"""
PAID = {"status": "PAID", "order": {"id": 81}, "attempt": 2, "at": 1767268800123, "customer": {"id": 7}}


def with_(**changes: str) -> str:
    """A source of one event whose parts are as given; `data` adds to what is required."""
    parts = {"type": "cx.touchpoint", "time": "$.at", **changes}
    data = parts.pop("data", "")
    rule = "".join(f"        {k}: {v}\n" for k, v in parts.items())
    fields = "          moment: pay\n          customer: $.c\n" + "".join(
        f"          {x}\n" for x in data.split(";") if x
    )
    return f"sources:\n  s:\n    topic: t\n    events:\n      e:\n{rule}        data:\n{fields}"


@dataclass
class Kafka:
    """A record."""

    value: bytes | None
    key: bytes | None = b"key"
    headers: Sequence[tuple[str, bytes | None]] = (("customer", b"from-header"),)
    timestamp: int = 1767268800456
    timestamp_type: int = 1
    offset: int = 9


def mapper(text: str = ORDERS, source: int = 0) -> Mapper:
    return Mapper(parse(HEAD + text, "moments.yaml").sources[source], 3)


def event(body: Any, text: str = ORDERS, **record: Any) -> Any:
    """What a body becomes, read by molehill's own reader; None if nothing."""
    made = mapper(text).event(Kafka(orjson.dumps(body), **record))
    if made is None:
        return None
    topic = names.TOUCHPOINTS if orjson.loads(made)["type"] == names.TOUCHPOINT else names.FEEDBACK
    return Reader(topic).read(made, ())
