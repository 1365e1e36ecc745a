"""A real Apache Kafka in KRaft mode, one node, from Maven's jars: no container and no mock.

It is started, stopped, killed and restarted on the same port and data, because what molehill promises is
about exactly that. It never outlives the tests, however they end.
"""

import atexit
import contextlib
import ctypes
import fcntl
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

Answer = TypeVar("Answer")

START_SECONDS = 60.0
STOP_SECONDS = 30.0
FETCH_JARS_SECONDS = 600.0
PR_SET_PDEATHSIG = 1
LOG_OPTIONS = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)
_libc = ctypes.CDLL(None)

# A killed broker is refused as a duplicate of itself until its old session ends: 9 s by default.
SESSION_MS = 4_000

# Below the ephemeral ports (32768 and up on Linux): while the broker is down, a client that keeps
# reconnecting to an ephemeral port can be given that very port, connect to itself, and hold it.
PORTS = range(20_000, 32_000)

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms={session_ms}
broker.heartbeat.interval.ms=500
"""


def wait_until(predicate: Callable[[], Answer], timeout: float, what: str, every: float = 0.1) -> Answer:
    """Asks until the answer is true, and returns it; after `timeout` seconds fails with what never came."""
    deadline = time.monotonic() + timeout
    while True:
        if answer := predicate():
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout:g} s still not: {what} (last answer: {answer!r})")
        time.sleep(every)


def kafka_jars(pom: Path) -> Path:
    """The directory with the pom's jars: filled by Maven once for each version of the pom and user.

    MOLEHILL_TEST_CACHE names another cache directory.
    """
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "molehill"
    cache = Path(os.environ.get("MOLEHILL_TEST_CACHE") or default)
    jars = cache / f"kafka-{hashlib.sha256(pom.read_bytes()).hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{jars.name}.lock"):
        if not jars.exists():
            _fetch_jars(pom, jars)
    return jars


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_jars(pom: Path, jars: Path) -> None:
    """Into a directory beside it, renamed at the end: a run cut short leaves no half-filled cache."""
    half = Path(tempfile.mkdtemp(prefix=f"{jars.name}.", dir=jars.parent))
    command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
    try:
        done = subprocess.run(
            [*command, "-DincludeScope=runtime", f"-DoutputDirectory={half}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=FETCH_JARS_SECONDS,
            check=False,
        )
        if done.returncode != 0 or not any(half.glob("kafka_*.jar")):
            raise RuntimeError(f"Maven could not fetch Apache Kafka:\n{done.stdout[-2000:]}")
        half.rename(jars)
    finally:
        shutil.rmtree(half, ignore_errors=True)


class KafkaServer:
    """One broker with its own data directory, its log beside it, and the same port for its whole life."""

    def __init__(self, jars: Path, home: Path, properties: str = "") -> None:
        """`properties`: lines that are added to the configuration."""
        self.jars = jars
        self._properties = PROPERTIES + properties
        self.log = home / "kafka.log"
        self.data = home / "data"
        self._config = home / "server.properties"
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self._controller_port = _free_ports(2)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Returns once the broker answers; raises with the end of its log where it does not."""
        if self.running:
            return
        if not self.data.exists():
            self._format()
        self._process = self._java("-Xms256m", "-Xmx1g", main="kafka.Kafka", arguments=[str(self._config)])
        atexit.register(self.kill)
        try:
            wait_until(self._answers, START_SECONDS, f"Kafka answers on {self.bootstrap}")
        except AssertionError as error:
            self.kill()
            raise RuntimeError(f"{error}\n{self._end_of_log()}") from None

    def stop(self) -> None:
        """SIGTERM: flushes, moves leadership away and leaves; SIGKILL where that takes too long."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._gone()

    def kill(self) -> None:
        """SIGKILL: what was acknowledged is with the operating system, nothing else is promised."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait(STOP_SECONDS)
        self._gone()

    def restart(self, *, kill: bool = False) -> None:
        """Down and up again on the same port and data."""
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()

    def close(self) -> None:
        """The end of the run: nobody reads the data again, so no orderly shutdown; the log stays."""
        self.kill()
        shutil.rmtree(self.data, ignore_errors=True)

    def _format(self) -> None:
        self._config.write_text(
            self._properties.format(
                port=self.port,
                controller_port=self._controller_port,
                data=self.data,
                session_ms=SESSION_MS,
            )
        )
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "a")
        format_ = self._java(
            "-XX:TieredStopAtLevel=1",
            main="kafka.tools.StorageTool",
            arguments=["format", "--cluster-id", cluster, "--config", str(self._config)],
        )
        if format_.wait(START_SECONDS) != 0:
            raise RuntimeError(f"Kafka's data directory could not be formatted\n{self._end_of_log()}")

    def _java(self, *options: str, main: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        # The kernel ends the broker with us, even on SIGKILL; but it does so when the *thread* that started
        # it ends, so a test that restarts it from a short-lived thread gets the exit hook only.
        tied = threading.current_thread() is threading.main_thread()
        with self.log.open("ab") as log:
            return subprocess.Popen(
                ["java", *LOG_OPTIONS, *options, "-cp", str(self.jars / "*"), main, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent if tied else None,
            )

    def _answers(self) -> bool:
        if not self.running:
            code = None if self._process is None else self._process.returncode
            raise RuntimeError(f"Kafka ended with exit code {code}\n{self._end_of_log()}")
        # First the port alone: the client's own patience with a closed one costs ten seconds.
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            admin = KafkaAdminClient(
                bootstrap_servers=self.bootstrap,
                request_timeout_ms=2_000,
                reconnect_backoff_ms=50,
                reconnect_backoff_max_ms=200,
            )
        except (OSError, KafkaError):
            return False
        # The port opens before the broker has joined its cluster: it must name itself as a member.
        try:
            return any(broker["port"] == self.port for broker in admin.describe_cluster()["brokers"])
        except KafkaError:
            return False
        finally:
            admin.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _gone(self) -> None:
        self._process = None
        atexit.unregister(self.kill)

    def _end_of_log(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody listens on now; held until all are found, so they differ."""
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        for port in random.sample(PORTS, len(PORTS)):
            try:
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            ports.append(port)
            if len(ports) == count:
                return ports
    raise RuntimeError(f"no {count} free ports in {PORTS}")
