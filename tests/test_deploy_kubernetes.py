"""The manifests of deploy/kubernetes/ are checked by Kubernetes' own schemas, and against what they run."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

KUBERNETES = Path(__file__).parents[1] / "deploy" / "kubernetes"


def manifests() -> list[dict[str, Any]]:
    return [m for path in sorted(KUBERNETES.glob("*.yaml")) for m in yaml.safe_load_all(path.read_text())]


def of_kind(kind: str, name: str = "molehill") -> dict[str, Any]:
    (found,) = (m for m in manifests() if m["kind"] == kind and m["metadata"]["name"] == name)
    return found


@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
@pytest.mark.parametrize(
    "kind", ["StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy", "HorizontalPodAutoscaler"]
)
def test_kubernetes_accepts_the_manifests(kind: str, version: str) -> None:
    kubernetes_validate.validate(of_kind(kind), version, strict=True)


def test_a_misspelt_key_is_no_manifest() -> None:
    broken = of_kind("StatefulSet")
    broken["spec"]["template"]["spec"]["containers"][0]["imagePolicy"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, kubernetes_validate.latest_version(), strict=True)


def test_every_manifest_is_about_the_workers_that_the_statefulset_makes() -> None:
    pods = of_kind("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    for manifest, path in (
        (of_kind("StatefulSet"), ("selector", "matchLabels")),
        (of_kind("Service"), ("selector",)),
        (of_kind("Service", "molehill-board"), ("selector",)),
        (of_kind("PodDisruptionBudget"), ("selector", "matchLabels")),
        (of_kind("NetworkPolicy"), ("podSelector", "matchLabels")),
    ):
        found = manifest["spec"]
        for key in path:
            found = found[key]
        assert found == pods, manifest["kind"]
    assert of_kind("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["kind"] == "StatefulSet"
    assert of_kind("StatefulSet")["spec"]["serviceName"] == of_kind("Service")["metadata"]["name"]
    assert len(manifests()) == 7


def test_prometheus_scrapes_every_worker_once_under_the_job_that_the_rules_know() -> None:
    monitor = of_kind("ServiceMonitor")["spec"]
    chosen = [
        m for m in manifests()
        if m["kind"] == "Service" and monitor["selector"]["matchLabels"].items() <= m["metadata"]["labels"].items()
    ]  # fmt: skip
    (service,) = chosen
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "molehill"
    assert service["spec"]["publishNotReadyAddresses"]
    assert {e["port"] for e in monitor["endpoints"]} == {p["name"] for p in service["spec"]["ports"]}


def test_a_worker_keeps_its_identity_on_its_volume_and_runs_with_nothing_that_it_does_not_need() -> None:
    spec = of_kind("StatefulSet")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    environment = {e["name"]: e.get("value") for e in container["env"]}
    claims = {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
    kept = [m["mountPath"] for m in container["volumeMounts"] if m["name"] in claims]
    assert environment["MOLEHILL_DATA_DIR"].startswith(kept[0] + "/")
    assert spec["template"]["spec"]["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    (port,) = container["ports"]
    assert str(port["containerPort"]) == environment["MOLEHILL_PORT"]
    (rule,) = of_kind("NetworkPolicy")["spec"]["ingress"]
    assert [p["port"] for p in rule["ports"]] == [port["containerPort"]]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_lag_is_what_makes_it_grow_and_it_shrinks_slowly() -> None:
    spec = of_kind("HorizontalPodAutoscaler")["spec"]
    assert [m["external"]["metric"]["name"] for m in spec["metrics"]] == ["molehill_lag_events"]
    assert spec["minReplicas"] == of_kind("StatefulSet")["spec"]["replicas"]
    down, up = spec["behavior"]["scaleDown"], spec["behavior"]["scaleUp"]
    assert down["stabilizationWindowSeconds"] > up["stabilizationWindowSeconds"]
