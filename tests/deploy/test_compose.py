"""The compose file is valid, strict, and agrees with the settings."""

from typing import Any

import pytest

from gallery_gateway.settings import Settings
from tests.deploy.dockerfile import ROOT
from tests.deploy.manifests import COMPOSE, compose_service, read
from tests.deploy.programs import check


def test_the_compose_file_is_valid_under_every_profile() -> None:
    printed = check("docker-compose", "--file", str(COMPOSE), "--profile", "*", "config", "--services")

    assert set(printed.split()) == {"gateway", "prometheus", "redis"}


def test_the_gateway_starts_alone_unless_more_is_asked_for() -> None:
    assert check("docker-compose", "--file", str(COMPOSE), "config", "--services").split() == ["gateway"]


@pytest.mark.parametrize("service", read(COMPOSE)["services"].values(), ids=read(COMPOSE)["services"])
def test_everything_runs_without_writing_and_without_capabilities(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_prometheus_looks_where_the_gateway_tells_its_metrics() -> None:
    service = read(COMPOSE)["services"]["prometheus"]
    folder, inside, _ = service["volumes"][0].split(":")
    config = COMPOSE.parent / folder / "prometheus.yaml"

    scraped = read(config)["scrape_configs"][0]["static_configs"][0]["targets"]
    assert f"--config.file={inside}/{config.name}" in service["command"]
    assert scraped == [f"gateway:{compose_service()['environment']['GALLERY_GATEWAY_METRICS_PORT']}"]


def test_redis_throws_away_the_oldest_pages_and_keeps_none_on_a_disk() -> None:
    command = read(COMPOSE)["services"]["redis"]["command"]

    assert command[:5] == ["redis-server", "--save", "", "--appendonly", "no"]
    assert command[-2:] == ["--maxmemory-policy", "allkeys-lru"]


def test_the_gateway_is_built_of_the_dockerfile() -> None:
    context = COMPOSE.parent / compose_service()["build"]["context"]

    assert (context.resolve() / "Dockerfile").samefile(ROOT / "Dockerfile")


def test_the_gateway_runs_as_the_user_of_the_image_and_stores_nothing() -> None:
    service = compose_service()

    assert "user" not in service
    assert "volumes" not in service


def test_the_settings_are_settings() -> None:
    names = {f"GALLERY_GATEWAY_{name.upper()}" for name in Settings.model_fields}

    assert set(compose_service()["environment"]) <= names


def test_the_port_that_is_published_is_listened_on() -> None:
    inside = compose_service()["ports"][0].rpartition(":")[2]

    assert inside == compose_service()["environment"]["GALLERY_GATEWAY_PORT"]
    assert int(inside) == Settings.model_fields["port"].default


def test_operations_under_way_get_their_whole_grace() -> None:
    seconds = int(compose_service()["stop_grace_period"].removesuffix("s"))

    assert seconds >= Settings.model_fields["shutdown_grace_seconds"].default + 5
