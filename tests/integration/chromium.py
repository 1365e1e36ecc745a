"""A real Chromium, with what a strict page must not do noted down: errors, policy violations, foreign requests."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "chromium"  # Debian's
PATIENCE_MS = 60_000  # of every wait for the page; a loaded machine is no fault of the board


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window; as root, as in a container, Chromium runs only without its sandbox."""
    path = shutil.which(CHROMIUM)
    assert path is not None
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


class Watched:
    """A page, and what it did that it should not."""

    def __init__(self, browser: Browser, url: str, **context: object) -> None:
        self.url = url
        self.context = browser.new_context(**context)  # type: ignore[arg-type]
        self.context.set_default_timeout(PATIENCE_MS)
        self.page: Page = self.context.new_page()
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on(
            "console",
            lambda said: self.faults.append(f"console: {said.text}") if said.type in ("error", "warning") else None,
        )
        self.page.add_init_script(
            "window.violations = []; document.addEventListener('securitypolicyviolation',"
            " (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI}`));"
        )

    def open(self) -> Page:
        """Goes to the board; back when it has heard what the worker knows."""
        self.page.goto(self.url + "/")
        self.page.get_by_role("heading", level=1).wait_for()
        return self.page

    def assert_strict(self) -> None:
        """No error, no breach of the policy, no request to anywhere else."""
        assert self.faults == []
        assert self.page.evaluate("window.violations") == []
        own = urlsplit(self.url).netloc
        assert {urlsplit(url).netloc for url in self.requests if not url.startswith("data:")} == {own}

    def close(self) -> None:
        """Closes the page and its session."""
        self.context.close()


def faults_by_axe(page: Page, source: str) -> list[str]:
    """What axe-core, given as its source, finds fault with: rule, element, and what to mend."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(source)
    found = page.evaluate("axe.run(document)")
    assert len(found["passes"]) > 10, "it has looked at the page"
    return [
        f"{v['id']}: {n['html'][:120]} {n.get('failureSummary', '')}" for v in found["violations"] for n in v["nodes"]
    ]
