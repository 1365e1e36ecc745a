"""The files of deploy/ are checked by the programs that will read them: compose, the servers, the image."""

import http.client
import json
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from streams.alerts import OVERVIEW
from tests.integration.kafka_server import wait_until
from tests.test_dashboards import SCHEMA

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "docker-compose.yml"
PASSWORD = {"GRAFANA_PASSWORD": "of this test"}

Require = Callable[..., None]


def run(*command: str, **environment: str) -> str:
    """What it prints; a failure shows both streams, since these programs explain themselves on either."""
    done = subprocess.run(
        ["env", *(f"{k}={v}" for k, v in environment.items()), *command],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def schema_check(file: Path) -> str:
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec")
    return run(*command, str(file))


def services() -> dict[str, Any]:
    """Compose's services; YAML has merged what they share."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


# Compose


def test_docker_compose_accepts_the_compose_file(require_tools: Require) -> None:
    require_tools("docker-compose")
    resolved = yaml.safe_load(run("docker-compose", "--profile", "demo", "-f", str(COMPOSE), "config", **PASSWORD))
    assert set(resolved["services"]) == {
        "kafka", "topics", "molehill-1", "molehill-2", "prometheus", "alertmanager", "pager", "grafana", "shop",
    }  # fmt: skip


def test_nothing_starts_without_a_password_that_somebody_chose(require_tools: Require) -> None:
    require_tools("docker-compose")
    with pytest.raises(AssertionError, match="choose a password for Grafana's admin"):
        run("docker-compose", "-f", str(COMPOSE), "config", GRAFANA_PASSWORD="")
    secrets = [
        (key, value)
        for service in services().values()
        for key, value in service.get("environment", {}).items()
        if re.search("PASSWORD|TOKEN|SECRET|KEY", key)
    ]
    assert secrets
    assert [key for key, value in secrets if not re.fullmatch(r"\$\{\w+:(\?.+|-)\}", value)] == []


def test_the_compose_file_fits_the_compose_schema() -> None:
    schema_check(COMPOSE)


def test_a_misspelt_key_does_not_fit_the_compose_schema(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(COMPOSE.read_text().replace("restart:", "restrat:"))
    with pytest.raises(AssertionError, match="restrat"):
        schema_check(broken)


def test_every_published_port_stays_on_loopback() -> None:
    ports = [port for service in services().values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_every_file_that_compose_mounts_is_in_the_repository() -> None:
    mounts = [mount.split(":")[0] for service in services().values() for mount in service.get("volumes", [])]
    paths = [mount for mount in mounts if mount.startswith(".")]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_image_has_a_fixed_version() -> None:
    foreign = [service["image"] for service in services().values() if "build" not in service]
    assert foreign
    assert [image for image in foreign if not re.search(r":v?\d+\.\d+\.\d+$", image)] == []


def test_every_service_that_goes_on_has_a_health_check_and_starts_again() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    for name, service in services().items():
        if name not in ("topics", "shop"):
            assert "healthcheck" in service or ("build" in service and "HEALTHCHECK" in dockerfile), name
            assert service["restart"] == "unless-stopped", name


def test_each_worker_has_a_data_directory_of_its_own() -> None:
    workers = [service for name, service in services().items() if name.startswith("molehill-")]
    directory = workers[0]["environment"]["MOLEHILL_DATA_DIR"]
    volumes = [v for w in workers for v in w["volumes"] if v.endswith(f":{directory}")]
    assert len({v.split(":")[0] for v in volumes}) == len(workers) == 2
    assert all(worker["environment"] == workers[0]["environment"] for worker in workers)


def test_compose_runs_the_kafka_that_the_tests_run_on_and_the_grafana_whose_types_they_check() -> None:
    version = services()["kafka"]["image"].rpartition(":")[2]
    assert f"<version>{version}</version>" in (ROOT / "deploy/kafka/pom.xml").read_text()
    assert services()["grafana"]["image"].rpartition(":")[2] == SCHEMA.rpartition("@")[2]


def test_topics_are_stamped_by_the_broker() -> None:
    assert services()["kafka"]["environment"]["KAFKA_LOG_MESSAGE_TIMESTAMP_TYPE"] == "LogAppendTime"
    for name in ("molehill-1", "molehill-2"):
        assert services()[name]["depends_on"]["topics"] == {"condition": "service_completed_successfully"}


# What the servers are given


def test_promtool_accepts_the_prometheus_configuration_with_the_generated_rules(require_tools: Require) -> None:
    require_tools("promtool")
    said = run("promtool", "check", "config", "deploy/prometheus/prometheus.yml")
    assert "1 rule files found" in said
    assert "is valid" in said


def test_prometheus_finds_workers_and_alertmanager_where_compose_serves_them() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    port = services()["molehill-1"]["environment"]["MOLEHILL_PORT"]
    targets = [target for group in job["static_configs"] for target in group["targets"]]
    assert targets == [f"molehill-1:{port}", f"molehill-2:{port}"], json.dumps(config)
    rules = (ROOT / "deploy/generated/prometheus/molehill.rules.yml").read_text()
    assert set(re.findall(r'job="(\w+)"', rules)) == {job["job_name"]}
    told = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert told == ["alertmanager:9093"]
    mounts = {m.split(":")[1]: m.split(":")[0] for m in services()["prometheus"]["volumes"]}
    assert mounts["/etc/molehill/prometheus"] == "./deploy/prometheus"
    assert mounts["/etc/molehill/generated"] == "./deploy/generated"  # the rules are ../generated from there


def test_the_pager_that_the_routes_name_is_the_one_of_compose() -> None:
    config = yaml.safe_load((ROOT / "deploy/generated/alertmanager/alertmanager.yml").read_text())
    hooks = [hook["url"] for receiver in config["receivers"] for hook in receiver.get("webhook_configs", [])]
    port = services()["pager"]["command"][0]
    assert hooks == [f"http://pager:{port}/page", f"http://pager:{port}/ticket"]


def test_grafana_is_given_the_dashboards_and_the_source_that_they_ask_for() -> None:
    provisioning = ROOT / "deploy/grafana/provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards/molehill.yaml").read_text())["providers"]
    mounts = {m.split(":")[1]: m.split(":")[0] for m in services()["grafana"]["volumes"]}
    path = provider["options"]["path"].replace("/etc/molehill/generated", mounts["/etc/molehill/generated"])
    home = services()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/{OVERVIEW}.json"
    assert (ROOT / path / f"{OVERVIEW}.json").exists()
    assert not provider["allowUiUpdates"]
    sources = yaml.safe_load((provisioning / "datasources/molehill.yaml").read_text())["datasources"]
    assert [(s["type"], s["isDefault"]) for s in sources if s["type"] == "prometheus"] == [("prometheus", True)]
    scrape = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["global"]["scrape_interval"]
    assert sources[0]["jsonData"]["timeInterval"] == scrape


@pytest.fixture
def pager() -> Iterator[tuple["subprocess.Popen[str]", int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "deploy/alertmanager/pager.py", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process, port
    finally:
        process.kill()
        process.wait()


def test_the_pager_prints_who_would_have_been_told_and_refuses_what_is_no_message(
    pager: tuple["subprocess.Popen[str]", int],
) -> None:
    process, port = pager

    def ask(method: str, path: str, body: str = "") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, path, body)
        return connection.getresponse().status

    def up() -> bool:
        try:
            return ask("GET", "/") == 200
        except OSError:
            return False

    wait_until(up, 30, "the pager answers")
    told = {
        "status": "firing",
        "labels": {"alertname": "CxMole"},
        "annotations": {"summary": "Pay: customers are hurt"},
    }
    assert ask("POST", "/page", "{}") == 400
    assert ask("POST", "/page", "nonsense") == 400
    assert ask("POST", "/page", json.dumps({"alerts": [told]})) == 200
    assert process.stdout is not None
    assert process.stdout.readline() == "page firing CxMole: Pay: customers are hurt\n"


def test_the_demo_shop_writes_events_that_are_of_now() -> None:
    process = subprocess.Popen([sys.executable, "deploy/demo/shop.py"], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        events = [json.loads(process.stdout.readline()) for _ in range(5)]
    finally:
        process.kill()
        process.wait()
    assert len({event["id"] for event in events}) == 5
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    assert {event["specversion"] for event in events} == {"1.0"}


# The image


def locked(name: str) -> dict[str, str]:
    """Package → version of a file of locked requirements."""
    text = (ROOT / "deploy" / name).read_text()
    found = re.findall(r"^([a-z0-9.-]+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.M)
    assert len(found) == len(re.findall(r"^\S", text, re.M)), "a line that is no requirement with its hashes"
    return {package: version for package, version, _ in found}


def test_hadolint_finds_no_fault_in_the_dockerfile() -> None:
    assert run(str(Path(sys.executable).with_name("hadolint")), "deploy/Dockerfile") == ""


def test_the_image_installs_what_the_package_asks_for_each_with_its_hashes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    versions = locked("requirements.txt")
    for text in project["project"]["dependencies"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(versions[requirement.name.lower()]), text
    for text in project["build-system"]["requires"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(locked("build-requirements.txt")[requirement.name]), text


def test_the_locked_requirements_name_no_host() -> None:
    for name in ("requirements.txt", "build-requirements.txt"):
        assert not re.search(r"://|--(extra-)?index-url|--find-links", (ROOT / "deploy" / name).read_text())


def test_the_image_is_one_that_runs_as_nobody_in_particular_and_is_asked_whether_it_is_alive() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    last = dockerfile[dockerfile.rindex("\nFROM ") :]
    assert re.search(r"^USER [1-9]\d*$", last, re.M)
    assert "/healthz" in last[last.index("HEALTHCHECK") :]
    assert len(set(re.findall(r"^FROM (\S+)", dockerfile, re.M))) == 1
    copied = {name for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.M) for name in line.split()[:-1]}
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)
