"""The life of a mole: where every state and event leads."""

import pytest

from streams.moles import EVENTS, STATES, TRANSITIONS, Event, IllegalTransition, State, after

LIFE = """
              harm          ease          over     ack           snooze   wake    whack    return
popped        popped        recovering    whacked  acknowledged  snoozed  -       whacked  -
acknowledged  acknowledged  recovering    whacked  -             snoozed  -       whacked  -
snoozed       snoozed       snoozed       whacked  acknowledged  snoozed  popped  whacked  -
recovering    popped        recovering    whacked  recovering    snoozed  -       whacked  -
whacked       whacked       whacked       whacked  -             -        -       -        re-popped
re-popped     re-popped     recovering    whacked  acknowledged  snoozed  -       whacked  -
"""
"""All of it, as a person would write it down; - is illegal."""

_head, *_rows = [line.split() for line in LIFE.strip().splitlines()]
PAIRS = [(row[0], event, to) for row in _rows for event, to in zip(_head, row[1:], strict=True)]


@pytest.mark.parametrize(("state", "event", "to"), PAIRS)
def test_every_state_and_event_leads_where_the_table_says(state: State, event: Event, to: str) -> None:
    if to == "-":
        with pytest.raises(IllegalTransition, match=event):
            after(state, event)
    else:
        assert after(state, event) == to


def test_the_table_has_every_state_and_event() -> None:
    assert {s for s, _, _ in PAIRS} == set(STATES) == set(TRANSITIONS)
    assert {e for _, e, _ in PAIRS} == set(EVENTS)
