"""The files of deploy/ are checked by the programs that will read them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "docker-compose.yml"

Require = Callable[..., None]


def run(*command: str) -> str:
    """What it prints; a failure shows both streams, since these programs explain themselves on either."""
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def schema_check(file: Path) -> str:
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec")
    return run(*command, str(file))


def test_docker_compose_accepts_the_compose_file(require_tools: Require) -> None:
    require_tools("docker-compose")
    resolved = yaml.safe_load(run("docker-compose", "-f", str(COMPOSE), "config"))
    assert set(resolved["services"]) == {"kafka", "topics", "molehill", "prometheus"}


def test_the_compose_file_fits_the_compose_schema() -> None:
    schema_check(COMPOSE)


def test_a_misspelt_key_does_not_fit_the_compose_schema(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(COMPOSE.read_text().replace("restart:", "restrat:"))
    with pytest.raises(AssertionError, match="restrat"):
        schema_check(broken)


def test_every_published_port_stays_on_loopback() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_every_file_that_compose_mounts_is_in_the_repository() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    mounts = [mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])]
    paths = [mount for mount in mounts if mount.startswith(".")]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_image_has_a_fixed_version() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    foreign = [service["image"] for service in services.values() if "build" not in service]
    assert foreign
    assert [image for image in foreign if ":" not in image or image.endswith(":latest")] == []


def test_compose_runs_the_kafka_that_the_tests_run_on() -> None:
    image = yaml.safe_load(COMPOSE.read_text())["services"]["kafka"]["image"]
    version = image.rpartition(":")[2]
    assert f"<version>{version}</version>" in (ROOT / "deploy/kafka/pom.xml").read_text()


def test_promtool_accepts_the_prometheus_configuration(require_tools: Require) -> None:
    require_tools("promtool")
    assert "is valid" in run("promtool", "check", "config", "deploy/prometheus/prometheus.yml")


def test_prometheus_scrapes_the_worker_where_compose_serves_it() -> None:
    worker = yaml.safe_load(COMPOSE.read_text())["services"]["molehill"]["environment"]
    scrape = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    targets = [target for job in scrape for group in job["static_configs"] for target in group["targets"]]
    assert targets == [f"molehill:{worker['MOLEHILL_PORT']}"], json.dumps(scrape)
