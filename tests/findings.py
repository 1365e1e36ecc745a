"""What a judge tells the desk."""

from typing import Any

import msgspec

from streams.moles import Contributor, Finding, Transition, mole_id
from streams.series import DAY_S

T = 1_366_136_400  # 2013-04-16T18:20:00Z
HOUR_S = 3600


def finding(at: int = T, event: str = "up", **changes: Any) -> Finding:
    base: dict[str, Any] = {"moment": "pay", "segment": "all", "signal": "outcome", "kind": "burn"}
    base |= {"first_harm": at - 600, "bad": 12, "total": 40, "expected": 0.4, "burn_rate": 30.0}
    base |= {"burn_rate_low": 18.1, "budget": 0.02, "contributors": (Contributor("plan=pro", 9, 12, 8.5),)}
    base |= changes
    base.setdefault("case", mole_id(base["moment"], base["signal"], base["kind"], at))
    return Finding(at=at, event=event, **base)  # type: ignore[arg-type]


def later(first: Finding, at: int, event: str, **changes: Any) -> Finding:
    """What is told of the same case at another time."""
    return msgspec.structs.replace(first, at=at, event=event, **changes)


def told(transitions: list[Transition]) -> list[str]:
    return [t.event for t in transitions]


def other(at: int, segment: str = "all", **changes: Any) -> Finding:
    return finding(at, moment="browse", segment=segment, **changes)


def days(moment: str, shares: list[int]) -> list[Finding]:
    return [
        Finding(
            at=T // DAY_S * DAY_S - (len(shares) - i) * DAY_S, moment=moment, segment="all", signal="", kind="",
            event="day", case="", bad=share, total=1000, expected=20.0,
        )
        for i, share in enumerate(shares)
    ]  # fmt: skip
