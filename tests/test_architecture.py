"""What import-linter cannot see: the rules about what code does with the modules that it may import."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv"}
CLOCK = {"now", "utcnow", "today"}
INPUT_OUTPUT = {"open", "print", "input"}


def sources(package: str) -> list[Path]:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files, f"no files in {package}"
    return files


def environment_reads(source: str) -> list[int]:
    """The lines that touch the process environment: os.environ, os.getenv, or either imported by name."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT:
            lines.append(node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            lines += [node.lineno for name in node.names if name.name in ENVIRONMENT | {"*"}]
    return sorted(lines)


def clock_reads(source: str) -> list[int]:
    """The lines that ask what time it is: datetime.now(), date.today, and the like, called or passed on."""
    tree = ast.parse(source)
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in CLOCK]
    return sorted(node.lineno for node in named if _is_datetime(node.value))


def _is_datetime(owner: ast.expr) -> bool:
    """`self.clock.now` is molehill's own; `datetime`, `dt.datetime` and `date` are the machine's."""
    name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
    return name.lower() in {"datetime", "date", "dt"}


def input_and_output(source: str) -> list[int]:
    """The lines that call a builtin which reads or writes outside the process, or bring in urllib.request.

    import-linter knows external packages by their first name only, and urllib.parse is welcome.
    """
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in INPUT_OUTPUT:
            lines.append(node.lineno)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            names = {f"{module}.{name.name}" if module else name.name for name in node.names} | {module}
            if "urllib.request" in names:
                lines.append(node.lineno)
    return sorted(lines)


@pytest.mark.parametrize("package", ["streams", "agents"])
def test_only_the_settings_read_the_environment(package: str) -> None:
    allowed = ROOT / "agents" / "settings.py"
    found = {
        str(file.relative_to(ROOT)): lines
        for file in sources(package)
        if file != allowed and (lines := environment_reads(file.read_text()))
    }
    assert found == {}


def test_the_core_never_asks_what_time_it_is() -> None:
    found = {
        str(file.relative_to(ROOT)): lines for file in sources("streams") if (lines := clock_reads(file.read_text()))
    }
    assert found == {}


def test_the_core_never_reads_or_writes() -> None:
    found = {
        str(file.relative_to(ROOT)): lines
        for file in sources("streams")
        if (lines := input_and_output(file.read_text()))
    }
    assert found == {}


@pytest.mark.parametrize(
    "planted",
    [
        "import os\nhome = os.environ['HOME']",
        "import os\nhome = os.getenv('HOME')",
        "import os as system\nhome = system.environ.get('HOME')",
        "\nfrom os import environ as settings",
        "\nfrom os import getenv",
    ],
)
def test_a_planted_look_at_the_environment_is_found(planted: str) -> None:
    assert environment_reads(planted) == [2]


@pytest.mark.parametrize(
    "planted",
    [
        "from datetime import datetime\nat = datetime.now(tz=UTC)",
        "import datetime\nat = datetime.datetime.utcnow()",
        "import datetime as dt\nat = dt.date.today()",
        "from datetime import datetime\n@dataclass\nclass A: at = field(default_factory=datetime.now)",
    ],
)
def test_a_planted_look_at_the_clock_is_found(planted: str) -> None:
    assert len(clock_reads(planted)) == 1


def test_the_merged_clock_is_no_look_at_the_clock() -> None:
    assert clock_reads("at = self.clock.now\nlater = clock.now()") == []


def test_planted_input_and_output_is_found() -> None:
    assert input_and_output("text = open('a').read()\nprint(text)") == [1, 2]
    assert input_and_output("import urllib.request\nfrom urllib import request") == [1, 2]
    assert input_and_output("from urllib.request import urlopen\nfrom urllib.parse import urlsplit") == [1]
