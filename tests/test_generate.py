"""`molehill generate` as a shell sees it, and the committed files as a team finds them."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agents.generate import generate
from streams.catalogue import parse
from streams.errors import CatalogueError, SettingsError
from streams.generated import MARK, generated
from streams.rules import Links

ROOT = Path(__file__).parents[1]
CATALOGUE = ROOT / "deploy" / "moments.yaml"
COMMITTED = ROOT / "deploy" / "generated"
SHOP = parse(CATALOGUE.read_text(), "moments.yaml")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(generate, arguments)


def molehill(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "agents.cli", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_the_committed_files_are_what_the_catalogue_gives_byte_for_byte() -> None:
    files = {p.relative_to(COMMITTED).as_posix(): p.read_bytes() for p in COMMITTED.rglob("*") if p.is_file()}
    assert files == {name: text.encode() for name, text in generated(SHOP, Links()).items()}, (
        "molehill generate deploy/moments.yaml --out deploy/generated"
    )


def test_every_generated_file_says_that_it_is() -> None:
    for name, text in generated(SHOP, Links()).items():
        assert MARK in text, name
        assert text.endswith("\n"), name


def test_the_command_of_the_readme_finds_nothing_to_change() -> None:
    done = molehill("generate", "deploy/moments.yaml", "--out", "deploy/generated", "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "as generated" in done.stdout


def test_a_second_run_changes_nothing_and_check_agrees(tmp_path: Path) -> None:
    out = str(tmp_path / "some" / "where")
    first = run(str(CATALOGUE), "--out", out)
    assert first.exit_code == 0, first.output
    assert "9 files, 9 changed" in first.output
    times = {p: p.stat().st_mtime_ns for p in Path(out).rglob("*")}
    assert "9 files, 0 changed" in run(str(CATALOGUE), "--out", out).output
    assert {p: p.stat().st_mtime_ns for p in Path(out).rglob("*")} == times
    assert run(str(CATALOGUE), "--out", out, "--check").exit_code == 0


def test_check_names_what_differs_is_missing_or_left_over_and_writes_nothing(tmp_path: Path) -> None:
    run(str(CATALOGUE), "--out", str(tmp_path))
    changed, gone, left = (
        tmp_path / "prometheus/molehill.rules.yml",
        tmp_path / "alertmanager/alertmanager.yml",
        tmp_path / "grafana/old.json",
    )
    changed.write_text(changed.read_text() + "# mine\n")
    gone.unlink()
    left.write_text(f'{{"description": "{MARK} from catalogue x 0: do not edit."}}')
    (tmp_path / "grafana" / "own.json").write_text("{}")  # a team's own file is no business of ours
    done = molehill("generate", str(CATALOGUE), "--out", str(tmp_path), "--check")
    assert done.returncode == 1
    *lines, last = done.stderr.splitlines()
    assert lines == [f"differs: {changed}", f"missing: {gone}", f"left over: {left}"]
    assert last == "molehill: 3 of 9 files differ; run the command without --check"
    assert not gone.exists()
    assert changed.read_text().endswith("# mine\n")


def test_links_and_webhooks_are_those_that_were_asked_for(tmp_path: Path) -> None:
    links = ["--grafana", "https://g.example/", "--board", "https://b.example", "--pager", "https://p.example/x"]
    assert run(str(CATALOGUE), "--out", str(tmp_path), *links).exit_code == 0
    rules = (tmp_path / "prometheus/molehill.rules.yml").read_text()
    assert "https://g.example/d/molehill-moment?" in rules
    assert "127.0.0.1" not in rules
    assert "https://p.example/x" in (tmp_path / "alertmanager/alertmanager.yml").read_text()
    assert "https://b.example" in (tmp_path / "grafana/molehill-overview.json").read_text()


def test_every_option_is_also_an_environment_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLEHILL_OUT", str(tmp_path))
    monkeypatch.setenv("MOLEHILL_GRAFANA", "https://g.example")
    assert run(str(CATALOGUE)).exit_code == 0
    assert "https://g.example" in (tmp_path / "prometheus/molehill.rules.yml").read_text()


def test_a_wrong_option_is_one_line_that_says_what_was_expected(tmp_path: Path) -> None:
    for arguments, message in (
        ([], "--out (or MOLEHILL_OUT): found nothing, expected a directory"),
        (["--out", str(tmp_path), "--pager", "pager:9"], "--pager: found 'pager:9', expected a URL that begins with"),
        (["--out", str(CATALOGUE)], f"--out {CATALOGUE}"),
    ):
        error = run(str(CATALOGUE), *arguments).exception
        assert isinstance(error, SettingsError)
        assert str(error).startswith(message)
        assert "\n" not in str(error)


def test_a_faulty_catalogue_writes_nothing_and_names_its_lines(tmp_path: Path) -> None:
    faulty = tmp_path / "moments.yaml"
    faulty.write_text("apiVersion: molehill/v1\nkind: Catalogue\n")
    error = run(str(faulty), "--out", str(tmp_path / "out")).exception
    assert isinstance(error, CatalogueError)
    assert not (tmp_path / "out").exists()
