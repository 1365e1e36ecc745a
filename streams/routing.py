"""Alertmanager's configuration: who hears of what, once.

Routing follows `severity`. Grouping is by moment, so that one moment is one message however many signals it hurts;
inhibition goes from the wider to the narrower, and never hides a page behind a ticket.
"""

from typing import Any, Final

from streams.rules import Links

GROUP_WAIT: Final = "5s"  # enough for a moment and its segments to arrive together, and well under 15 s
WHOLE: Final = 'segment="all"'
PART: Final = 'segment!~"all|"'  # has a segment, and it is not `all`
MOLES: Final = 'alertname=~"CxMole|CxMoleSnoozed"'  # what is snoozed mutes as before, or to snooze would ring
GAME_OVER: Final = 'tier="game-over"'  # pages, when it does not sleep
IMPORTANT: Final = 'tier="important"'  # tickets
BURNS: Final = 'alertname=~"CxBurn.*|CxSegmentBurn|CxBudget.*"'


def alertmanager(links: Links) -> dict[str, Any]:
    """The whole configuration; receivers are webhooks."""
    return {
        "route": {
            "receiver": "board",
            "group_by": ["moment"],
            "group_wait": GROUP_WAIT,
            "group_interval": "1m",
            "repeat_interval": "1d",  # one mole, one notification: what pages people keeps its own reminders
            "routes": [
                {
                    "matchers": ['component="pipeline"'],
                    "group_by": ["alertname", "topic"],
                    "receiver": "tickets",
                    "routes": [{"matchers": ['severity="page"'], "receiver": "pager"}],
                },
                {"matchers": ['severity="page"'], "receiver": "pager"},
                {
                    "matchers": ['severity="ticket"'],
                    "receiver": "tickets",
                    "group_wait": "30s",
                    "group_interval": "5m",
                },
            ],
        },
        "receivers": [
            {"name": "pager", "webhook_configs": [{"url": links.pager, "send_resolved": True}]},
            {"name": "tickets", "webhook_configs": [{"url": links.tickets, "send_resolved": True}]},
            {"name": "board"},  # the board at / shows it; nobody is told
        ],
        "inhibit_rules": [
            _mutes(['stale="yes"'], ['component="customers"']),
            _mutes(['alertname="MolehillDown"'], ['component="pipeline"', 'alertname!="MolehillDown"']),
            # A page mutes what is less urgent of the same moment.
            _mutes(['severity="page"', 'component="customers"'], ['severity=~"ticket|board"'], "moment"),
            _mutes(['alertname="CxMoleSnoozed"', GAME_OVER], ['severity=~"ticket|board"'], "moment"),
            # A mole mutes the burn rates of the same moment: it is the same harm, told better.
            _mutes([MOLES, GAME_OVER], [BURNS], "moment"),
            _mutes([MOLES, IMPORTANT], [BURNS, 'severity=~"ticket|board"'], "moment"),
            # A whole moment mutes its segments, where it is at least as urgent; a burn rate mutes no mole, or the
            # two would mute each other.
            _mutes([MOLES, WHOLE, GAME_OVER], [PART], "moment"),
            _mutes([MOLES, WHOLE, IMPORTANT], [PART, 'severity=~"ticket|board"'], "moment"),
            _mutes([BURNS, WHOLE, 'severity="page"'], [BURNS, PART], "moment"),
            _mutes([BURNS, WHOLE, 'severity="ticket"'], [BURNS, PART, 'severity=~"ticket|board"'], "moment"),
        ],
    }


def _mutes(source: list[str], target: list[str], *equal: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"source_matchers": source, "target_matchers": target}
    return rule | ({"equal": list(equal)} if equal else {})
