"""What an event counts as: from its key (the segment as it came, and what was observed) to a code.

A code says which lanes of the ledger an event adds to. That takes the catalogue and the caps on names: what the
moment measures, which of the segments are dimensions, whose voice it is, and which names have lanes of their own. It
is worked out when a key is first seen, and remembered with its moment: the hot loop (`Tally`) looks there, and asks
here only for what it does not find.
"""

from streams import names
from streams.codes import Codes
from streams.event_reader import segments
from streams.events import Answer, Event, Touchpoint, check_moment
from streams.route import Key, Measured, Routes, segment_of
from streams.signals import Amounts, answer_fields, touchpoint_fields


class Coder:
    """Gives events of one source topic-partition their codes. `measured` has the moments that are remembered."""

    def __init__(self, routes: Routes, codes: Codes) -> None:
        self.routes = routes
        self.codes = codes
        self.ledger = codes.ledger
        self.measured: dict[str, Measured] = {}

    def clear(self) -> None:
        """Forgets all codes."""
        self.codes.clear()
        for m in self.measured.values():
            m.codes.clear()

    def measure(self, moment: str) -> Measured:
        """How a moment is measured that `measured` does not have. Raises Rejection for what is no moment's name."""
        check_moment(moment)
        found = self.routes.measured(moment)
        if found.declared or moment in self.ledger.undeclared:
            self.measured[moment] = found  # others are not remembered: there is no end to what could be sent
        return found

    def code(self, measured: Measured, key: Key, event: Event) -> int:
        """The number of a key that `measured` does not hold; 0 where it counts for nothing."""
        each, whole = _fields(measured, key)
        if not each and not whole:
            return 0
        moment = measured.name if measured.declared else self.ledger.admit_moment(measured.name)
        some = self._segments(moment, event) if each else []
        code = measured.codes[key] = self.codes.new(moment, key[1], each, some, whole)
        return code

    def _segments(self, moment: str, event: Event) -> list[str]:
        voice = event.data.voice if isinstance(event, Answer) else "customer"
        if isinstance(event, Touchpoint) and event.data.probe:
            voice = "probe"
        if voice == "probe":
            return [names.PROBE]
        if voice == "company":
            return [names.COMPANY]
        found = segments(event.data.segment)
        out = [names.ALL]
        for name, dimension in self.routes.catalogue.dimensions.items():
            if name in found:
                value = self.ledger.admit_value(moment, name, self.routes.value(dimension, found[name]))
                out.append(segment_of(name, value))
        return out


def _fields(measured: Measured, key: Key) -> tuple[Amounts, Amounts]:
    observed = key[1]
    if observed is None:
        return {}, {}
    if isinstance(observed, int):
        return touchpoint_fields(observed, measured.signals, measured.bounds)
    return answer_fields(observed, measured.signals), {}
