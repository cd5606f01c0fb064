"""What does not fit an argument is the client's error, however the operation runs."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_gateway.execution.compiler import Compiler
from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.executor import Executor, GraphQLResponse
from gallery_gateway.execution.persisted import GraphQLRequest
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.loader import GalleryLoader, narrowed_key
from gallery_gateway.gallery.lookup import Accepts
from gallery_gateway.gallery.usage import Budget, OperationUsage
from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.schema.context import OperationContext
from gallery_gateway.schema.planner import plan_operation
from gallery_gateway.schema.roots import COMPILED_ROOTS
from gallery_gateway.upstream.identity import project_global_id
from tests.fakes import TOKEN, build_gallery, document_limits, image_body, parameters_of, project_body
from tests.gallery.endpoints import page_of

SCHEMA = executable(build_schema())
BUDGET = Budget(max_calls=20, max_images=100_000)
PROJECTS = [project_body(7, image_body())]

# Of each type, a literal that every argument takes.
LITERALS = {
    "BigInt": "7",
    "Boolean": "true",
    "ID": f'"{project_global_id(7)}"',
    "ImageSort": "QUALITY_SCORE",
    "Int": "1",
    "Ownership": "MINE",
    "SortOrder": "ASC",
    "String": '"a"',
    "_Any": '{__typename: "Project", projectId: 7}',
}
REQUIRED = {"project": "projectId", "node": "id", "nodes": "ids", "_entities": "representations"}


def literal(type_text: str) -> str:
    return LITERALS[type_text.strip("[]!")]


def places() -> Iterator[tuple[str, str, str]]:
    """Each argument: its type, its name, and an operation without a head that takes it from `$v`."""
    for kind, root in (("query", SCHEMA.query_type), ("subscription", SCHEMA.subscription_type)):
        assert root is not None
        for field, definition in root.fields.items():
            for name, argument in definition.args.items():
                required = REQUIRED.get(field, name)
                given = f"{name}: $v"
                if required != name:
                    given += f", {required}: {literal(str(definition.args[required].type))}"
                yield str(argument.type), name, f"{kind} Q($v) {{ {field}({given}) {{ __typename }} }}"
    yield "ID!", "ids", "query Q($v) { nodes(ids: [$v]) { id } }"
    for directive in ("@skip(if: $v)", "@include(if: $v)"):
        for selection in (
            f"gallery {directive} {{ pagination {{ total }} }}",
            f"... on Query {directive} {{ gallery {{ pagination {{ total }} }} }}",
            f"projects(first: 1) {{ totalCount {directive} nodes {{ id }} }}",
            f"node(id: {LITERALS['ID']}) {{ id ... {directive} {{ __typename }} }}",
        ):
            yield "Boolean!", "if", f"query Q($v) {{ {selection} }}"


# Plans do not look at them.
DEEP = [
    ("Int", "first", "query Q($v) { project(projectId: 7) { images(first: $v) { id } } }"),
    ("Boolean!", "if", "query Q($v) { gallery { pagination { page total @skip(if: $v) } } }"),
    (
        "Boolean!",
        "includeDeprecated",
        'query Q($v) { __type(name: "Query") { fields(includeDeprecated: $v) { name } } }',
    ),
]
PLACES = list(places())
DOCUMENTS = Documents(SCHEMA, document_limits(), max_bytes=1_000_000)
RUNS = {
    "plain": Executor(SCHEMA, DOCUMENTS, Compiler(SCHEMA, {})),
    "compiled": Executor(SCHEMA, DOCUMENTS, Compiler(SCHEMA, COMPILED_ROOTS)),
}


async def respond(executor: Executor, request: GraphQLRequest) -> GraphQLResponse:
    def answer(upstream: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=page_of(PROJECTS, parameters_of(upstream)))

    gallery = build_gallery(httpx.MockTransport(answer))
    usage = OperationUsage(BUDGET)
    loader = GalleryLoader(gallery, Caller(TOKEN, secret=b"s" * 32), usage, narrows=True, accepts=Accepts())
    response = executor.prepare(request, request_id="r")
    if not isinstance(response, GraphQLResponse):
        response = await executor.run(response, OperationContext(usage, loader), request_id="r")
    await gallery.aclose()
    return response


def planned(request: GraphQLRequest) -> GraphQLResponse:
    key_of = partial(narrowed_key, narrows=True, keeps_window=False)
    plan = partial(plan_operation, budget=BUDGET, key_of=key_of)
    operation = RUNS["plain"].prepare(request, request_id="r")
    return RUNS["plain"].plan(operation, plan, request_id="r")


async def responses(document: str, value: object) -> dict[str, Any]:
    """The response of each way to run the operation, and the plan's."""
    request = GraphQLRequest(query=document, variables={"v": value})
    found = {way: await respond(executor, request) for way, executor in RUNS.items()}
    return {way: json.loads(each.body) for way, each in {**found, "plan": planned(request)}.items()}


@pytest.mark.parametrize(
    ("type_text", "name", "operation"), [each for each in [*PLACES, *DEEP] if each[0].endswith("!")]
)
async def test_a_null_in_a_variable_for_a_non_null_argument_names_the_argument(
    type_text: str, name: str, operation: str
) -> None:
    document = operation.replace("($v)", f"($v: {type_text[:-1]} = {literal(type_text)})")

    for way, response in (await responses(document, None)).items():
        if way == "plan" and operation in [each[2] for each in DEEP]:
            continue
        (error,) = response["errors"]
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": name}, way
        assert error["message"].endswith("not to be null."), way


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=300)
@given(
    place=st.sampled_from([*PLACES, *DEEP]),
    has_default=st.booleans(),
    is_required=st.booleans(),
    value=JSON_VALUES,
)
async def test_no_value_of_an_argument_is_the_fault_of_the_gateway_or_the_api(
    place: tuple[str, str, str], has_default: bool, is_required: bool, value: object
) -> None:
    type_text, _, operation = place
    declared = type_text.removesuffix("!") + ("!" if is_required else "")
    default = f" = {literal(type_text)}" if has_default else ""
    document = operation.replace("($v)", f"($v: {declared}{default})")

    for way, response in (await responses(document, value)).items():
        codes = {error["extensions"]["code"] for error in response.get("errors", [])}
        assert codes <= {"BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"}, way
