"""The manifests are valid, strict, and agree with the settings, the image and each other."""

from typing import Any

import pytest

from gallery_gateway.edge.app import Readiness, health_router
from gallery_gateway.settings import Settings
from tests.deploy.dockerfile import last
from tests.deploy.manifests import KUSTOMIZATION, container, pod, read, resource, resource_files
from tests.deploy.programs import check

NAME = "gallery-gateway"
LABELS = {"app.kubernetes.io/name": NAME}

# The oldest that does all that they say by default, and the newest that there are schemas for.
VERSIONS = ["1.30", "1.37"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifests_are_valid(version: str) -> None:
    check("kubernetes-validate", "--strict", "-k", version, *map(str, resource_files()))


def test_the_kustomization_lists_every_manifest() -> None:
    kustomization = read(KUSTOMIZATION)

    assert sorted(kustomization["resources"]) == [file.name for file in resource_files()]
    assert kustomization["images"][0]["name"] == container()["image"]


@pytest.mark.parametrize("file", resource_files(), ids=lambda file: file.stem)
def test_every_resource_has_the_name_and_the_label(file: Any) -> None:
    metadata = read(file)["metadata"]

    assert metadata == {"name": NAME, "labels": LABELS}


def test_everything_selects_the_pods_of_the_deployment() -> None:
    deployment = resource("Deployment")["spec"]

    assert deployment["template"]["metadata"]["labels"] == LABELS
    assert deployment["selector"] == {"matchLabels": LABELS}
    assert resource("Service")["spec"]["selector"] == LABELS
    assert resource("PodDisruptionBudget")["spec"]["selector"] == {"matchLabels": LABELS}
    assert resource("NetworkPolicy")["spec"]["podSelector"] == {"matchLabels": LABELS}
    assert pod()["topologySpreadConstraints"][0]["labelSelector"] == {"matchLabels": LABELS}


def test_the_pod_keeps_the_restricted_pod_security_standard() -> None:
    restricted = container()["securityContext"]

    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert restricted["allowPrivilegeEscalation"] is False
    assert restricted["readOnlyRootFilesystem"] is True
    assert restricted["capabilities"] == {"drop": ["ALL"]}
    assert pod()["automountServiceAccountToken"] is False
    assert "volumes" not in pod()


def test_the_pod_runs_as_the_user_of_the_image() -> None:
    context = pod()["securityContext"]

    assert f"{context['runAsUser']}:{context['runAsGroup']}" == last("USER")


def test_the_port_is_that_of_the_settings_and_everything_finds_it_by_name() -> None:
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}

    assert ports["http"] == Settings.model_fields["port"].default
    assert resource("Service")["spec"]["ports"][0]["targetPort"] == "http"
    assert resource("NetworkPolicy")["spec"]["ingress"][0]["ports"][0]["port"] == "http"


def test_the_metrics_are_where_they_are_looked_for() -> None:
    ports = {port["name"]: str(port["containerPort"]) for port in container()["ports"]}
    annotations = resource("Deployment")["spec"]["template"]["metadata"]["annotations"]

    assert ports["metrics"] == resource("ConfigMap")["data"]["GALLERY_GATEWAY_METRICS_PORT"]
    assert annotations == {"prometheus.io/scrape": "true", "prometheus.io/port": ports["metrics"]}
    assert resource("NetworkPolicy")["spec"]["ingress"][1]["ports"][0]["port"] == "metrics"
    assert last("EXPOSE").split() == [ports["http"], ports["metrics"]]


def test_the_probes_ask_paths_that_there_are() -> None:
    served = {getattr(route, "path", None) for route in health_router(Readiness()).routes}
    asked = {kind: container()[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}

    assert {get["path"] for get in asked.values()} <= served
    assert asked["readiness"]["path"] == "/readyz"
    assert {get["port"] for get in asked.values()} == {"http"}


def test_the_settings_are_settings_and_their_values_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    given = resource("ConfigMap")["data"]
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    settings = Settings.read(_env_file=None)

    names = {f"GALLERY_GATEWAY_{name.upper()}" for name in Settings.model_fields}
    assert set(given) <= names
    assert str(settings.shutdown_grace_seconds) == given["GALLERY_GATEWAY_SHUTDOWN_GRACE_SECONDS"]
    assert container()["envFrom"][0] == {"configMapRef": {"name": NAME}}


def test_operations_under_way_get_their_whole_grace() -> None:
    settings = resource("ConfigMap")["data"]
    delay = float(settings["GALLERY_GATEWAY_SHUTDOWN_DELAY_SECONDS"])
    grace = int(settings["GALLERY_GATEWAY_SHUTDOWN_GRACE_SECONDS"])
    pause = container()["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert pod()["terminationGracePeriodSeconds"] >= pause + delay + grace + 5


def test_a_shared_cache_beside_it_may_be_reached() -> None:
    rules = [rule for rule in resource("NetworkPolicy")["spec"]["egress"] if rule["ports"][0]["port"] == 6379]

    assert [rule["to"] for rule in rules] == [
        [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "redis"}}}]
    ]


def test_the_cache_and_as_much_again_fit_into_the_memory() -> None:
    budget = int(resource("ConfigMap")["data"]["GALLERY_GATEWAY_CACHE_MAX_BYTES"])
    resources = container()["resources"]

    assert resources["requests"]["memory"] == f"{2 * budget // 2**20}Mi"
    assert resources["limits"]["memory"] == f"{4 * budget // 2**30}Gi"


def test_the_autoscaler_scales_the_deployment() -> None:
    autoscaler = resource("HorizontalPodAutoscaler")["spec"]

    assert autoscaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    assert autoscaler["minReplicas"] > resource("PodDisruptionBudget")["spec"]["maxUnavailable"]
    assert autoscaler["metrics"][0]["containerResource"]["container"] == container()["name"]
    assert "replicas" not in resource("Deployment")["spec"]
