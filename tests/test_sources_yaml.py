"""Sources: what a catalogue may say of a topic that is there already."""

from pathlib import Path

import pytest

from streams import names
from streams.catalogue import Catalogue, notes, parse
from streams.errors import CatalogueError
from tests.mapped import HEAD, ORDERS, with_


def problems(text: str) -> list[str]:
    """The messages for a catalogue with these sources; the line of `sources:` is 7."""
    with pytest.raises(CatalogueError) as wrong:
        parse(HEAD + text, "m.yaml")
    return str(wrong.value).splitlines()


def test_the_sources_that_the_docstring_shows_are_valid() -> None:
    from streams import sources

    assert sources.__doc__ is not None
    text = sources.__doc__.split("\n\n")[2]
    assert "sources:" in text
    assert parse(HEAD + text.replace("\n    ", "\n")[4:] + "\n", "m").sources[0].rules[0].name == "paid"


def test_the_sources_of_the_readme_are_valid() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    text = next(x for x in readme.split("```") if x.startswith("yaml\nsources:")).removeprefix("yaml\n")
    assert parse(HEAD + text, "m").sources[0].rules[0].type == names.TOUCHPOINT


def test_all_problems_come_at_once_each_with_its_line() -> None:
    wrong = (
        ORDERS.replace("shop.orders", "cx.feedback")
        .replace("epoch_ms", "epoch_m")
        .replace("moment: pay", "moment: P A")
    )
    assert problems(wrong) == [
        "m.yaml:9: sources.orders.topic: found 'cx.feedback', expected another topic: cx.feedback is molehill's own, "
        "and its events need no source",
        "m.yaml:16: sources.orders.events.paid.time.format: found 'epoch_m', expected rfc3339, epoch_s, epoch_ms, "
        "epoch_us, or strptime's codes such as %d.%m.%Y %H:%M:%S (did you mean epoch_ms?)",
        "m.yaml:18: sources.orders.events.paid.data.moment: found 'P A', expected a name of 1 to 64 lower-case "
        "letters, digits and -",
    ]


@pytest.mark.parametrize(
    ("text", "line", "key", "expected"),
    [
        (with_(type="cx.other"), 12, "type", "cx.touchpoint or cx.feedback or cx.survey"),
        (with_(data="outcome: great"), 17, "data.outcome", "abandoned or failed or ok"),
        (with_(data="outcome: {from: $.x, map: {A: great}}"), 17, "data.outcome.map.A", "abandoned or failed or ok"),
        (with_(data="outcome: {from: $.x, default: great}"), 17, "data.outcome.default", "abandoned or failed or ok"),
        (with_(data="outcome: {map: {A: ok}}"), 17, "data.outcome.from", "a value: it is required"),
        (with_(data="journey: 5"), 17, "data.journey", "text, in quotes"),
        (with_(data="need_met: maybe"), 17, "data.need_met", "true or false"),
        (with_(data="need_met: yes"), 17, "data.need_met", "text, a number, true or false"),
        (with_(data="wait_s: soon"), 17, "data.wait_s", "a number"),
        (with_(data="wait_s: [$.a, $.b]"), 17, "data.wait_s", "one value: only text is joined"),
        (with_(data="wait_s: {from: $.a, scale: 0}"), 17, "data.wait_s.scale", "a number above 0"),
        (with_(data="journey: {from: $.a, scale: 2}"), 17, "data.journey.scale", "one of from, map, default, as"),
        (with_(data="waits: 5"), 17, "data.waits", "did you mean wait_s?"),
        (with_(data="journey: $order"), 17, "data.journey", "a place such as $.order.id"),
        (with_(data="journey: {from: order}"), 17, "data.journey.from", "a place such as $.order.id"),
        (with_(data="promised_by: tomorrow"), 17, "data.promised_by", "a time of the record"),
        (with_(data="segment: {region: 5}"), 17, "data.segment.region", "text, in quotes"),
        (with_(time="now"), 13, "time", "a time of the record"),
        (with_(time='{from: $.at, format: "%H:%M"}'), 13, "time.format", "a format with year, month and day"),
        (with_(time='{from: $.at, format: "%Y-%m-%d"}'), 13, "time", "a zone as well"),
        (with_(time="{from: $.at, format: epoch_s, zone: UTC}"), 13, "time", "no zone: epoch_s has its own"),
        (with_(time="{from: $.at, zone: Mars/Olympus}"), 13, "time.zone", "a time zone of the IANA database"),
        (with_(when="{}"), 14, "when", "at least one condition"),
        (with_(when="{status: PAID}"), 14, "when.status", "a place such as $.order.id"),
        (with_(when="{$.status: {}}"), 14, "when.'$.status'", "one of not, exists, at_least and below"),
        (with_(when="{$.status: {exists: 5}}"), 14, "when.'$.status'.exists", "true or false"),
        (with_(when="{$.status: {below: x}}"), 14, "when.'$.status'.below", "a number"),
        (with_().replace("customer", "costumer"), 15, "data.customer", "a value: it is required"),
        (with_().replace("topic: t", "topic: a/b"), 9, "topic", "the name of a Kafka topic"),
    ],
)  # fmt: skip
def test_each_fault_is_named_with_line_key_and_expectation(text: str, line: int, key: str, expected: str) -> None:
    found = [p for p in problems(text) if expected in p]
    assert len(found) == 1, problems(text)
    where = "sources.s." if key == "topic" else "sources.s.events.e."
    start = f"m.yaml:{line}: {where}{key}: found "
    assert found[0].startswith(start) or "required" in expected, found


def test_a_topic_has_one_source_and_nothing_follows_an_event_without_conditions() -> None:
    two = with_() + with_().removeprefix("sources:\n").replace("  s:", "  other:", 1)
    assert (
        "m.yaml:18: sources.other.topic: found 't', expected one source for each topic (first on line 9)"
        in problems(two)[0]
    )
    after = with_() + "      f: {type: cx.survey, time: $.at, data: {customer: c, survey: nps}}\n"
    assert problems(after)[0].startswith(
        "m.yaml:17: sources.s.events.f: found another event, expected nothing after e"
    )


def test_moments_and_dimensions_that_the_catalogue_lacks_are_noted() -> None:
    text = ORDERS.replace("moment: pay", "moment: pai").replace("segment: {region", "segment: {regio")
    found = notes(parse(HEAD + text, "m"))
    assert found[0].startswith("sources.orders.events.paid.data.moment: pai is not declared")
    assert found[0].endswith("(did you mean pay?)")
    assert found[1].startswith("sources.orders.events.paid.data.segment.regio: regio is no declared dimension")


def test_a_catalogue_without_sources_has_none() -> None:
    found: Catalogue = parse(HEAD, "m")
    assert found.sources == ()
