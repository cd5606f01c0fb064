"""What frontends use works on this graph as it is: generated types, Apollo Client, urql, Relay."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.catalogue import Catalogue
from tests.clients.programs import (
    CLIENTS,
    COMPILERS,
    HERE,
    SCHEMA,
    TOOLS,
    Run,
    samples,
    seen,
)


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, runs: dict[str, Run]) -> dict[str, Any]:
    """What one of the clients has seen."""
    return seen(runs[request.param])


def dresses() -> list[tuple[int, str]]:
    """Number and name of the projects that the clients look for, as the demo made them up; newest first."""
    # The seed that `gallery-gateway demo` makes up its catalogue by.
    catalogue, caller = Catalogue(20_26), CALLERS[0]
    numbers = [number for number in sorted(catalogue.projects) if catalogue.is_visible(number, caller)]
    named = [(number, catalogue.projects[number].name) for number in reversed(numbers)]
    return [(number, name) for number, name in named if "dress" in name]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_compiler_accepts_the_committed_schema_and_the_samples(runs: dict[str, Run], compiler: str) -> None:
    assert runs[compiler].status == 0, runs[compiler].printed


@pytest.mark.parametrize("tool", [*TOOLS, "houdini"])
def test_a_tool_accepts_the_schema_for_clients(runs: dict[str, Run], tool: str) -> None:
    assert runs[tool].status == 0, runs[tool].printed


def test_graphql_js_and_graphql_config_read_the_schema_for_clients(runs: dict[str, Run]) -> None:
    fields = ["gallery", "projects", "project", "node", "nodes"]

    assert seen(runs["graphql-js"]) == {"errors": [], "fields": fields, "documents": 1}


def test_pydantic_models_can_be_made_of_the_schema_for_clients(tmp_path: Path) -> None:
    pytest.importorskip("datamodel_code_generator")
    made = tmp_path / "models.py"
    options = ["--input", str(SCHEMA), "--input-file-type", "graphql", "--output", str(made)]
    command = [sys.executable, "-m", "datamodel_code_generator", *options]

    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # a tool

    assert done.returncode == 0, done.stderr
    assert "class Project(Node):" in made.read_text()


def test_the_java_on_the_page_lists_projects(runs: dict[str, Run]) -> None:
    if "java" not in runs:
        pytest.skip("java is not installed")

    projects = seen(runs["java"])["data"]["projects"]

    assert projects["totalCount"] > 40
    assert len(projects["nodes"]) == 3


def test_the_code_on_the_page_is_checked() -> None:
    assert samples().keys() == {
        "Projects.tsx",
        "graphcache.ts",
        "route.ts",
        "Gallery.java",
        "live.ts",
        "EventStreamLink.ts",
        "LiveProgress.tsx",
        "liveExchange.ts",
        "events.ts",
        "poll.ts",
        "Progress.tsx",
        "Picture.tsx",
    }


def test_graphcache_knows_a_key_or_none_for_each_type(runs: dict[str, Run]) -> None:
    assert seen(runs["urql-graphcache"])["complaints"] == []


def test_a_list_and_its_total_are_those_of_the_endpoint(client: dict[str, Any]) -> None:
    assert client["total"] == len(dresses())
    assert client["listed"] == [name for _, name in dresses()[:3]]


def test_a_detail_has_the_images_that_it_asks_for(client: dict[str, Any]) -> None:
    assert client["images"] == 5


def test_paging_finds_each_project_once(client: dict[str, Any]) -> None:
    assert client["walked"] == [number for number, _ in dresses()]


def test_an_error_is_known_by_its_code_and_argument(client: dict[str, Any]) -> None:
    assert client["refused"] == {"code": "BAD_USER_INPUT", "argument": "first"}
    assert client["unauthenticated"] == "UNAUTHENTICATED"


def test_apollos_cache_keeps_projects_and_images_by_id_without_configuration(runs: dict[str, Run]) -> None:
    apollo = seen(runs["apollo"])

    assert f"Project:{apollo['ids']['project']}" in apollo["normalised"]
    assert {f"Image:{image}" for image in apollo["ids"]["images"]} <= set(apollo["normalised"])
    assert set(apollo["merged"]) == {"__typename", "totalImages", "createdBy"}


def test_relay_fetches_a_project_again_by_its_id(runs: dict[str, Run]) -> None:
    assert seen(runs["relay"])["node"] is True


def test_a_poll_waits_until_a_response_is_no_longer_fresh_or_as_long_as_its_errors_say(
    runs: dict[str, Run],
) -> None:
    assert seen(runs["polling"]) == {"waits": [10, 3, 60, 3, 7, 5, 9, 3], "left": 0}


def test_the_packages_are_locked_and_name_no_registry() -> None:
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    lock = json.loads((HERE / "package-lock.json").read_text())

    assert lock["packages"][""]["dependencies"] == wanted
    assert all(version.replace(".", "").isdigit() for version in wanted.values())
    assert all("resolved" not in package for package in lock["packages"].values())
