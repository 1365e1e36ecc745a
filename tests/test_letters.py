"""A letter gives back the record that it was made of, whatever that had for headers."""

from hypothesis import given
from hypothesis import strategies as st

from streams import names
from streams.letters import Header, letter_of, printable

NAMES = st.sampled_from([*vars(names).values(), "a"]).filter(lambda x: isinstance(x, str)) | st.text()
ORIGINAL = st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=8)), max_size=8)
OWN: list[Header] = [
    ("molehill_reason", b"bad_field"),
    ("molehill_error", b"data.moment: expected a name"),
    ("molehill_topic", b"cx.feedback"),
    ("molehill_partition", b"3"),
    ("molehill_offset", b"77"),
]


@given(ORIGINAL, st.none() | st.binary(), st.none() | st.binary())
def test_a_letter_holds_the_original_and_what_was_wrong(
    headers: list[Header], key: bytes | None, value: bytes | None
) -> None:
    letter = letter_of(key, value, [*headers, *OWN])
    assert letter is not None
    assert (letter.key, letter.value, letter.headers, letter.whole) == (key, value, headers, True)
    assert (letter.topic, letter.partition, letter.offset) == ("cx.feedback", 3, 77)
    assert (letter.reason, letter.error) == ("bad_field", "data.moment: expected a name")
    assert letter.identity == b"cx.feedback/3/77"


@given(ORIGINAL)
def test_a_letter_with_a_hash_has_lost_its_value(headers: list[Header]) -> None:
    letter = letter_of(None, b"", [*headers, *OWN, ("molehill_sha256", b"00")])
    assert letter is not None
    assert (letter.headers, letter.whole) == (headers, False)


def test_a_letter_of_a_letter_is_that_of_the_last_refusal() -> None:
    again = [(k, b"9" if k == "molehill_offset" else v) for k, v in OWN]
    letter = letter_of(None, b"x", [*OWN, *again])
    assert letter is not None
    assert (letter.offset, letter.headers) == (9, OWN)


def test_what_molehill_did_not_write_is_no_letter() -> None:
    assert letter_of(None, b"x", []) is None
    assert letter_of(None, b"x", OWN[:4]) is None
    assert letter_of(None, b"x", [*OWN, ("later", b"")]) is None
    assert letter_of(None, b"x", [*OWN[:4], ("molehill_offset", b"-1")]) is None


def test_what_a_letter_says_cannot_steer_a_terminal() -> None:
    assert printable("a\x1b[2Jb\n") == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}"
