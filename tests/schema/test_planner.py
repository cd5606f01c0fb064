"""The plan of an operation names the upstream calls that it makes."""

import json
import random
from collections import Counter
from functools import partial
from typing import Any

import httpx
import pytest
from graphql import get_operation_ast, parse, parse_value, print_schema
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_graphql import queries

from gallery_gateway.execution.compiler import Compiler
from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.executor import Executor, Operation
from gallery_gateway.execution.persisted import GraphQLRequest
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.loader import GalleryLoader, narrowed_key
from gallery_gateway.gallery.lookup import Accepts
from gallery_gateway.gallery.request import query_string
from gallery_gateway.gallery.usage import Budget, OperationUsage
from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.schema.context import OperationContext
from gallery_gateway.schema.planner import OperationPlan, plan_operation
from gallery_gateway.schema.roots import COMPILED_ROOTS
from gallery_gateway.upstream.identity import project_global_id
from tests.execution.generated import CURSORS, VARIABLES, CallWriter, some_projects
from tests.fakes import TOKEN, build_gallery, document_limits, parameters_of, project_body
from tests.gallery.endpoints import page_of

SCHEMA = executable(build_schema())
BUDGET = Budget(max_calls=1_000, max_images=1_000_000)
CALLER = Caller(TOKEN, secret=b"s" * 32)
LIMITS = document_limits(
    bytes=1_000_000,
    tokens=100_000,
    depth=100,
    fields=100_000,
    aliases=10_000,
    root_fields=1_000,
    directives=10_000,
    fragments=400,
    comparisons=500_000,
)


def plan(
    document: str, variables: dict[str, Any] | None = None, *, budget: Budget = BUDGET, narrows: bool = True
) -> OperationPlan:
    parsed = parse(document)
    operation = get_operation_ast(parsed)
    assert operation is not None
    key_of = partial(narrowed_key, narrows=narrows, keeps_window=False)
    return plan_operation(SCHEMA, parsed, operation, variables, budget=budget, key_of=key_of)


async def calls_of(
    document: str, variables: dict[str, Any], projects: list[dict[str, Any]], **options: Any
) -> Counter[str]:
    """The queries of the upstream calls of an operation whose caller has an empty cache."""
    return (await run(document, variables, projects, **options))[0]


async def run(
    document: str, variables: dict[str, Any], projects: list[dict[str, Any]], **options: Any
) -> tuple[Counter[str], dict[str, Any]]:
    """The queries of the upstream calls, and the response."""
    calls: Counter[str] = Counter()

    def answer(request: httpx.Request) -> httpx.Response:
        calls[request.url.query.decode()] += 1
        return httpx.Response(200, json=page_of(projects, parameters_of(request)))

    budget, narrows = options.get("budget", BUDGET), options.get("narrows", True)
    gallery = build_gallery(httpx.MockTransport(answer), ttl_seconds=options.get("ttl_seconds", 60))
    usage = OperationUsage(budget)
    loader = GalleryLoader(gallery, CALLER, usage, narrows=narrows, accepts=Accepts())
    documents = Documents(SCHEMA, LIMITS, max_bytes=10_000_000)
    executor = Executor(SCHEMA, documents, Compiler(SCHEMA, COMPILED_ROOTS))
    request = GraphQLRequest(query=document, variables=variables)
    response = executor.prepare(request, request_id="r")
    if isinstance(response, Operation):
        response = await executor.run(response, OperationContext(usage, loader), request_id="r")
    await gallery.aclose()
    return calls, json.loads(response.body)


async def compare(
    document: str, variables: dict[str, Any], projects: list[dict[str, Any]], **options: Any
) -> OperationPlan:
    """Run an operation, and compare its calls and errors with its plan."""
    planned = plan(document, variables, narrows=options.get("narrows", True))
    made, response = await run(document, variables, projects, **options)

    certain = Counter(query_string(call.request) for call in planned.calls.calls)
    further = planned.calls.further
    known = Counter(query_string(each.request) for each in further if each.request)
    others = made - certain - known
    assert not certain - made, document
    assert sum(others.values()) <= sum(each.at_most for each in further if each.request is None), document
    assert sum(made.values()) <= planned.calls.max_calls, document
    assert all(error.formatted in response["errors"] for error in planned.errors), document
    return planned


@pytest.mark.parametrize("ttl_seconds", [0, 60])
@pytest.mark.parametrize("narrows", [True, False])
async def test_generated_operations_make_the_planned_calls_and_no_others(
    narrows: bool, ttl_seconds: float
) -> None:
    exact = refused = 0
    for seed in range(80):
        chance = random.Random(seed)
        document, projects = CallWriter(chance).operation(), some_projects(chance)

        planned = await compare(document, VARIABLES, projects, narrows=narrows, ttl_seconds=ttl_seconds)

        exact += not planned.calls.further
        refused += len(planned.errors)

    # Without answers that decide, the plan is exact.
    assert exact > 25
    assert refused > 5


IDS = st.sampled_from([parse_value(f'"{each}"') for each in (project_global_id(7), "nonsense")])
PROJECT_IDS = st.integers(5, 12).map(str).map(parse_value)
REPRESENTATIONS = st.sampled_from(
    [
        parse_value('{__typename: "Project", projectId: 7}'),
        parse_value('{__typename: "Project", projectId: 99}'),
        parse_value('{__typename: "Nothing"}'),
    ]
)
SCALARS = {"_Any": REPRESENTATIONS, "BigInt": PROJECT_IDS, "ID": IDS}


@given(document=queries(print_schema(SCHEMA), custom_scalars=SCALARS), seed=st.integers(0, 1_000))
async def test_operations_of_another_generator_make_the_planned_calls(document: Any, seed: int) -> None:
    await compare(str(document), {}, some_projects(random.Random(seed)))


def test_ten_aliases_of_a_dashboard_are_one_call_with_a_reason_for_each() -> None:
    fields = " ".join(f"a{n}: gallery {{ projects {{ images(first: {n}) {{ id }} }} }}" for n in range(1, 10))

    planned = plan(f"{{ names: gallery {{ projects {{ projectName }} }} {fields} }}").calls

    [call] = planned.calls
    assert call.request.max_images_per_project == 9
    assert [(served.key, served.reason.value, served.images) for served in call.fields] == [
        ("names", "CONTAINED", 20),
        *((f"a{n}", "CONTAINED", 20 * n) for n in range(1, 9)),
        ("a9", "FETCHED", 180),
    ]
    assert planned.further == []


SUBSCRIBED = [
    "{ gallery(perPage: $n) { projects { completedImages pendingImages } } }",
    '{ live: gallery(search: "7", perPage: $n) { projects { images(first: 3) { id } } } }',
    "{ project(projectId: 7, maxImages: $n) { images { status } } }",
]


@pytest.mark.parametrize("selection", SUBSCRIBED)
async def test_a_subscription_has_the_plan_of_the_query_and_each_look_makes_its_calls(selection: str) -> None:
    variables = {"n": 30}
    projects = [project_body(number) for number in range(1, 9)]

    planned = await compare(f"subscription ($n: Int!) {selection}", variables, projects)

    assert len(planned.calls.calls) == 1
    assert planned.calls.as_json() == plan(f"query ($n: Int!) {selection}", variables).calls.as_json()


def test_directives_by_variables_decide_what_is_planned() -> None:
    document = """query ($yes: Boolean!) {
        gallery { pagination { total } projects @include(if: $yes) { images { id } } }
        project(projectId: 7, status: "failed") @skip(if: $yes) { id } }"""

    with_images, without_images = (plan(document, {"yes": yes}).calls for yes in (True, False))

    assert [call.images for call in with_images.calls] == [1_000]
    assert [call.images for call in without_images.calls] == [20, 1]


@pytest.mark.parametrize(
    ("step", "first_page", "at_most"),
    [
        ("first: 5", (1, 5), 0),
        ("last: 5", (1, 100), 4),
        (f'first: 2, after: "{CURSORS[1]}"', (1, 6), 14),
    ],
)
def test_a_step_shows_its_first_page_and_how_many_calls_may_follow(
    step: str, first_page: tuple[int, int], at_most: int
) -> None:
    planned = plan(f"{{ projects({step}) {{ nodes {{ id }} }} }}").calls

    [call] = planned.calls
    assert (call.request.page, call.request.per_page) == first_page
    assert sum(each.at_most for each in planned.further) == at_most


def test_a_refused_argument_costs_its_field_alone() -> None:
    planned = plan(
        "{ bad: gallery(perPage: 0) { pagination { total } } good: gallery { pagination { total } } }"
    )

    assert [error.path for error in planned.errors] == [["bad"]]
    assert planned.errors[0].extensions == {"code": "BAD_USER_INPUT", "argument": "perPage"}
    assert [served.key for call in planned.calls.calls for served in call.fields] == ["good"]


def test_a_refused_representation_has_an_error_at_its_place() -> None:
    planned = plan(
        '{ _entities(representations: [{__typename: "Nothing"}, {__typename: "Project", projectId: 7}])'
        " { ... on Project { id } } }"
    )

    assert [error.path for error in planned.errors] == [["_entities", 0]]
    assert [call.request.project_id for call in planned.calls.calls] == [7]


def test_variables_that_do_not_fit_are_an_error_of_the_operation() -> None:
    planned = plan("query ($n: Int!) { gallery(page: $n) { pagination { total } } }", {"n": "x"})

    assert [error.path for error in planned.errors] == [None]
    assert planned.calls.calls == []


def test_without_a_caller_each_field_that_loads_is_refused() -> None:
    document = parse("{ __typename gallery { pagination { total } } _service { sdl } }")
    operation = get_operation_ast(document)
    assert operation is not None

    planned = plan_operation(SCHEMA, document, operation, None, budget=BUDGET, key_of=None)

    assert [error.path for error in planned.errors] == [["gallery"]]
    assert planned.errors[0].extensions == {"code": "UNAUTHENTICATED"}
    assert planned.calls.calls == []


async def test_an_operation_over_its_budget_is_planned_with_the_error_that_it_gets() -> None:
    document = "{ a: gallery { pagination { total } } b: gallery(page: 2) { pagination { total } } }"
    budget = Budget(max_calls=1, max_images=1_000)

    planned = plan(document, budget=budget)
    made = await calls_of(document, {}, [], budget=budget)

    assert [error.path for error in planned.errors] == [["a"], ["b"]]
    assert "needs 2 upstream calls; the limit is 1" in planned.errors[0].message
    assert len(planned.calls.calls) == 2
    assert not made


async def test_ids_all_over_a_list_make_as_many_calls_as_the_plan_says_at_most() -> None:
    ids = " ".join(f'"{project_global_id(number)}"' for number in range(1_001, 1_013))
    document = f"{{ nodes(ids: [{ids}]) {{ id }} }}"

    planned = plan(document).calls
    made = await calls_of(document, {}, [project_body(number) for number in range(1, 400)])

    assert [each.condition.value for each in planned.further] == ["UNLESS_ALL_LISTED"]
    assert sum(made.values()) == planned.max_calls == 13
    assert planned.max_images == 403


async def test_ids_beyond_the_budget_of_calls_have_an_error() -> None:
    ids = " ".join(f'{{__typename: "Project", projectId: {number}}}' for number in range(12))
    document = f"{{ _entities(representations: [{ids}]) {{ ... on Project {{ images {{ id }} }} }} }}"
    budget = Budget(max_calls=10, max_images=10_000)

    planned = plan(document, budget=budget)
    made = await calls_of(document, {}, [], budget=budget)

    assert Counter(query_string(call.request) for call in planned.calls.calls) == made
    assert sum(made.values()) == 10
    assert ["needs 12 upstream calls" in error.message for error in planned.errors] == [True]


async def test_ids_that_begin_later_may_be_answered_by_a_page_of_another_field() -> None:
    """A page with an image of each project is complete for projects without images."""
    ids = " ".join(f'{{__typename: "Project", projectId: {number}}}' for number in range(1, 11))
    entities = f"_entities(representations: [{ids}]) {{ ... on Project {{ images {{ id }} }} }}"
    document = f"{{ {entities} gallery {{ pagination {{ total }} }} }}"

    planned = plan(document).calls
    made = await calls_of(document, {}, [project_body(number) for number in range(1, 11)])

    assert Counter(query_string(call.request) for call in planned.calls) == made
    assert len(planned.calls) == 9
    assert [each.condition.value for each in planned.further] == ["UNLESS_LISTED"] * 2


@pytest.mark.parametrize("max_images", [3, 50])
async def test_ids_that_the_budget_cannot_pay_for_are_left_out(max_images: int) -> None:
    """A list page of 100 projects would be cheaper, but is over the budget."""
    ids = " ".join(f'{{__typename: "Project", projectId: {number}}}' for number in range(5))
    document = f"{{ _entities(representations: [{ids}]) {{ ... on Project {{ projectName }} }} }}"
    budget = Budget(max_calls=20, max_images=max_images)

    planned = plan(document, budget=budget)
    made = await calls_of(document, {}, [], budget=budget)

    assert len(planned.calls.calls) == min(5, max_images)
    assert Counter(query_string(call.request) for call in planned.calls.calls) == made
    assert len(planned.errors) == (max_images < 5)
