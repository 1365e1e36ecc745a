"""The rules of the catalogue that is shipped, and of an odd one."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from streams.catalogue import Catalogue, parse
from streams.generated import RULES, generated
from streams.rules import Links

ROOT = Path(__file__).parents[1]
SHOP = parse((ROOT / "deploy" / "moments.yaml").read_text(), "moments.yaml")
LINKS = Links(grafana="https://grafana.example", board="https://board.example")
Require = Callable[..., None]

ONE = """
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: one}
budget_period: 7d
moments:
  pay:
    title: 'Say "pay", \\ and go'
    tier: important
    signals:
      csat: {objective: 60%}
"""


def promtool(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["promtool", *arguments], cwd=directory, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def written(catalogue: Catalogue, directory: Path) -> Path:
    """The generated files; returns the directory of the rules."""
    for name, text in generated(catalogue, LINKS).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory / "prometheus"


def rules_of(catalogue: Catalogue) -> list[dict[str, Any]]:
    data = yaml.safe_load(generated(catalogue, LINKS)[f"prometheus/{RULES}"])
    return [rule for group in data["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules_of(SHOP) if "alert" in rule}
