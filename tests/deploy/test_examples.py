"""The examples for extensions of a cluster agree with the manifests."""

from typing import Any

import pytest
import yaml

from tests.deploy.manifests import KUBERNETES, container, resource
from tests.deploy.programs import check

EXAMPLES = KUBERNETES / "examples"
LABELS = {"app.kubernetes.io/name": "gallery-gateway"}

# Kinds that kubernetes-validate knows; the others belong to extensions of the cluster.
BUILT_IN = {"Ingress", "Service"}


def resources() -> list[dict[str, Any]]:
    texts = [file.read_text(encoding="utf-8") for file in sorted(EXAMPLES.glob("*.yaml"))]
    return [held for text in texts for held in yaml.safe_load_all(text)]


def example(kind: str) -> Any:
    (found,) = (held for held in resources() if held["kind"] == kind)
    return found


def test_the_examples_are_these() -> None:
    kinds = [held["kind"] for held in resources()]

    assert kinds == ["HTTPRoute", "BackendTrafficPolicy", "Ingress", "Service", "ServiceMonitor"]


@pytest.mark.parametrize("version", ["1.30", "1.37"])
@pytest.mark.parametrize("kind", sorted(BUILT_IN))
def test_the_examples_are_valid(tmp_path: Any, version: str, kind: str) -> None:
    file = tmp_path / f"{kind}.yaml"
    file.write_text(yaml.safe_dump(example(kind)))

    check("kubernetes-validate", "--strict", "-k", version, str(file))


@pytest.mark.parametrize("held", resources(), ids=lambda held: held["kind"])
def test_every_example_has_the_label(held: dict[str, Any]) -> None:
    assert held["metadata"]["labels"].items() >= LABELS.items()


def test_the_ingress_leads_to_the_service_and_hashes_by_authorization() -> None:
    ingress, service = example("Ingress"), resource("Service")

    ((path,),) = (rule["http"]["paths"] for rule in ingress["spec"]["rules"])
    assert path["backend"]["service"]["name"] == service["metadata"]["name"]
    assert path["backend"]["service"]["port"]["name"] == service["spec"]["ports"][0]["name"]
    annotations = ingress["metadata"]["annotations"]
    assert len(annotations) == 2
    assert all("$http_authorization" in value for value in annotations.values())


def test_the_route_leads_to_the_service_and_hashes_by_authorization() -> None:
    route, policy, service = example("HTTPRoute"), example("BackendTrafficPolicy"), resource("Service")

    (rule,) = route["spec"]["rules"]
    port = service["spec"]["ports"][0]["port"]
    assert rule["timeouts"] == {"request": "0s"}
    assert rule["backendRefs"] == [{"name": service["metadata"]["name"], "port": port}]
    (target,) = policy["spec"]["targetRefs"]
    assert (target["kind"], target["name"]) == (route["kind"], route["metadata"]["name"])
    assert target["group"] == route["apiVersion"].partition("/")[0]
    balancer = policy["spec"]["loadBalancer"]
    assert balancer["type"] == "ConsistentHash"
    assert balancer["consistentHash"] == {"type": "Header", "header": {"name": "Authorization"}}


def test_the_monitor_finds_the_metrics_of_the_pods() -> None:
    monitor, service = example("ServiceMonitor")["spec"], example("Service")

    (endpoint,) = monitor["endpoints"]
    (port,) = service["spec"]["ports"]
    metrics = next(port for port in container()["ports"] if port["name"] == "metrics")
    assert monitor["selector"]["matchLabels"] == service["metadata"]["labels"]
    assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")
    assert (port["targetPort"], port["port"]) == (metrics["name"], metrics["containerPort"])
    assert service["spec"]["selector"] == LABELS


def test_clients_do_not_see_the_service_of_the_metrics() -> None:
    assert example("Service")["spec"]["clusterIP"] == "None"
    assert [port["name"] for port in resource("Service")["spec"]["ports"]] == ["http"]
