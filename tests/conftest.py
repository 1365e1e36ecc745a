"""What every test shares: settings that do not depend on whose machine this is."""

import os
import shutil
from collections.abc import Callable

import hypothesis
import pytest

hypothesis.settings.register_profile("molehill", deadline=None, print_blob=True)
hypothesis.settings.load_profile("molehill")

APT_PACKAGES = {
    "amtool": "prometheus-alertmanager",
    "chromium": "chromium",
    "docker-compose": "docker-compose",
    "faketime": "faketime",
    "java": "openjdk-17-jre-headless",
    "mvn": "maven",
    "node": "nodejs",
    "npm": "npm",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "promtool": "prometheus",
}


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    """A developer's MOLEHILL_BROKERS would send the tests' events to a real broker."""
    for name in list(os.environ):
        if name.startswith("MOLEHILL_") and not name.startswith("MOLEHILL_TEST_"):
            del os.environ[name]


@pytest.fixture(scope="session")
def require_tools() -> Callable[..., None]:
    """Skips with the install line where a program is missing; fails under CI, where a skip would hide it."""

    def require(*tools: str) -> None:
        missing = [tool for tool in tools if shutil.which(tool) is None]
        if not missing:
            return
        packages = " ".join(APT_PACKAGES[tool] for tool in missing)
        message = f"{', '.join(missing)} not found: apt-get install --no-install-recommends {packages}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)

    return require
