"""Names of recorded series (level:metric:operation), and the pieces that queries are made of."""

from typing import Final

from streams import names
from streams.windows import WINDOWS

BRIDGE: Final = "2m"
"""Longer than a takeover (30 s) and a scrape interval of up to 30 s before and after it."""
INFO_BRIDGE: Final = "10m"
"""What a moment is outlives its worker: an alert that lost its owner's name would be another alert."""

RUNBOOK: Final = "moment:cx_runbook_info:one"
INFO: Final = f"moment:{names.MOMENT_INFO}:one"
OBJECTIVE: Final = f"moment_signal:{names.OBJECTIVE}:max"
THRESHOLD: Final = "moment_signal:cx_burn_rate_threshold_ratio:min"
LOW: Final = f"moment_signal:{names.BURN_LOW}:max"
BAD: Final = "moment_signal:cx_window_events_bad:max"
EVENTS: Final = f"moment_signal:{names.WINDOW_EVENTS}:sum"
MOLE_UP: Final = f"moment_segment_signal_kind_tier:{names.MOLE_ACTIVE}:max"
MOLE_QUIET: Final = f"moment_segment_signal_kind_tier_why:{names.MOLE_QUIET}:max"
BUDGET: Final = f"moment_signal:{names.BUDGET}:min"
RECEIVED: Final = f"topic_partition:{names.RECEIVED}_total:max"
REJECTED: Final = f"topic_partition_reason:{names.REJECTED}_total:max"
LAG: Final = f"topic_partition:{names.LAG}:max"
LAG_SUM: Final = f"topic:{names.LAG}:sum"


def bridged(operation: str, by: str, metric: str, selector: str) -> str:
    """A metric without `instance`, over the gap of a takeover."""
    matchers = f"{{{selector}}}" if selector else ""
    return f"{operation} by ({by}) (last_over_time({metric}{matchers}[{BRIDGE}]))"


def number(query: str, *labels: str, shown: str = 'printf "%.0f"') -> str:
    """A template that shows a query's one value; each %q in the query is one of the alert's labels."""
    of = " ".join(f"$labels.{label}" for label in labels)
    return (
        f"{{{{ with printf `{query}` {of} | query }}}}"
        f"{{{{ . | first | value | {shown} }}}}{{{{ else }}}}?{{{{ end }}}}"
    )


def quoted(text: str) -> str:
    """A PromQL string."""
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'


def window(seconds: int) -> str:
    """The label of a window."""
    return next(name for name, length in WINDOWS.items() if length == seconds)
