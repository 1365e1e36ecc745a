"""The catalogues that the real records are judged by."""

FLIGHTS = """
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: flights}
segments:
  carrier: {limit: 50}
  origin: {limit: 10}
  dest: {limit: 200}
moments:
  departure:
    title: Take off
    tier: game-over
    signals: {outcome: {objective: 90%}, promise: {objective: 90%}}
  arrival:
    title: Arrive
    tier: important
    signals: {outcome: {objective: 90%}, promise: {objective: 90%}}
"""

OLIST = """
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: olist}
segments:
  state: {limit: 50}
  category: {limit: 200}
moments:
  checkout:
    title: Place the order
    tier: game-over
    signals: {outcome: {objective: 99%}}
  payment-approval:
    title: Have the payment approved
    tier: important
    signals: {outcome: {objective: 99%}}
  delivery:
    title: Receive the order
    tier: game-over
    signals: {outcome: {objective: 99%}, promise: {objective: 90%}, csat: {objective: 80%}}
"""
