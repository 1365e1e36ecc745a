"""The board in a real Chromium, on real workers: a mole pops up, and is dealt with on the page."""

import datetime as dt
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration import collapse
from tests.integration.chromium import PATIENCE_MS, Watched, chromium, faults_by_axe
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import Lab, as_record
from tests.npm import npm_packages

PACKAGES = Path(__file__).parents[1] / "board"
TOKEN = "sesame"
PHONE = {"width": 360, "height": 740}
HOSTILE = "<img src=x onerror=document.title='owned'>&amp;"
MANY = 200
expect.set_options(timeout=PATIENCE_MS)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def browser(require_tools: Callable[..., None]) -> Iterator[Browser]:
    require_tools("chromium")
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def axe(require_tools: Callable[..., None]) -> str:
    require_tools("npm")
    return (npm_packages(PACKAGES) / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def shop(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A worker with a token, on a port that it has again after a restart, and three quiet days."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("board")
    moments = collapse.MOMENTS.replace("segments:", "budget_period: 3d\nsegments:")
    lab = Lab(kafka, home, moments, "board", token=TOKEN, port=str(port))
    with lab.worker as worker:
        lab.send(collapse.quiet_days(now()))
        wait_until(worker.ready, 120, "the worker")
        wait_until(lambda: asked(worker, "/api/moles")["clock"] > 0, 120, "what was judged")
        yield lab


@pytest.fixture
def watched(browser: Browser, shop: Lab) -> Iterator[Watched]:
    page = Watched(browser, shop.worker.url)
    yield page
    page.close()


def asked(worker: WorkerProcess, path: str) -> Any:
    return json.loads(worker.text(path))


def headline(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def assert_accessible(page: Page, axe: str) -> None:
    """No fault by axe-core in either scheme, and nothing to scroll sideways for on a phone."""
    wide = page.viewport_size
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert faults_by_axe(page, axe) == [], scheme
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert faults_by_axe(page, axe) == [], "phone"
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.set_viewport_size(wide)  # type: ignore[arg-type]


def test_a_mole_pops_up_on_the_page_and_is_acknowledged_snoozed_and_whacked_there(
    shop: Lab, browser: Browser, watched: Watched, axe: str
) -> None:
    page = watched.open()
    headline(page, "Nobody is hurt")
    expect(page.get_by_text("No mole is up")).to_be_visible()
    expect(page).to_have_title("molehill")
    for tier, title in (
        ("Game over", "Pay for the order"),
        ("Important", "Ask for help"),
        ("Tolerable", "Look around"),
    ):
        section = page.get_by_role("region", name=tier)
        expect(section.get_by_role("heading", level=4)).to_have_text(title)
        expect(section.get_by_role("img", name="Burn rate by hour: at most")).to_be_visible()
    # Three days have gone by, which is this catalogue's period: what nobody needed is said, of the tolerable alone.
    left = asked(shop.worker, "/api/moments")["unspent_budget"]
    assert set(left) == {"browse"}
    expect(page.get_by_role("article", name="Look around")).to_contain_text(
        f"{100 * left['browse']:.0f} % of a whole period's budget left"
    )
    expect(page.get_by_text("period's budget left")).to_have_count(1)
    assert_accessible(page, axe)

    shop.send(collapse.collapse(now()))
    headline(page, "1 mole is up, game over")
    mole = asked(shop.worker, "/api/moles")["moles"][0]
    expect(page.get_by_role("status")).to_contain_text(f"New mole, game-over: {mole['explain']}")
    expect(page).to_have_title("1 up, game over · molehill")
    card = page.get_by_role("article", name="Pay for the order").first
    expect(card).to_contain_text(mole["explain"])
    expect(card.get_by_role("list").filter(has_text="region=north")).to_be_visible()
    expect(card.get_by_role("link", name="Runbook")).to_have_attribute("href", "https://example.com/runbooks/pay")
    assert_accessible(page, axe)
    assert page.evaluate("getComputedStyle(document.querySelector('.top')).animationName") == "pulse"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.querySelector('.top')).animationName") == "none"

    other = Watched(browser, shop.worker.url)  # somebody else looks too
    elsewhere = other.open().get_by_role("article", name="Pay for the order").first

    acknowledge = card.get_by_role("button", name="Acknowledge Pay for the order")
    dialog = page.get_by_role("dialog", name="The worker's token")
    acknowledge.focus()
    page.keyboard.press("Enter")
    expect(dialog.get_by_label("Token", exact=True)).to_be_focused()
    assert faults_by_axe(page, axe) == []
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(acknowledge).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("open, please")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("not the worker's token")
    assert asked(shop.worker, f"/api/moles/{mole['id']}")["state"] == "popped"
    expect(dialog.get_by_label("Token", exact=True)).to_have_value("")
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    expect(card.get_by_text("acknowledged", exact=True).first).to_be_visible()
    expect(acknowledge).to_have_count(0)
    expect(card).to_be_focused()  # its button is gone; the place is not lost
    expect(elsewhere.get_by_text("acknowledged", exact=True).first).to_be_visible()
    assert asked(shop.worker, f"/api/moles/{mole['id']}")["state"] == "acknowledged"

    card.get_by_label("Snooze Pay for the order for").select_option("4 h")
    card.get_by_role("button", name="Snooze").click()
    expect(card.get_by_text("snoozed", exact=True).first).to_be_visible()
    expect(elsewhere.get_by_text("snoozed", exact=True).first).to_be_visible()
    wakes = dt.datetime.fromisoformat(asked(shop.worker, "/api/moles")["snoozed_until"][mole["id"]])
    for shown in (card, elsewhere):
        step = shown.get_by_role("list", name="Life of this mole").get_by_role("listitem").filter(has_text="snoozed")
        expect(step).to_contain_text(f"until {wakes:%H:%M}")
    card.get_by_role("button", name="Whack").click()
    headline(page, "Nobody is hurt")
    headline(other.page, "Nobody is hurt")
    expect(page.get_by_role("region", name="Lately")).to_contain_text(mole["moment"])
    assert asked(shop.worker, f"/api/moles/{mole['id']}")["state"] == "whacked"
    assert_accessible(page, axe)
    # The browser itself says in its console that two actions were refused for want of the token.
    told = [x for x in watched.faults if "401 (Unauthorized)" in x]
    watched.faults = [x for x in watched.faults if x not in told]
    assert len(told) == 3
    watched.assert_strict()
    other.assert_strict()
    other.close()


def test_whoever_is_about_to_press_a_button_keeps_it_when_a_worse_mole_comes_before_it(
    shop: Lab, watched: Watched
) -> None:
    page = watched.open()
    shop.send(collapse.collapse(now(), "browse", "north"))
    card = page.get_by_role("region", name="Moles now").get_by_role("article", name="Look around")
    button = card.get_by_role("button", name="Whack")
    button.focus()
    shop.send(collapse.collapse(now(), "ask", "south"))
    names = page.locator("article.mole h3")
    expect(names).to_have_text(["Ask for help", "Look around"])
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()


def test_a_page_says_when_it_hears_nothing_more_and_finds_its_way_back(shop: Lab, watched: Watched) -> None:
    page = watched.open()
    expect(page.get_by_text("watched by")).to_be_visible()
    shop.worker.stop()
    expect(page.get_by_role("alert")).to_contain_text("Connection lost at")
    shop.worker.start()
    expect(page.get_by_text("Connection lost")).to_have_count(0)
    expect(page.get_by_text("watched by")).to_be_visible()


def test_without_a_mouse_one_gets_to_the_moles_at_once(watched: Watched) -> None:
    page = watched.open()
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the moles")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#moles"


def many_moments() -> str:
    """A catalogue of 200; the first has a title that would like to be markup."""
    head = collapse.MOMENTS.partition("moments:")[0].replace("values: [north, south]", "limit: 5")
    tiers = ("game-over", "important", "tolerable")
    return f"{head}moments:\n" + "".join(
        f"  moment-{i:03}:\n    title: {json.dumps(HOSTILE if i == 0 else f'Moment number {i}')}\n"
        f"    tier: {tiers[i % 3]}\n    owner: {json.dumps(HOSTILE)}\n"
        "    signals: {outcome: {objective: 90%}, wait: {objective: 95%, within: 30s}}\n"
        for i in range(MANY)
    )


def test_two_hundred_moments_are_shown_and_no_text_in_them_becomes_markup(
    kafka: KafkaServer, tmp_path: Path, browser: Browser
) -> None:
    lab = Lab(kafka, tmp_path, many_moments(), "board-many")
    events = [
        {
            "specversion": "1.0", "id": f"{n}", "source": "/shop", "type": "cx.touchpoint", "time": now().isoformat(),
            "data": {
                "moment": f"moment-{n % MANY:03}", "customer": f"c{n}", "segment": {"region": HOSTILE},
                "outcome": "failed" if n % 3 else "ok", "wait_s": n % 60,
            },
        }
        for n in range(MANY * 10)
    ]  # fmt: skip
    with lab.worker as worker:
        lab.send(as_record(json.dumps(e).encode()) for e in events)
        worker.settled(len(events))

        def summed_up() -> bool:
            found = asked(worker, "/api/moments")["moments"]
            return len(found) == MANY and all(m["segments"] for m in found)

        wait_until(summed_up, 60, "200 summaries")
        watched = Watched(browser, worker.url)
        page = watched.open()
        expect(page.locator("article.moment")).to_have_count(MANY)
        first = page.get_by_role("article", name=HOSTILE, exact=True)
        expect(first.get_by_role("heading")).to_contain_text(HOSTILE)
        expect(page.locator(".segments")).to_have_count(0)  # what is folded is not drawn
        first.get_by_text("Worst segments").click()
        expect(first.get_by_text(f"region={HOSTILE}").first).to_be_visible()
        assert page.evaluate("document.querySelectorAll('img, #board script').length") == 0
        own = [url for url in watched.requests if not url.startswith("data:")]
        assert len(own) <= 10, "few requests, so that it is there at once"
        watched.assert_strict()
        watched.close()
