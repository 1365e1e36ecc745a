"""Packages of npm that a test needs, installed once from a committed lock file into the cache of the tests."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

INSTALL_SECONDS = 600.0


def npm_packages(folder: Path) -> Path:
    """The directory that has `folder`'s locked packages in its node_modules; MOLEHILL_TEST_CACHE moves the cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "molehill"
    cache = Path(os.environ.get("MOLEHILL_TEST_CACHE") or default)
    cache.mkdir(parents=True, exist_ok=True)
    found = cache / f"npm-{hashlib.sha256((folder / 'package-lock.json').read_bytes()).hexdigest()[:16]}"
    if not found.exists():
        half = Path(tempfile.mkdtemp(prefix=f"{found.name}.", dir=cache))
        try:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(folder / name, half)
            done = subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=half, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_SECONDS,
                check=False,
            )  # fmt: skip
            if done.returncode:
                raise RuntimeError(f"npm could not install {folder}:\n{done.stderr[-2000:]}")
            if not found.exists():  # another run may have been faster
                half.rename(found)
        finally:
            shutil.rmtree(half, ignore_errors=True)
    return found
