"""Silence: who stopped, who is idle, and what is only late."""

from streams.series import HOUR_S
from tests.judged import DAY, Steps, T, judge, run, shop


def test_a_source_that_stops_is_silent_and_ends_when_it_speaks() -> None:
    begin, end = 16 * DAY + 9 * HOUR_S, 16 * DAY + 15 * HOUR_S
    found = run(shop(17, silent=(begin, end)))
    assert [(f.event, f.kind) for f in found] == [("up", "silence"), ("over", "silence")]
    up, over = found
    assert (up.segment, up.cause) == ("all", "stopped")
    assert T + begin + HOUR_S < up.at < T + begin + 2 * HOUR_S
    assert over.at <= T + end + HOUR_S


def test_silence_is_known_while_nothing_comes_at_all() -> None:
    one = judge()
    assert run(shop(16), one) == []
    (up,) = run([], one, end=T + 16 * DAY + 12 * HOUR_S)
    assert (up.kind, up.cause) == ("silence", "stopped")


def test_a_quiet_night_is_idle_not_silent() -> None:
    assert run(shop(18, silent=(16 * DAY, 16 * DAY + 6 * HOUR_S), left=0.2)) == []


def test_a_source_that_stops_at_night_is_told_at_night_and_from_its_last_event_on() -> None:
    steps = shop(18, silent=(16 * DAY - HOUR_S, 16 * DAY + 8 * HOUR_S))
    last = max(at for at, _ in steps if at <= T + 16 * DAY)
    up, over = run(steps)
    assert (up.segment, up.cause, up.first_harm, up.total) == ("all", "stopped", last, 0)
    assert up.at < T + 16 * DAY + HOUR_S
    assert over.at < T + 16 * DAY + 9 * HOUR_S


def test_what_is_over_when_it_could_be_told_is_not_told() -> None:
    assert run(shop(18, silent=(16 * DAY + 43_200, 16 * DAY + 43_200 + HOUR_S))) == []


def test_a_closed_weekend_is_no_silence_from_the_third_week_on() -> None:
    steps = [x for x in shop(24, per_hour=20) if (x[0] - T) // DAY % 7 < 5]
    assert run(steps, end=T + 24 * DAY) == []


def test_events_that_have_a_date_and_no_time_are_not_missed_for_the_rest_of_the_day() -> None:
    steps: Steps = [(T + day * DAY + 10, [("all", "outcome", 21 + day % 4, 0)]) for day in range(60)]
    assert run(steps) == []
    assert [f.kind for f in run(steps, end=T + 64 * DAY)] == ["silence"], "but nobody came for four days then"


def test_without_two_weeks_of_past_nobody_is_missed() -> None:
    assert run(shop(12, silent=(9 * DAY, 11 * DAY))) == []


def test_an_hour_that_comes_late_all_at_once_is_no_mole() -> None:
    begin = 16 * DAY + 12 * HOUR_S
    steps = shop(17)
    late = [x for x in steps if T + begin < x[0] <= T + begin + HOUR_S]
    total: dict[str, list[int]] = {}
    for _, counts in late:
        for segment, _, good, bad in counts:
            mine = total.setdefault(segment, [0, 0])
            mine[0], mine[1] = mine[0] + good, mine[1] + bad
    bulk = T + begin + HOUR_S, [(s, "outcome", g, b) for s, (g, b) in total.items()]
    rest = [x for x in steps if not T + begin < x[0] <= T + begin + HOUR_S]
    assert run(sorted([*rest, bulk])) == []
