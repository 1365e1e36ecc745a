"""JSON lines from files and pipes: whole where they are whole, one clear line where they are not."""

import gzip
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from agents import files
from streams.errors import InputError

ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    ".jsonl": bytes,
    ".jsonl.gz": gzip.compress,
    ".jsonl.zst": zstandard.ZstdCompressor().compress,
}
LINES = [b'{"n": %d}' % n for n in range(20_000)]
TEXT = b"\n".join(LINES) + b"\n"


def written(directory: Path, name: str, data: bytes) -> str:
    path = directory / name
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("ending", ENCODERS)
def test_every_line_comes_with_its_number_whatever_the_compression(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path, "events" + ending, ENCODERS[ending](TEXT))
    assert list(files.read_lines(path)) == list(enumerate(LINES, 1))


@pytest.mark.parametrize("encode", [gzip.compress, zstandard.ZstdCompressor().compress], ids=["gz", "zst"])
def test_compression_is_recognised_without_the_ending(tmp_path: Path, encode: Callable[[bytes], bytes]) -> None:
    assert [line for _, line in files.read_lines(written(tmp_path, "events", encode(TEXT)))] == LINES


@pytest.mark.parametrize("ending", [".jsonl.gz", ".jsonl.zst"])
def test_members_that_were_joined_with_cat_are_all_read(tmp_path: Path, ending: str) -> None:
    half = len(TEXT) // 2  # cuts a line in two
    data = ENCODERS[ending](TEXT[:half]) + ENCODERS[ending](TEXT[half:])
    assert [line for _, line in files.read_lines(written(tmp_path, "e" + ending, data))] == LINES


def test_zeros_after_a_gzip_member_are_padding(tmp_path: Path) -> None:
    path = written(tmp_path, "e.gz", gzip.compress(b"{}\n") + bytes(1_000))
    assert list(files.read_lines(path)) == [(1, b"{}")]


def test_blank_lines_count_but_do_not_come_and_windows_line_ends_go(tmp_path: Path) -> None:
    path = written(tmp_path, "e.jsonl", b'{"a":1}\r\n\r\n\n{"b":2}')
    assert list(files.read_lines(path)) == [(1, b'{"a":1}'), (4, b'{"b":2}')]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert list(files.read_lines(written(tmp_path, "e.jsonl", b""))) == []


@given(
    st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")), max_size=30),
    st.integers(1, 50),
)
def test_lines_do_not_depend_on_where_a_pipe_cuts_them(lines: list[bytes], step: int) -> None:
    lines = [b"{" + line for line in lines]  # as JSON does, and compressed data never

    class Pipe(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(step)

    stdin = sys.stdin
    sys.stdin = SimpleNamespace(buffer=Pipe(b"\n".join(lines)))
    try:
        assert [line for _, line in files.read_lines("-")] == lines
    finally:
        sys.stdin = stdin


def test_a_live_pipe_is_not_held_back_until_a_chunk_is_full() -> None:
    code = "from agents import files\nfor n, line in files.read_lines('-'): print(n, line.decode(), flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{"n": 1}\n')
        process.stdin.flush()
        assert process.stdout.readline() == b'1 {"n": 1}\n'  # though the pipe is still open
        process.stdin.close()


@pytest.mark.parametrize("ending", ENCODERS)
def test_progress_ends_at_the_size_of_the_compressed_file(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path, "e" + ending, ENCODERS[ending](TEXT))
    seen: list[int] = []
    for _ in files.read_lines(path, seen.append):
        pass
    assert seen == sorted(seen)
    assert seen[-1] == files.size_of(path) == os.path.getsize(path)


@pytest.mark.parametrize("ending", [".jsonl.gz", ".jsonl.zst"])
def test_a_file_that_is_cut_off_gives_its_whole_lines_and_then_one_error(tmp_path: Path, ending: str) -> None:
    data = ENCODERS[ending](TEXT + os.urandom(300_000).hex().encode())
    path = written(tmp_path, "cut" + ending, data[: len(data) // 2])
    got: list[bytes] = []
    with pytest.raises(InputError) as caught:
        got.extend(line for _, line in files.read_lines(path))
    assert got == LINES  # the cut is in the long line after them
    codec = "gzip" if ending == ".jsonl.gz" else "zstd"
    assert str(caught.value) == f"{path}:{len(got) + 1}: the {codec} data ends early: the file is cut off"


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_file_that_only_claims_to_be_compressed_is_refused_at_line_one(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path, "bad" + ending, b'{"not": "compressed"}\n')
    with pytest.raises(InputError, match=r"^\S+:1: not valid (gzip|zstd) data \([^\n]*\)$"):
        list(files.read_lines(path))


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_an_empty_compressed_file_is_cut_off(tmp_path: Path, ending: str) -> None:
    with pytest.raises(InputError, match="cut off"):
        list(files.read_lines(written(tmp_path, "e" + ending, b"")))


def test_a_damaged_byte_in_a_gzip_file_is_one_error(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(TEXT))
    data[len(data) // 2] ^= 0xFF
    path = written(tmp_path, "e.gz", bytes(data))
    with pytest.raises(InputError, match=r"^\S+:\d+: not valid gzip data"):
        list(files.read_lines(path))


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = written(tmp_path, "e.gz", gzip.compress(b"x" * (files.MAX_LINE + files.CHUNK * 2)))
    with pytest.raises(InputError, match=r":1: a line of more than 16 MiB"):
        list(files.read_lines(path))


@pytest.mark.parametrize("ask", [files.size_of, lambda path: list(files.read_lines(path))], ids=["size", "read"])
def test_a_missing_file_and_a_directory_say_what_was_expected(tmp_path: Path, ask: Callable[[str], object]) -> None:
    with pytest.raises(InputError, match="no such file; expected a file of JSON lines"):
        ask(str(tmp_path / "none.jsonl"))
    with pytest.raises(InputError, match="is a directory; expected a file of JSON lines"):
        ask(str(tmp_path))
