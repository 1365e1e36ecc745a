"""What agents/transport.py and agents/store.py rely on in Faust and aiokafka.

Two kinds of tests. Here the source itself is compared of what is copied or hooked into: a change there is to be read
by a person before the pin in pyproject.toml is moved. And in test_overrides_….py small real objects show that the
defect is still there (an override that is not needed any more should go) and that the override mends it.
"""

import hashlib
import inspect
import re
from pathlib import Path
from typing import Any

import faust
import pytest
from aiokafka.consumer import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import BaseCoordinator, CoordinatorGroupRebalance, GroupCoordinator
from aiokafka.producer import AIOKafkaProducer
from faust.app.base import App
from faust.stores.memory import Store
from faust.streams import Stream
from faust.tables.base import Collection
from faust.tables.recovery import Recovery
from faust.transport.base import Transport
from faust.transport.consumer import Consumer, ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as driver
from mode.services import Service
from mode.supervisors import CrashingSupervisor
from mode.threads import MethodQueue, QueueServiceThread
from mode.utils.queues import FlowControlEvent, ThrowableQueue

from agents.store import RowStore, RowTable
from agents.transport import (
    BatchConsumer,
    BatchCoordinator,
    BatchProducer,
    BatchSchema,
    BatchThread,
    BatchTransport,
)

# The first 16 hexadecimal digits of the SHA-256 of a function's source. One that differs has been changed upstream:
# read it, see whether our override still holds, and only then write the new one here.
Thread = driver.AIOKafkaConsumerThread
SOURCES: dict[Any, str] = {
    BaseCoordinator._handle_metadata_update: "b2832b6d82bea7c4",
    GroupCoordinator._do_heartbeat: "dc1d6632aaa68e96",
    GroupCoordinator._perform_assignment: "a5cf61fa97320199",
    GroupCoordinator._push_error_to_user: "743ff515bd7e2e38",
    GroupCoordinator.fetch_committed_offsets: "6c049c7379165952",
    GroupCoordinator._do_fetch_commit_offsets: "b0f3598132715552",
    GroupCoordinator._heartbeat_routine: "61d01028952239d0",
    CoordinatorGroupRebalance._on_join_leader: "c57a3e85197dcc20",
    AIOKafkaConsumer.start: "2f1ba70443327538",
    Fetcher.fetched_records: "be4348896b9b66af",
    FetchResult.getall: "3e717e30de5068d5",
    FetchResult.check_assignment: "b5340df67e3f330f",
    PartitionRecords._unpack_records: "b803e6d46480732c",
    Thread.on_start: "38b4e8bd1e10723a",
    Thread._create_worker_consumer: "c2701bfc3e6f6cad",
    Thread._fetch_records: "39a2c6c79fc1455a",
    Thread._commit: "932852ce7a23f658",
    Thread._seek_wait: "9d221e816d940467",
    Consumer.perform_seek: "0e8c130ff4b0afd8",
    Consumer.getmany: "4b168d84882a70d6",
    Consumer._wait_next_records: "6218e1969a636b3f",
    Consumer._drain_messages: "44a2500309e83c63",
    Consumer._new_offset: "1d2c7ea89a7ad4f1",
    Consumer._filter_committable_offsets: "dc5e9baf5d994485",
    Consumer.on_partitions_assigned: "29ce96596f05a18c",
    Consumer.on_partitions_revoked: "d04b7ae72c6fc206",
    Consumer.seek: "b86a9fe05f956b30",
    Consumer.resume_flow: "db59630f25b5819b",
    FlowControlEvent.resume: "4dcdc1253fd0dcb4",
    ThreadDelegateConsumer._seek: "4f95c631420410a5",
    Thread.seek: "1498560d05f02582",
    Fetcher.seek_to: "f0ba6aba6c22ef83",
    Recovery._add: "1584a197b11bf835",
    Recovery.on_rebalance: "aa4d997a1795ceae",
    Recovery._restart_recovery.fun: "6bd8a8558a2dffe4",
    Recovery._build_offsets: "27eec86be06cb51f",
    Recovery._seek_offsets: "19598ca63d94d250",
    Recovery._slurp_changelogs.fun: "7825c7e50f766d5a",
    Recovery.on_recovery_completed: "6ef567acf072e46d",
    Recovery.active_remaining: "0dcc38568ad5018b",
    Recovery._resume_streams: "d986a6710c1aca98",
    Recovery.flush_buffers: "6fa9c17f1071018c",
    Stream._py_aiter: "3a48ee257a65435b",
    Stream._c_aiter: "fa44582a5882e9df",
    Transport.create_producer: "2de47ba78c944b4a",
    Transport.create_consumer: "46cc2bf5ab14acfa",
    driver.Consumer._new_consumer_thread: "0870ec53dea75083",
    ThreadDelegateConsumer.seek_wait: "e9db5bbc4ceb2543",
    faust.Schema.loads_key: "9adc30303f20915c",
    faust.Schema.loads_value: "61a4628b4e0966e6",
    Store.__post_init__: "e59c82f3785458b2",
    Store.apply_changelog_batch: "71863e3cd727aac2",
    Store.on_recovery_completed: "a00bef343e139602",
    Store.on_rebalance: "a32fbe3c18de4288",
    Store.persisted_offset: "fbba5c6544979388",
    Collection._new_store: "914a2bda605d38f5",
    Collection._new_store_by_url: "343a8125107d3f69",
    driver.Producer.send: "0b5bd08f52e5e2a9",
    driver.Producer._ensure_producer: "5592a4bbdf251325",
    AIOKafkaProducer.send: "08ce81263f439838",
    AIOKafkaProducer.create_batch: "c4efda4bb7a09741",
    AIOKafkaProducer.send_batch: "bf42b0f0c5c0646d",
    Service.add_future: "515996de67f8a056",
    Service._execute_task: "2a976a30f01cbbef",
    CrashingSupervisor._contribute_to_service: "02faf60d8b7faf3e",
    CrashingSupervisor.wakeup: "4200e8caee844e5a",
    QueueServiceThread.call_thread: "479edda75b54734b",
    MethodQueue.call: "57bd4157ba4e349f",
    MethodQueue._process_enqueued: "d88a086d148c8012",
    FlowControlEvent.clear: "dda5e40d80288a8f",
    ThrowableQueue.clear: "d18f09e451acf62e",
    App._on_partitions_revoked: "d5c895bbe57dc73a",
    App._on_partitions_assigned: "de932b7927db85b3",
}

OWN = {
    "forget", "settle", "hold", "commit_state", "progress", "_restart", "_in_order", "take", "committed", "cut",
    "continues", "_overtaken",
}  # fmt: skip
"""Methods that upstream has none of."""


@pytest.mark.parametrize("function", SOURCES, ids=lambda f: f.__qualname__)
def test_what_an_override_copies_or_hooks_into_is_as_it_was_read(function: Any) -> None:
    found = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]
    assert found == SOURCES[function], f"{function.__qualname__} has changed upstream"


def test_the_compiled_stream_is_as_it_was_read() -> None:
    """It passes over what an agent's queue still holds of an assignment before, as `_py_aiter` does."""
    source = (Path(faust.__file__).parent / "_cython" / "streams.pyx").read_bytes()
    assert hashlib.sha256(source).hexdigest()[:16] == "0041622f4a251188"


PAIRS = [
    (BatchCoordinator, GroupCoordinator),
    (BatchThread, Thread),
    (BatchConsumer, driver.Consumer),
    (BatchProducer, driver.Producer),
    (BatchSchema, faust.Schema),
    (RowStore, Store),
    (RowTable, faust.Table),
]


def functions(ours: type) -> dict[str, Any]:
    """The methods that a class of ours defines."""
    return {n: f for n, f in vars(ours).items() if inspect.isfunction(f) and n != "__init__"}


OVERRIDES = [(ours, theirs, name) for ours, theirs in PAIRS for name in functions(ours) if hasattr(theirs, name)]
override = pytest.mark.parametrize(
    ("ours", "theirs", "name"), OVERRIDES, ids=[f"{o.__name__}.{n}" for o, _, n in OVERRIDES]
)


@override
def test_an_override_replaces_what_was_read(ours: type, theirs: type, name: str) -> None:
    assert getattr(theirs, name) in SOURCES


@override
def test_an_override_names_the_public_thread_about_its_defect_or_says_that_none_was_found(
    ours: type, theirs: type, name: str
) -> None:
    said = inspect.getdoc(vars(ours)[name]) or ""
    assert re.search(r"github\.com/\S+/(issues|pull)/\d+|[Nn]o thread found", said), said


def test_our_transport_has_its_consumer_and_its_producer_where_upstream_looks_for_them() -> None:
    for name in ("Consumer", "Producer"):
        assert issubclass(vars(BatchTransport)[name], vars(driver.Transport)[name])
        assert f"self.{name}(" in inspect.getsource(getattr(Transport, f"create_{name.lower()}"))


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda c: c.__name__)
def test_an_override_takes_what_upstream_passes(ours: type, theirs: type) -> None:
    """A renamed method would be dead code; a new parameter a TypeError at the worst time."""
    own = functions(ours)
    shared = [n for n in own if hasattr(theirs, n)]
    assert shared
    for name in shared:
        known = inspect.signature(getattr(theirs, name)).parameters
        taken = inspect.signature(own[name]).parameters
        variadic = any(p.kind is p.VAR_KEYWORD for p in known.values())
        assert list(known) == list(taken) or variadic, (
            f"{ours.__name__}.{name}{tuple(taken)}, upstream {tuple(known)}"
        )
    added = {n for n in own if n not in shared}
    assert added <= OWN, added
