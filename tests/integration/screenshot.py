"""The README's picture of the board: `python -m tests.integration.screenshot` runs the demo until moles are up."""

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.integration.chromium import Watched, chromium
from tests.integration.kafka_server import wait_until
from tests.integration.test_demo import Demo

SIZE = {"width": 1280, "height": 1280}
MOLES = 2  # the demo has a game-over mole within a minute, another one two or three minutes later
PATIENCE_S = 600


def up(url: str) -> list[dict[str, Any]]:
    """The moles that are up now."""
    try:
        with urllib.request.urlopen(f"{url}/api/moles", timeout=10) as answer:
            found = json.load(answer)["moles"]
    except OSError:
        return []
    return [m for m in found if m["state"] != "whacked"]


def main(target: str = "deploy/screenshots/board.png", scheme: str = "light") -> None:
    """Writes the picture."""
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, chromium() as browser:
        demo = Demo(Path(home) / "demo.log")
        try:
            url = demo.url().removesuffix("/metrics")
            wait_until(lambda: len(up(url)) >= MOLES, PATIENCE_S, f"{MOLES} moles", every=1)
            watched = Watched(browser, url, viewport=SIZE, color_scheme=scheme)
            page = watched.open()
            expect(page.locator("article.mole")).to_have_count(len(up(url)))
            page.locator("article.moment").first.wait_for()
            page.screenshot(path=target, animations="disabled")
        finally:
            demo.process.send_signal(2)
            try:
                demo.process.wait(30)
            except subprocess.TimeoutExpired:
                demo.process.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])
