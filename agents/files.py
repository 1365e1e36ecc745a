"""JSON lines from a file or from stdin, plain or compressed with gzip or Zstandard, without loading it whole.

Decompression is done here in chunks, not by `gzip.open`, for three reasons: a progress bar needs the position
in the *compressed* file (its size is all that is known beforehand), a Zstandard reader takes a truncated file
for a complete one, and a fault must come as one line that names file and line.
"""

import contextlib
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import zstandard

from streams.catalogue import Catalogue, parse
from streams.errors import InputError

CHUNK = 256 * 1024  # bytes read at once, and the step of the progress
MAX_LINE = 16 * 1024 * 1024  # bytes; an event has at most 64 KiB, and a line without an end must not fill memory
STDIN = "-"
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

Progress = Callable[[int], None]  # called with the bytes of the (compressed) input read so far


class Read(Protocol):
    """`io.BufferedReader.read1`."""

    def __call__(self, size: int, /) -> bytes: ...


def shown_name(path: str) -> str:
    """The name that messages give to `path`."""
    return "<stdin>" if path == STDIN else path


def size_of(path: str) -> int | None:
    """The size of the input as it is stored, in bytes, for a progress bar; None for a pipe or stdin.

    Raises InputError where there is nothing to read, so that one can ask before connecting anywhere.
    """
    if path == STDIN:
        return None
    try:
        file = Path(path)
        if file.is_fifo():  # opening it would take its writer away from the reader
            return None
        with open(path, "rb"):  # refuses directories as well
            return file.stat().st_size if file.is_file() else None
    except OSError as error:
        raise _unreadable(path, error) from None


def read_lines(path: str, progress: Progress | None = None) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, the line without its end) of every line that is not blank.

    Lines before a fault are delivered first. Raises InputError for a file that cannot be opened or read, is
    cut off, is damaged, or has a line of over 16 MiB.
    """
    name = shown_name(path)
    number = 0
    rest: list[bytes] = []  # a line's pieces; joined once, so a long line does not cost its square
    held = 0
    try:
        with _opened(path) as read:
            for chunk in _plain(read, Path(path).suffix, progress):
                head, *tail = chunk.split(b"\n")
                rest.append(head)
                held += len(head)
                if tail:
                    *whole, last = [b"".join(rest), *tail]
                    rest, held = [last], len(last)
                    for line in whole:
                        number += 1
                        if line := line.rstrip(b"\r"):
                            yield number, line
                if held > MAX_LINE:
                    raise _Damaged(f"a line of more than {MAX_LINE >> 20} MiB; expected one JSON event on each")
        if line := b"".join(rest).rstrip(b"\r"):
            yield number + 1, line
    except _Damaged as error:
        raise InputError(f"{name}:{number + 1}: {error}") from None
    except OSError as error:
        raise _unreadable(name, error, number + 1) from None


def read_catalogue(path: str | Path) -> Catalogue:
    """A catalogue's file; raises InputError, or CatalogueError with every problem of it."""
    try:
        return parse(Path(path).read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: found a byte that is not UTF-8 at {error.start}, expected YAML") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; expected a catalogue") from None


def _unreadable(name: str, error: OSError, line: int = 0) -> InputError:
    expected = "expected a file of JSON lines (also .gz and .zst) or - for stdin"
    if isinstance(error, FileNotFoundError):
        return InputError(f"{name}: no such file; {expected}")
    if isinstance(error, IsADirectoryError):
        return InputError(f"{name}: is a directory; {expected}")
    where = f"{name}:{line}" if line else name
    return InputError(f"{where}: cannot be read: {error.strerror or error}")


class _Damaged(Exception):
    """What is wrong with the data; the reader adds file and line."""


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Read]:
    """A read that returns what a pipe has at the moment, so that live input is not held back."""
    if path == STDIN:
        buffer = sys.stdin.buffer
        yield buffer.read1 if isinstance(buffer, io.BufferedReader) else buffer.read
    else:
        with open(path, "rb") as file:
            yield file.read1


def _raw_chunks(read: Read, progress: Progress | None) -> Iterator[bytes]:
    position = 0
    while chunk := read(CHUNK):
        position += len(chunk)
        if progress is not None:
            progress(position)
        yield chunk


def _plain(read: Read, suffix: str, progress: Progress | None) -> Iterator[bytes]:
    """Decompressed chunks. The name's ending decides, else the first bytes (never those of JSON)."""
    chunks = _raw_chunks(read, progress)
    first = b""
    for chunk in chunks:  # a pipe may deliver less than the four bytes that tell
        first += chunk
        if len(first) >= len(ZSTD_MAGIC):
            break
    if suffix == ".gz" or first.startswith(GZIP_MAGIC):
        return _decompressed("gzip", lambda: zlib.decompressobj(wbits=31), first, chunks)
    if suffix == ".zst" or first.startswith(ZSTD_MAGIC):
        return _decompressed("zstd", lambda: zstandard.ZstdDecompressor().decompressobj(), first, chunks)
    return _joined(first, chunks)


def _joined(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from chunks


def _decompressed(codec: str, make: Callable[[], Any], first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The plain bytes of any number of compressed members in a row, as `cat a.gz b.gz` makes them."""
    current = make()
    fed = ended = False  # within the current member; whether one has ended
    for chunk in _joined(first, chunks):
        data = chunk
        while data:
            if ended and not fed and codec == "gzip" and not (data := data.lstrip(b"\0")):
                break  # zeros after a gzip member are padding, as gzip itself takes them
            try:
                plain = current.decompress(data)
            except (zlib.error, zstandard.ZstdError) as error:
                raise _Damaged(f"not valid {codec} data ({_reason(error)})") from None
            fed = True
            if plain:
                yield plain
            if not current.eof:
                break
            data = current.unused_data
            current, fed, ended = make(), False, True
    if fed or not ended:
        raise _Damaged(f"the {codec} data ends early: the file is cut off")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())
