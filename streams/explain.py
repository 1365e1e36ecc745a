"""One sentence for whoever is woken at three: what, since when, who, how sure, what it burns."""

from typing import Final

from streams import names
from streams.catalogue import Catalogue
from streams.evidence import wilson_low
from streams.moles import Contributor, moment_of

HAPPENED: Final = {  # to customers, so many times: one of them may have many events
    "outcome": "failed or gave up",
    "need": "did not get what they came for",
    "wait": "waited too long",
    "duration": "took too long",
    "promise": "did not get it as promised",
    "csat": "were not satisfied",
    "nps": "were detractors",
    "ces": "found it hard",
    "rating": "rated it badly",
    "sentiment": "spoke badly of it",
    "complaint": "complained rather than praised",
}
NAMED: Final = 2  # contributors that a sentence can bear


def explain(
    catalogue: Catalogue,
    moment: str,
    segment: str,
    signal: str,
    kind: str,
    first_harm: int,
    harmed: int,
    ended: int | None,
    bad: int,
    total: int,
    expected: float,
    low: float,
    burn_rate: float,
    budget: float,
    cause: str,
    contributors: tuple[Contributor, ...],
    linked: tuple[str, ...],
) -> str:
    """The sentence; `low` is the least bad share that the evidence supports, `budget` a share of the
    segment's own for the period.

    `harmed` is when there was harm last; `ended` when a person or the evidence closed the mole, the latter long
    after.
    """
    declared = catalogue.moments.get(moment)
    title = declared.title if declared else moment
    where = f"{title} ({moment})" if segment == names.ALL else f"{title} ({moment}, {segment})"
    since = f"since {_time(first_harm)}"
    end = f"; {', '.join(linked)} {'is' if len(linked) == 1 else 'are'} hurt too" if linked else ""
    end += f"; closed at {_time(ended)}." if ended else "."
    if kind == "silence":
        came = "nothing came" if cause == "stopped" else f"only {total:,} came"
        return f"{where}: {came} {since}, where about {expected:,.0f} {signal} events were expected{end}"
    named = [c for c in contributors if c.segment != segment][:NAMED]
    if signal == "complaint" and bad == total:
        more = f", most of it in {' and '.join(map(_more, named))}" if named else ""
        return (
            f"{where}: customers complained {bad:,} times {since}, where {expected:,.0f} would be ordinary{more}{end}"
        )
    share = bad / total if total else 0.0
    who = f", {_in(segment, named, (bad - expected) / 2)}" if named else ""
    usual = f"{expected:,.0f}" if expected >= 10 else f"{expected:.1f}"
    burns = f"the error budget burns {burn_rate:.1f} times as fast as allowed"
    now = f"the last of it was at {_time(harmed)}" if ended else burns
    whose = "the" if segment == names.ALL else f"{segment}'s"
    spent = f", {budget:.1%} of {whose} budget for the period is gone" if budget >= 0.001 else ""
    return (
        f"{where}: customers {HAPPENED.get(signal, 'were hurt')} {bad:,} of {total:,} times {since} ({share:.0%}, "
        f"surely {low:.0%} or more, where {usual} would be ordinary){who}; {now}{spent}{end}"
    )


def _in(segment: str, named: list[Contributor], half: float) -> str:
    """What is in a segment of the whole is so; whether one has half of the excess is worth a word. Of a segment's
    mole nobody knows (counts are of one dimension at a time): others are hurt beside it."""
    most = segment == names.ALL and max(c.excess for c in named) >= half > 0
    where = "most of it in" if most else "worst in" if segment == names.ALL else "at the same time in"
    return f"{where} {' and '.join(map(_sure, named))}"


def _sure(c: Contributor) -> str:
    """A contributor with the lower end of its bad share (Wilson, 95 %), and the share of the rest, which that is
    beyond: how sure it is that it is to blame."""
    low, rest = wilson_low(c.bad, c.total), (c.bad - c.excess) / c.total
    return f"{c.segment} ({c.bad:,} of {c.total:,}: surely {low:.0%} or more, elsewhere {rest:.0%})"


def _more(c: Contributor) -> str:
    return f"{c.segment} ({c.bad:,}, where {c.bad - c.excess:,.0f} would be)"


def _time(at: int) -> str:
    return f"{moment_of(at):%H:%M UTC on %d %b}"
