"""How many samples a catalogue may come to."""

from typing import get_args

from streams.candidates import COUNTED
from streams.catalogue import parse
from streams.cost import by_kind, samples, segments
from streams.moles import Kind
from tests.catalogues import CONTRACT, HEAD


def test_samples_add_up_over_segments_and_do_not_multiply() -> None:
    # No dimensions: all, voice=probe, voice=company. One signal: 31 a segment, 1 objective; 1 info.
    text = HEAD + "discovered: {limit: 0}\n"
    alone = parse(text, "f")
    assert segments(alone) == 3
    # The moment `other` is there even where nothing is discovered, with nine signals: four of them scores, nps twice.
    assert by_kind(alone) == {
        "signals": 3 * 31 + 1 + 1 + 9 * (3 * 31 + 1) + 1,
        "scores": 3 * 5 * 21,
        "waits": 0,
        "moles": 2 * len(get_args(Kind)) * 4,
    }
    # limit 20 and `other`, two values and `other`.
    cut = parse(text + "segments: {region: {limit: 20}, plan: {values: [free, pro]}}\n", "f")
    assert segments(cut) == 3 + 21 + 3
    assert by_kind(cut)["signals"] == 27 * 31 + 1 + 1 + 9 * (27 * 31 + 1) + 1


def test_samples_of_the_contract_example_count_every_discovered_moment() -> None:
    found = by_kind(parse(CONTRACT, "f"))
    assert found["signals"] == 27 * 5 * 31 + 5 + 1 + 51 * (27 * 9 * 31 + 9 + 1)
    assert found["scores"] == 27 * 21 * (1 + 51 * 5)
    assert found["waits"] == len((1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)) + 3
    assert found["moles"] == 52 * len(get_args(Kind)) * len(COUNTED)
    assert samples(parse(CONTRACT, "f")) == sum(found.values())
