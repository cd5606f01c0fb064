"""The compose file is valid, strict, and agrees with the settings."""

from gallery_gateway.settings import Settings
from tests.deploy.dockerfile import ROOT
from tests.deploy.manifests import COMPOSE, compose_service
from tests.deploy.programs import check


def test_the_compose_file_is_valid_under_every_profile() -> None:
    printed = check("docker-compose", "--file", str(COMPOSE), "--profile", "*", "config", "--services")

    assert "gateway" in printed.split()


def test_the_gateway_is_built_of_the_dockerfile() -> None:
    context = COMPOSE.parent / compose_service()["build"]["context"]

    assert (context.resolve() / "Dockerfile").samefile(ROOT / "Dockerfile")


def test_the_gateway_runs_as_strictly_as_in_a_cluster() -> None:
    service = compose_service()

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
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
