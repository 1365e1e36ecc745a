"""A bar that shows how far a file has been read."""

import contextlib
import sys
from collections.abc import Iterator

from agents.files import Progress


@contextlib.contextmanager
def progress_bar(size: int | None) -> Iterator[Progress | None]:
    """A bar over the bytes of the file, where somebody watches; for a pipe nothing tells how far it is."""
    if size is None or not sys.stderr.isatty():
        yield None
        return
    from rich import console, progress

    with progress.Progress(
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=console.Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=size)
        yield lambda position: bar.update(task, completed=position)
