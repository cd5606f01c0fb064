"""Names of other projects that are not their public API, and that this one relies on."""

import inspect
import re
import signal
from collections.abc import Callable
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import httptools
import pytest
import uvicorn
from graphql import GraphQLSchema
from graphql.execution import collect_fields as collecting
from graphql.execution.values import VariableValues
from graphql.validation.rules import overlapping_fields_can_be_merged
from strawberry import federation
from strawberry.types.field import StrawberryField
from uvicorn.server import ServerState

from gallery_gateway import cli
from gallery_gateway.app import signals
from gallery_gateway.edge import uvicorn_protocol
from gallery_gateway.edge.uvicorn_protocol import UVICORN_NAMES, UnsupportedServerError, check_uvicorn
from gallery_gateway.schema.build import build_schema, executable

SOURCE = Path(uvicorn_protocol.__file__)
PYPROJECT = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")


def signature(function: Callable[..., Any]) -> list[str]:
    """The names of the parameters, in their order."""
    return list(inspect.signature(function).parameters)


def test_the_installed_uvicorn_has_every_name_that_the_edge_relies_on() -> None:
    check_uvicorn()


def test_a_uvicorn_without_one_of_them_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(UVICORN_NAMES, httptools.HttpRequestParser, "no_such_name")

    with pytest.raises(UnsupportedServerError, match=r"HttpRequestParser\.no_such_name"):
        check_uvicorn()


def test_a_uvicorn_that_handles_sigterm_in_another_way_stops_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uvicorn.Server, "capture_signals", lambda _server: nullcontext())

    with pytest.raises(UnsupportedServerError, match=r"Server\.handle_exit does not handle SIGTERM"):
        check_uvicorn()


def test_the_check_leaves_the_handlers_of_signals_as_they_were() -> None:
    before = signal.getsignal(signal.SIGTERM)

    check_uvicorn()

    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("module", [cli, signals])
def test_every_name_of_the_server_that_others_use_is_checked(module: ModuleType) -> None:
    source = inspect.getsource(module)
    checked = set(f"{UVICORN_NAMES[uvicorn.Server]} {UVICORN_NAMES[ServerState]}".split())
    documented = {"run"}

    used = set(re.findall(r"\bserver(?:_state)?\.([a-z]\w+)", source))

    assert used
    assert used - documented - checked == set()


def test_every_name_that_the_edge_takes_from_uvicorn_is_checked() -> None:
    source = SOURCE.read_text(encoding="utf-8")
    checked = set(" ".join(UVICORN_NAMES.values()).split())
    own = set(re.findall(r"def (\w+)|^    (\w+): ", source, re.MULTILINE))
    own = {name for names in own for name in names} | {"set_dangerous_leniencies"}

    used = set(re.findall(r"(?:self|cycle|flow|server_state)\.([a-z]\w+)", source))

    assert used - own - checked == set()


@pytest.mark.parametrize("package", ["uvicorn", "httptools", "graphql-core", "strawberry-graphql"])
def test_a_package_whose_private_names_are_relied_on_is_pinned_to_its_minor_version(package: str) -> None:
    pin = re.search(rf'"{package}>=([0-9.]+),<([0-9.]+)"', PYPROJECT)

    assert pin is not None
    major, minor = map(int, version(package).split(".")[:2])
    assert pin[2] == f"{major}.{minor + 1}"


def test_graphql_core_collects_fields_with_the_signatures_that_selections_use() -> None:
    assert signature(collecting.collect_fields)[:5] == [
        "schema",
        "fragments",
        "variable_values",
        "runtime_type",
        "operation",
    ]
    assert signature(collecting.collect_subfields)[:6] == [
        "schema",
        "fragments",
        "variable_values",
        "operation",
        "return_type",
        "field_details_list",
    ]
    assert signature(collecting.FragmentDetails)[:1] == ["definition"]
    assert signature(collecting.FieldDetails)[:2] == ["node", "defer_usage"]
    assert signature(VariableValues) == ["sources", "coerced"]


def test_graphql_cores_rule_of_overlapping_fields_has_a_budget_of_comparisons() -> None:
    source = inspect.getsource(overlapping_fields_can_be_merged)

    assert "self.rule_context = " in source
    assert "remaining_complexity_budget" in source


def test_strawberry_says_which_attribute_a_field_reads() -> None:
    query_type = executable(build_schema()).query_type

    assert query_type is not None
    definition = query_type.fields["gallery"].extensions["strawberry-definition"]
    assert isinstance(definition, StrawberryField)
    assert {"base_resolver", "python_name", "metadata"} <= set(dir(definition))


def test_strawberrys_federation_takes_a_version_and_has_graphql_cores_schema_within() -> None:
    assert "federation_version" in signature(federation.Schema.__init__)
    assert isinstance(executable(build_schema()), GraphQLSchema)
