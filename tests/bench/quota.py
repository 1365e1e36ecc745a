"""A share of a processor for one process: a control group of its own, by version 1 or 2 of Linux's cgroups.

So that on a machine with few processors two workers have twice what one has, and the broker has the rest.
(docs.kernel.org/scheduler/sched-bwc.html, docs.kernel.org/admin-guide/cgroup-v2.html)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 20_000  # short, so that a worker is held back evenly


class QuotaError(Exception):
    """No control group can be made here."""


def limits(share: float, root: Path = ROOT) -> tuple[Path, dict[str, str]]:
    """Where groups are made, and what to write into which files of one, in this order."""
    quota = int(share * PERIOD_US)
    if (root / "cgroup.controllers").exists():
        return root, {"cpu.max": f"{quota} {PERIOD_US}"}
    return root / "cpu", {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(quota)}


@contextmanager
def group(name: str, share: float, root: Path = ROOT) -> Iterator[Path]:
    """A group whose processes have so much of a processor together; `join` it. Those in it must end before it does.

    Raises QuotaError.
    """
    parent, files = limits(share, root)
    home = parent / f"molehill-{name}"
    try:
        if "cpu.max" in files:
            (parent / "cgroup.subtree_control").write_text("+cpu")
        home.mkdir(exist_ok=True)
        for file, text in files.items():
            (home / file).write_text(text)
    except OSError as e:
        raise QuotaError(
            f"--quota: {e.filename}: {e.strerror}, expected cgroups that we may write (as root)"
        ) from None
    try:
        yield home
    finally:
        home.rmdir()


def join(home: Path, pid: int) -> None:
    """Puts a process into a group, with all its threads."""
    (home / "cgroup.procs").write_text(str(pid))
