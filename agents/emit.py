"""`emit` and `replay`: JSON lines of CloudEvents into the source topics, keyed by customer, bytes unchanged.

Only what sending needs is looked at: the type names the topic, the customer is the key. The rest is the
worker's to judge, so that whatever a file holds can be tried against it. A line without the two cannot be
sent, and counts as failed.
"""

import datetime as dt
import gc
import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Annotated

import msgspec

from agents import files
from agents.sender import OnFailure, Outcome, Sender
from streams.errors import InputError

LONG_WAIT_SECONDS = 60.0


class _Data(msgspec.Struct, gc=False):
    customer: str


class Envelope(msgspec.Struct, gc=False):
    """What sending needs of an event."""

    type: str
    data: _Data


class TimedEnvelope(Envelope, gc=False):
    """What sending at the pace of event time needs."""

    time: Annotated[dt.datetime, msgspec.Meta(tz=True)]


class Pace:
    """Waits until an event is due: `speed` seconds of event time in each second; 0 is as fast as it goes."""

    def __init__(self, speed: float, notice: Callable[[str], None]) -> None:
        self._speed = speed
        self._notice = notice
        self._origin: tuple[float, float] | None = None  # (event time, monotonic), both in seconds

    def wait(self, when: dt.datetime) -> None:
        """Returns at once for an event older than those before it: the order is the file's."""
        if not self._speed:
            return
        event_s, now_s = when.timestamp(), time.monotonic()
        if self._origin is None:
            self._origin = (event_s, now_s)
        left_s = (event_s - self._origin[0]) / self._speed - (now_s - self._origin[1])
        if left_s > LONG_WAIT_SECONDS:
            self._notice(f"the next event ({when.isoformat()}) is due in {dt.timedelta(seconds=round(left_s))}")
        while left_s > 0:
            time.sleep(min(left_s, LONG_WAIT_SECONDS))
            left_s = (event_s - self._origin[0]) / self._speed - (time.monotonic() - self._origin[1])


class _Interrupts:
    """Ctrl-C, but never within kafka-python's append: half a record in a batch would cost the whole batch."""

    busy = False
    asked = False

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._on_signal)

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._before)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        again, self.asked = self.asked, True
        if again or not self.busy:
            raise KeyboardInterrupt


def send_file(
    path: str,
    sender: Sender,
    on_failure: OnFailure,
    pace: Pace | None = None,
    progress: files.Progress | None = None,
) -> Outcome:
    """Every line of a file, in its order; returns when all are acked or have failed.

    Ctrl-C flushes and sets `interrupted`. An InputError (a truncated file) is raised after the flush: what
    came before it has been sent.
    """
    decode = msgspec.json.Decoder(TimedEnvelope if pace else Envelope).decode
    send, topic_of = sender.send, sender.topic_of
    outcome = sender.outcome
    fault: InputError | None = None
    interrupts = _Interrupts()
    # Each record leaves a future with callbacks until its ack: seeking garbage there took a fifth of it.
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    try:
        with interrupts:
            for number, line in files.read_lines(path, progress):
                try:
                    event = decode(line)
                    topic = topic_of[event.type]
                except KeyError:
                    reason = f"$.type: found {event.type[:80]!r}, expected {_one_of(list(topic_of))}"
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    reason = " ".join(str(error).split())
                else:
                    if isinstance(event, TimedEnvelope) and pace is not None:
                        pace.wait(event.time)
                    interrupts.busy = True
                    send(topic, event.data.customer.encode(), line, number)
                    interrupts.busy = False
                    if interrupts.asked:
                        raise KeyboardInterrupt
                    continue
                outcome.failed += 1
                on_failure(number, reason)
    except InputError as error:
        fault = error
    except KeyboardInterrupt:
        outcome.interrupted = True
    finally:
        gc.set_threshold(*thresholds)
    sender.flush()
    if fault is not None:
        raise fault
    return outcome


def _one_of(values: Sequence[str]) -> str:
    return ", ".join(values[:-1]) + " or " + values[-1]
