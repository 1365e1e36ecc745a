"""Catalogues as text, and what is wrong with one."""

import pytest

from streams.catalogue import parse
from streams.errors import CatalogueError, Problem

CONTRACT = """\
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: shop}
budget_period: 28d             # default 28d
allowed_lateness: 1h           # default 1h
segments:                      # dimensions; label values are bounded or refused
  region: {limit: 20}
  plan: {values: [free, pro]}
discovered: {tier: tolerable, limit: 50, objective: 90%}      # optional, these defaults
moments:                       # required; in a moment: title, tier, signals; the rest optional
  checkout-payment:
    title: Pay for the order
    tier: game-over            # game-over pages · important opens a ticket · tolerable shows on the board
    phase: during              # before · during · after the transaction
    owner: payments
    runbook: https://example.com/runbooks/checkout-payment
    signals:
      outcome: {objective: 99.5%}
      need:    {objective: 97%}
      wait:    {objective: 95%, within: 30s}
      promise: {objective: 97%}
      csat:    {objective: 80%, good: 4}          # score ≥ good
journeys:                      # optional
  purchase: {route: [browse, checkout-payment, dispatch, delivery], goal: delivery, abandon_after: 14d}
closed_loop: {follow_up_moments: [support-callback], within: 24h, silent_after: 30d}      # optional
"""

FLIGHTS = """\
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: flights}
segments:
  carrier: {limit: 200}
  origin: {limit: 200}
  dest: {limit: 200}
moments:
  departure:
    title: Leave on time
    tier: game-over
    signals: &both
      outcome: {objective: 90%}
      promise: {objective: 90%}
  arrival:
    title: Arrive when promised
    tier: game-over
    signals: *both
"""

# Ten lines, so that whatever a test adds begins on line 11.
HEAD = """\
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: shop}
moments:
  pay:
    title: Pay
    tier: important
    signals: {outcome: {objective: 99%}}
  # the moments
  # end here
"""


def problems_of(text: str) -> list[Problem]:
    with pytest.raises(CatalogueError) as caught:
        parse(text, "moments.yaml")
    assert str(caught.value).splitlines() == [p.render("moments.yaml") for p in caught.value.problems]
    return caught.value.problems


def only_problem(text: str) -> Problem:
    problems = problems_of(text)
    assert len(problems) == 1, problems
    return problems[0]


def head(line: str, instead: str) -> str:
    assert HEAD.count(line) == 1
    return HEAD.replace(line, instead)


def more(lines: str) -> str:
    return f"{HEAD}{lines}\n"


def with_signal(signal: str) -> str:
    return head("{outcome: {objective: 99%}}", "{" + signal + "}")


def with_objective(objective: str) -> str:
    return with_signal(f"outcome: {{objective: {objective}}}")
