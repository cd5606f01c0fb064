"""The price of an operation is that of its worst variables."""

import random
import re
from functools import cache, partial
from typing import Any

import httpx
import pytest
from graphql import DocumentNode, OperationDefinitionNode, get_operation_ast, parse, validate

from gallery_gateway.execution.compiler import Compiler
from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.executor import Executor
from gallery_gateway.execution.limits import DocumentLimits
from gallery_gateway.execution.persisted import GraphQLRequest
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.loader import GalleryLoader, narrowed_key
from gallery_gateway.gallery.lookup import Accepts
from gallery_gateway.gallery.pagination import CursorPosition
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.usage import Budget, OperationUsage
from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.schema.context import OperationContext
from gallery_gateway.schema.cursors import encode_cursor, list_hash
from gallery_gateway.schema.planner import plan_operation
from gallery_gateway.schema.pricing import Price, PriceError, price_of
from gallery_gateway.schema.roots import COMPILED_ROOTS
from gallery_gateway.upstream.identity import project_global_id
from tests.fakes import TOKEN, build_gallery, parameters_of, project_body
from tests.gallery.endpoints import page_of

SCHEMA = executable(build_schema())
BUDGET = Budget(max_calls=10**9, max_images=10**9)
# Those of the settings.
LIMITS = Budget(max_calls=20, max_images=20_000)
CALLER = Caller(TOKEN, secret=b"s" * 32)
EXECUTOR = Executor(
    SCHEMA,
    Documents(SCHEMA, DocumentLimits.for_tokens(20_000), max_bytes=10_000_000),
    Compiler(SCHEMA, COMPILED_ROOTS),
)
KEY_OF = partial(narrowed_key, narrows=True, keeps_window=False)


@cache
def parsed(text: str) -> tuple[DocumentNode, OperationDefinitionNode]:
    document = parse(text)
    operation = get_operation_ast(document)
    assert operation is not None
    assert validate(SCHEMA, document) == []
    return document, operation


def price(text: str, limits: Budget = BUDGET) -> Price:
    return price_of(SCHEMA, *parsed(text), KEY_OF, limits)


def planned_images(text: str, variables: dict[str, Any]) -> int:
    return plan_operation(SCHEMA, *parsed(text), variables, budget=BUDGET, key_of=KEY_OF).calls.images


async def needed(
    text: str,
    variables: dict[str, Any],
    projects: list[dict[str, Any]],
    limits: Budget = BUDGET,
    *,
    ttl_seconds: float = 60,
) -> tuple[int, int]:
    """The calls and images that an operation needs at these variables, in a list that does not change."""
    made: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        parameters = parameters_of(request)
        size = 1 if "project_id" in parameters else int(parameters["per_page"])
        made.append(size * int(parameters["max_images_per_project"]))
        return httpx.Response(200, json=page_of(projects, parameters))

    gallery = build_gallery(httpx.MockTransport(answer), ttl_seconds=ttl_seconds)
    usage = OperationUsage(limits)
    loader = GalleryLoader(gallery, CALLER, usage, narrows=True, accepts=Accepts())
    operation = EXECUTOR.prepare(GraphQLRequest(query=text, variables=variables), request_id="r")
    await EXECUTOR.execute(operation, OperationContext(usage, loader), request_id="r")
    await gallery.aclose()
    return len(made), sum(made)


def cursor(position: int) -> str:
    """That of a project in the list of `projects`."""
    return encode_cursor(CursorPosition(position, position + 1, None), list_hash(GalleryRequest()))


POSITIONS = [0, 1, 6, 19, 20, 98, 99, 130, 249]

# All of them on few pages, or some on each page, or none on any.
IDS = [range(length) for length in (0, 1, 2, 5, 39, 41, 100)]
IDS += [range(start, 251, step) for start, step in ((1, 25), (7, 30), (1, 33), (50, 11), (1, 3))]
IDS += [range(1_000, 1_012)]

# By the first letter of a variable.
TYPES = {
    "p": "Int!",
    "n": "Int!",
    "f": "Int",
    "m": "Int!",
    "i": "BigInt!",
    "j": "BigInt",
    "c": "String",
    "l": "[ID!]!",
    "r": "[_Any!]!",
    "b": "Boolean!",
    "o": "Ownership",
    "s": "String",
}
VALUES: dict[str, list[Any]] = {
    "p": [1, 2, 3, 40],
    "n": [1, 2, 10, 20, 50, 99, 100],
    "f": [None, None, 1, 20, 100],
    "m": [1, 3, 50, 199, 200],
    "i": [7, 8],
    "j": [None, 7, 8],
    "l": [[project_global_id(each) for each in ids] for ids in IDS],
    "r": [[{"__typename": "Project", "projectId": each} for each in ids] for ids in (*IDS, range(250))],
    "b": [True, False],
    "o": [None, "MINE", "SHARED"],
    "s": [None, "a", "b", "failed"],
}


class VariableWriter:
    """Writes operations with variables of every kind."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def operation(self) -> str:
        roots = " ".join(self._root(number) for number in range(self._chance.choice([1, 2, 2, 3, 5])))
        declared = ", ".join(f"${name}: {TYPES[name[0]]}" for name in variables_in(roots))
        return f"query {f'({declared})' if declared else ''} {{ {roots} }}"

    def _argument(self, name: str, kind: str, *literals: str) -> str:
        if self._chance.random() < 0.4:
            return f"{name}: {self._chance.choice(literals)}"
        return f"{name}: ${kind}{self._chance.randrange(2)}"

    def _some(self, *arguments: str) -> str:
        chosen = [each for each in arguments if each and self._chance.random() < 0.5]
        return f"({', '.join(chosen)})" if chosen else ""

    def _root(self, number: int) -> str:
        projects = f"projectName {self._images()}"
        argument = self._argument
        match self._chance.randrange(9):
            case 0:
                arguments = self._some(
                    argument("first", "f", "1", "20"),
                    argument("after", "c", "null"),
                    argument("last", "f", "1", "20"),
                    argument("before", "c", "null"),
                )
                return f"p{number}: projects{arguments} {{ totalCount nodes {{ {projects} }} }}"
            case 1:
                return f"t{number}: projects {{ totalCount }}"
            case 2 | 3:
                arguments = f"{argument('projectId', 'i', '7')} {argument('maxImages', 'm', '3', '50')}"
                return f"o{number}: project({arguments}) {{ {projects} }}"
            case 4 if number < 2:
                field = self._chance.choice(["nodes(ids: $l)", "_entities(representations: $r)"])
                return f"n{number}: {field} {{ ... on Project {{ {projects} }} }}"
        arguments = self._some(
            argument("page", "p", "1", "2", "40"),
            argument("perPage", "n", "1", "10", "100"),
            argument("maxImagesPerProject", "m", "1", "50", "200"),
            argument("status", "s", '"a"', '"failed"'),
            argument("projectId", "j", "7", "null"),
            argument("ownership", "o", "MINE", "null"),
        )
        return f"g{number}: gallery{arguments} {{ pagination {{ total }} projects {{ {projects} }} }}"

    def _images(self) -> str:
        first = self._some(self._argument("first", "m", "1", "3", "50"))
        condition = self._chance.choice(["", "", "", "@include(if: $b)", "@skip(if: $b)"])
        return self._chance.choice(["", f"images{first} {condition} {{ id }}"])


def variables_in(text: str) -> list[str]:
    return sorted(set(re.findall(r"\$(\w+)", text)))


@pytest.mark.parametrize("length", [0, 7, 250])
@pytest.mark.parametrize(("limits", "ttl_seconds"), [(LIMITS, 60), (BUDGET, 0)])
async def test_no_variables_cost_more_calls_or_images_than_the_price(
    limits: Budget, ttl_seconds: float, length: int
) -> None:
    projects = [project_body(number) for number in range(1, length + 1)]
    values = {**VALUES, "c": [None, *[cursor(position) for position in POSITIONS if position < length]]}
    reached = compared = 0
    for seed in range(60):
        chance = random.Random(seed)
        document = VariableWriter(chance).operation()
        names = variables_in(document)
        try:
            most = price(document, limits)
        except PriceError:
            continue

        for _ in range(3):
            variables = {name: chance.choice(values[name[0]]) for name in names}
            calls, images = await needed(document, variables, projects, limits, ttl_seconds=ttl_seconds)

            assert calls <= most.calls, (seed, document, variables, calls, most)
            assert images <= most.images, (seed, document, variables, images, most)
            reached += calls == most.calls
            compared += 1

    # The price is no mere bound: a few variables that were chosen by chance reach it.
    assert reached > compared / 4


@pytest.mark.parametrize(
    ("text", "calls", "images"),
    [
        # Nothing varies.
        ("{ gallery { pagination { total } } }", 1, 20),
        (
            "{ a: gallery { pagination { total } } b: gallery { projects { images(first: 3) { id } } } }",
            1,
            60,
        ),
        ("{ __typename }", 0, 0),
        # Sizes are the largest.
        ("query ($n: Int!) { gallery(perPage: $n) { projects { images(first: 4) { id } } } }", 1, 400),
        ("query ($m: Int!) { gallery(maxImagesPerProject: $m) { projects { images { id } } } }", 1, 4_000),
        ("query ($n: Int) { gallery { projects { images(first: $n) { id } } } }", 1, 1_000),
        ("query ($n: Int!) { project(projectId: 7, maxImages: $n) { images { id } } }", 1, 200),
        ("query ($n: Int) { projects(first: $n) { nodes { images(first: 2) { id } } } }", 1, 200),
        (
            (
                "query ($n: Int!) { gallery(perPage: $n, maxImagesPerProject: 200)"
                " { projects { images(first: $n) { id } } } }"
            ),
            1,
            10_000,
        ),
        # Directives are taken both ways.
        ("query ($b: Boolean!) { gallery { projects { images @include(if: $b) { id } } } }", 1, 1_000),
        ("query ($b: Boolean!) { gallery { projects { images @skip(if: $b) { id } } } }", 1, 1_000),
        # A project is requested, or a list of them.
        ("query ($i: BigInt) { gallery(projectId: $i) { pagination { total } } }", 1, 20),
        # Different variables are different, and the same variable is the same.
        (
            (
                "query ($s: String) { a: gallery(status: $s) { pagination { total } }"
                " b: gallery(status: $s, perPage: 5) { pagination { total } } }"
            ),
            1,
            20,
        ),
        (
            (
                "query ($s: String, $t: String) { a: gallery(status: $s) { pagination { total } }"
                " b: gallery(status: $t) { pagination { total } } }"
            ),
            2,
            40,
        ),
        (
            (
                "query ($o: Ownership!) { a: gallery(ownership: $o) { pagination { total } }"
                " b: gallery(ownership: MINE) { pagination { total } } }"
            ),
            2,
            40,
        ),
        # Whether pages contain each other depends on their size.
        (
            (
                "query ($n: Int!) { a: gallery(perPage: $n) { pagination { total } }"
                " b: gallery(perPage: 5) { pagination { total } } }"
            ),
            2,
            105,
        ),
        (
            (
                "query ($c: String) { a: projects(first: 20, after: $c) { nodes { projectName } }"
                " b: gallery(perPage: 100) { pagination { total } } }"
            ),
            2,
            143,
        ),
        # A part that is not the beginning of a page may lie past the end of the list.
        ("{ a: gallery(page: 2, perPage: 5) { __typename } b: gallery { __typename } }", 2, 25),
        # One project with two sizes is requested twice where pages are searched for it first.
        (
            (
                "query ($i: BigInt!, $l: [ID!]!) { a: project(projectId: $i) { projectName }"
                " b: project(projectId: $i) { images(first: 5) { id } }"
                " nodes(ids: $l) { ... on Project { projectName } } }"
            ),
            103,
            3_310,
        ),
        # Fields with the same arguments share a call at any size.
        (
            (
                "query ($n: Int!) { a: gallery(perPage: $n) { pagination { total } }"
                " b: gallery(perPage: $n) { projects { images(first: 2) { id } } } }"
            ),
            1,
            200,
        ),
        # A project may not be on the page of another field.
        (
            "query ($i: BigInt!) { gallery { pagination { total } } project(projectId: $i) { projectName } }",
            2,
            21,
        ),
        (
            (
                "query ($i: BigInt!) { a: project(projectId: $i) { projectName }"
                " b: project(projectId: $i) { images(first: 2) { id } } }"
            ),
            1,
            2,
        ),
        # What fragments need counts.
        (
            (
                "query ($n: Int!, $b: Boolean!) { ...Lists } fragment Lists on Query { gallery(perPage: $n)"
                " { projects { ...Images @include(if: $b) } } } fragment Images on Project { images { id } }"
            ),
            1,
            5_000,
        ),
        # Two pages with 41 of the projects or less, and a call for each of the others, or one and 100.
        ("query ($l: [ID!]!) { nodes(ids: $l) { ... on Project { images { id } } } }", 101, 12_950),
        ("query ($r: [_Any!]!) { _entities(representations: $r) { __typename } }", 1_001, 33_304),
        (
            (
                "query ($l: [ID!]!, $i: BigInt!) { nodes(ids: $l) { ... on Project { images { id } } }"
                " project(projectId: $i) { projectName } }"
            ),
            102,
            12_951,
        ),
    ],
)
def test_the_price_is_that_of_the_worst_variables(text: str, calls: int, images: int) -> None:
    assert price(text)[:2] == (calls, images)


NODES = "query ($l: [ID!]!) { nodes(ids: $l) { ... on Project { projectName } } }"


@pytest.mark.parametrize(
    ("numbers", "cost"), [(range(9_001, 9_013), (13, 112)), (range(21, 3_000, 30), (20, 2_000))]
)
async def test_ids_cost_up_to_their_price_where_few_pages_list_them(
    numbers: range, cost: tuple[int, int]
) -> None:
    """Twelve that no page lists, or one hundred, of which three or four are on each page."""
    projects = [project_body(number) for number in range(1, 3_001)]
    ids = [project_global_id(number) for number in numbers]

    assert await needed(NODES, {"l": ids}, projects, LIMITS) == cost
    assert price(NODES, LIMITS) == (20, 2_000, 0)


async def test_a_price_counts_the_small_size_that_makes_a_page_pay() -> None:
    ids = " ".join(f'"{project_global_id(1_000 + number)}"' for number in range(30))
    text = f"query ($m: Int!) {{ nodes(ids: [{ids}]) {{ ... on Project {{ images(first: $m) {{ id }} }} }} }}"

    assert await needed(text, {"m": 50}, []) == (30, 1_500)
    assert await needed(text, {"m": 31}, []) == price(text)[:2] == (31, 4_030)


async def test_a_walk_costs_its_price_in_a_list_that_does_not_change() -> None:
    projects = [project_body(number) for number in range(1, 251)]
    last, after = (
        "{ projects(last: 100) { nodes { id } } }",
        "query ($c: String) { projects(first: 100, after: $c)",
    )

    assert (await needed(last, {}, projects))[0] == price(last).calls == 3
    assert (await needed(f"{after} {{ nodes {{ id }} }} }}", {"c": cursor(0)}, projects))[0] == 2
    assert price(f"{after} {{ nodes {{ id }} }} }}")[:2] == (2, 200)


def test_a_page_beside_a_cursor_is_as_large_as_at_its_worst_position() -> None:
    text = "query ($c: String) { projects(first: 20, after: $c) { nodes { projectName } } }"
    positions = [CursorPosition(position, 7, None) for position in range(0, 5_000, 31)]
    cursors = [encode_cursor(position, list_hash(GalleryRequest())) for position in positions]

    images = [planned_images(text, {"c": cursor}) for cursor in cursors]

    assert 20 < max(images) <= price(text).images < 100


def test_calls_that_depend_on_what_pages_say_are_counted_apart() -> None:
    from_start = "{ projects(first: 20) { nodes { projectName } } }"
    from_cursor = "query ($c: String) { projects(first: 20, after: $c) { nodes { projectName } } }"

    assert price(from_start).further_calls == 0
    assert price(from_cursor).further_calls > price(from_cursor).calls == 1


def test_another_operation_with_the_same_variables_changes_no_price() -> None:
    sized = "query A ($n: Int!) { gallery { projects { images(first: $n) { id } } } }"
    other = "query B ($n: Int!) { projects(first: $n) { totalCount } }"
    longer = sized.replace("gallery", "gallery(maxImagesPerProject: 200)")
    document = parse(f"{longer} {other}")
    operation = get_operation_ast(document, "A")
    assert operation is not None

    assert price_of(SCHEMA, document, operation, KEY_OF, BUDGET) == price(longer) == (1, 4_000, 0)


def test_an_operation_with_too_many_combinations_has_no_price() -> None:
    names = [f"b{number}" for number in range(10)]
    declared = ", ".join(f"${name}: Boolean!" for name in names)
    fields = " ".join(f"{name}: gallery @include(if: ${name}) {{ pagination {{ total }} }}" for name in names)

    with pytest.raises(PriceError, match="1024 combinations; the limit is 512"):
        price(f"query ({declared}) {{ {fields} }}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{ gallery(perPage: 0) { pagination { total } } }", "`perPage` must be from 1 to 100"),
        ('{ projects(after: "x") { totalCount } }', "`after` is not a cursor"),
        (
            "query ($n: Int!) { projects(first: $n, last: $n) { totalCount } }",
            "`last` does not go with `first`",
        ),
    ],
)
def test_an_operation_that_no_variables_satisfy_has_no_price(text: str, message: str) -> None:
    with pytest.raises(PriceError, match=message):
        price(text)


SUBSCRIBED = {
    "{ gallery(perPage: $n) { projects { pendingImages } } }": Price(1, 100, 0),
    "{ gallery(perPage: 7) { projects { images(first: $n) { id } } } }": Price(1, 350, 0),
    "{ project(projectId: 7, maxImages: $n) { images { id } } }": Price(1, 200, 0),
}


@pytest.mark.parametrize(("selection", "priced"), SUBSCRIBED.items())
def test_a_subscription_costs_what_the_query_costs(selection: str, priced: Price) -> None:
    assert price(f"subscription ($n: Int!) {selection}") == priced
    assert price(f"query ($n: Int!) {selection}") == priced


def test_the_fields_of_a_subscription_may_be_in_a_fragment() -> None:
    fragment = "fragment F on Subscription { gallery(perPage: $n) { projects { pendingImages } } }"

    assert price(f"subscription ($n: Int!) {{ ...F }} {fragment}") == Price(1, 100, 0)
