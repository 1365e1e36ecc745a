"""A file that is no YAML, or YAML that means harm: refused, with the line."""

import pytest

from streams.yaml_tree import MAX_CHARACTERS
from tests.catalogues import HEAD, only_problem


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("", 1, "an empty file"),
        ("# nothing yet\n\n", 1, "an empty file"),
        (HEAD + "---\n" + HEAD, 11, "a second document"),
        (HEAD + "segments: [\n", 12, "a syntax error"),
        (HEAD + "segments: a: b\n", 11, "mapping values are not allowed here"),
        (HEAD + "\tsegments: {}\n", 11, "'\\t' that cannot start any token"),
        (HEAD + "segments: \x00\n", 11, r"the character '\x00'"),
        (HEAD + "\r\nsegments: \x07\r\n", 12, r"the character '\x07'"),
        (HEAD + 'segments: "\\UFFFFFFFF"\n', 11, "a syntax error"),
        (HEAD + "segments: &a [*a]\n", 11, "the alias *a inside its own anchor"),
        (HEAD + "segments: *nowhere\n", 11, "the alias *nowhere without an anchor before it"),
        (HEAD + "segments: " + "[" * 100_000, 11, "deeper nesting"),
        (HEAD + "segments: " + "{a: " * 100_000, 11, "deeper nesting"),
        (HEAD + "- " * 100_000, 11, "a syntax error"),
        ("%YAML 1." + "9" * 5000 + "\n---\n", 1, "a syntax error"),
        ("x" * (MAX_CHARACTERS + 1), 1, "characters"),
    ],
)
def test_a_file_that_is_no_single_yaml_document_names_the_line(text: str, line: int, found: str) -> None:
    problem = only_problem(text)
    assert (problem.line, problem.key) == (line, "(document)")
    assert found in problem.found


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    assert "at most 200000 values" in only_problem("\n".join(bomb)).expected
