"""The images of a response are counted from the loaded pages, on both ways of execution."""

import json
import random
from typing import Any

import httpx
import pytest
from graphql import GraphQLObjectType

from gallery_gateway.execution.compiler import Compiler
from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.executor import Executor, GraphQLResponse
from gallery_gateway.execution.persisted import GraphQLRequest
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import Accepts
from gallery_gateway.gallery.usage import Budget, OperationUsage
from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.schema.context import OperationContext, images_in
from gallery_gateway.schema.roots import COMPILED_ROOTS
from gallery_gateway.upstream.decoding import parse_page
from tests.execution.generated import page_bytes
from tests.fakes import TOKEN, build_gallery, document_limits, image_body, page_body, project_body

SCHEMA = executable(build_schema())
DOCUMENTS = Documents(SCHEMA, document_limits(fields=100_000), max_bytes=10_000_000)
COMPILED = Executor(SCHEMA, DOCUMENTS, Compiler(SCHEMA, COMPILED_ROOTS))
PLAIN = Executor(SCHEMA, DOCUMENTS, Compiler(SCHEMA, {}))
CALLER = Caller(TOKEN, secret=b"s" * 32)
NO_LIMIT = 1_000_000
VARIABLES = {"few": 2, "yes": True, "no": False}
NODE = '"UHJvamVjdDo3"'
ENTITY = '{__typename: "Project", projectId: 7}'


async def run(executor: Executor, document: str, body: bytes, *, max_images: int) -> GraphQLResponse:
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=body))
    # What the calls may return is bounded by the same number, so they are served from what was loaded before.
    gallery = build_gallery(transport, ttl_seconds=60)
    operation = executor.prepare(GraphQLRequest(query=document, variables=VARIABLES), request_id="r")
    *_, response = [
        await executor.execute(operation, context_of(gallery, budget), request_id="r")
        # This REST API shows that it ignores sizes, so that what was loaded before it did is loaded again.
        for budget in (NO_LIMIT, NO_LIMIT, max_images)
    ]
    return response


def context_of(gallery: Gallery, max_images: int) -> OperationContext:
    usage = OperationUsage(Budget(max_calls=100, max_images=max_images))
    return OperationContext(usage, GalleryLoader(gallery, CALLER, usage, narrows=False, accepts=Accepts()))


class Writer:
    """Writes operations in which every list of images has a response key that begins with `images`."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.keys = 0

    def operation(self) -> str:
        roots = " ".join(self.root() for _ in range(self.chance.randint(1, 3)))
        definitions = "($few: Int, $yes: Boolean!, $no: Boolean!)"
        # Every variable and fragment is used, whatever else was chosen.
        used = "unused: gallery @skip(if: true) { projects { ...F images(first: $few) { id } } }"
        also = (
            "also: gallery @skip(if: true) { __typename @skip(if: $no) pagination @skip(if: $yes) { page } }"
        )
        fragment = "fragment F on Project { imagesF: images { id } }"
        return f"query {definitions} {{ {roots} {used} {also} }} {fragment}"

    def root(self) -> str:
        project = f"... on Project {{ {self.project()} }}"
        entities = ", ".join([ENTITY] * self.chance.randint(1, 3))
        return self.chance.choice(
            [
                f"{self.key()}: gallery {{ __typename {self.times(f'projects {{ {self.project()} }}')} }}",
                f"{self.key()}: project(projectId: 7) {{ {self.project()} }}",
                f"{self.key()}: projects {{ {self.connection()} }}",
                f"{self.key()}: node(id: {NODE}) {{ {project} }}",
                f"{self.key()}: nodes(ids: {NODE}) {{ {project} }}",
                f"{self.key()}: _entities(representations: [{entities}]) {{ {project} }}",
            ]
        )

    def connection(self) -> str:
        edges = self.times(f"edges {{ cursor {self.times(f'node {{ {self.project()} }}')} }}")
        return f"{edges} {self.times(f'nodes {{ {self.project()} }}')} totalCount"

    def project(self) -> str:
        first = ["", "(first: 0)", "(first: 1)", "(first: $few)", "(first: null)", "(first: 100)"]
        directive = ["", "", "@include(if: $yes)", "@skip(if: $yes)", "@include(if: $no)"]
        lists = [
            f"images{self.key()}: images{self.chance.choice(first)} {self.chance.choice(directive)} {{ id }}"
            for _ in range(self.chance.randint(0, 3))
        ]
        return " ".join(["projectId", *lists, self.chance.choice(["", "...F", "...F ...F"])])

    def times(self, selection: str) -> str:
        return " ".join(f"{self.key()}: {selection}" for _ in range(self.chance.randint(0, 2)))

    def key(self) -> str:
        self.keys += 1
        return f"k{self.keys}"


def written_images(value: Any) -> int:
    """The images in a response, counted after it was written."""
    if isinstance(value, list):
        return sum(written_images(item) for item in value)
    if not isinstance(value, dict):
        return 0
    return sum(
        len(below) if key.startswith("images") else written_images(below) for key, below in value.items()
    )


@pytest.mark.parametrize("seed", range(60))
async def test_an_operation_is_refused_exactly_if_its_response_has_more_images_than_the_limit(
    seed: int,
) -> None:
    document = Writer(seed).operation()
    body = page_bytes(random.Random(seed), damages=0)
    written = await run(PLAIN, document, body, max_images=NO_LIMIT)
    number = written_images(json.loads(written.body)["data"])

    for executor in (PLAIN, COMPILED):
        assert await run(executor, document, body, max_images=max(number, 1)) == written
    if number > 1:
        refusals = [await run(each, document, body, max_images=number - 1) for each in (PLAIN, COMPILED)]
        assert refusals[0] == refusals[1]
        (error,) = json.loads(refusals[0].body)["errors"]
        assert "data" not in json.loads(refusals[0].body)
        assert f"{number} images; the limit is {number - 1}." in error["message"]
        assert error["extensions"] == {"code": "BAD_USER_INPUT"}


@pytest.mark.parametrize("executor", [PLAIN, COMPILED], ids=["plain", "compiled"])
async def test_a_response_that_cannot_be_repeated_is_refused_again(executor: Executor) -> None:
    body = json.dumps(page_body(project_body(7, image_body(0), image_body(1)))).encode()
    document = "{ gallery { projects { a: images { id } b: images { id } } } }"

    response = await run(executor, document, body, max_images=3)

    assert response.codes == ("BAD_USER_INPUT",)
    assert response.cached is None


@pytest.mark.parametrize("damages", range(1, 4))
@pytest.mark.parametrize("seed", range(40))
async def test_damaged_pages_are_counted_alike_on_both_ways(seed: int, damages: int) -> None:
    document = Writer(seed).operation()
    body = page_bytes(random.Random(seed), damages=damages)

    plain, compiled = [await run(each, document, body, max_images=3) for each in (PLAIN, COMPILED)]

    assert plain == compiled


@pytest.mark.parametrize(
    ("limits", "number"), [((), 0), ((None,), 5), ((2,), 4), ((0,), 0), ((None, None, 2, 1), 5 + 5 + 4 + 2)]
)
def test_each_list_counts_what_it_holds_of_each_project(limits: tuple[int | None, ...], number: int) -> None:
    three, two = [image_body(index) for index in range(3)], [image_body(index) for index in range(2)]
    page = parse_page(json.dumps(page_body(project_body(1, *three), project_body(2, *two))).encode())

    assert images_in(page.projects, limits) == number


def test_damaged_projects_and_lists_count_nothing() -> None:
    whole, without = project_body(1, image_body(0)), project_body(2, image_body(0), images=7)
    page = parse_page(json.dumps(page_body(whole, without) | {"projects": [whole, None, without]}).encode())

    assert images_in(page.projects, (None,)) == 1
    assert images_in([None], (None,)) == 0


def test_every_list_of_images_is_a_field_of_a_project() -> None:
    lists = {
        f"{kind.name}.{name}"
        for kind in SCHEMA.type_map.values()
        if isinstance(kind, GraphQLObjectType)
        for name, field in kind.fields.items()
        if str(field.type).strip("[]!") == "Image" and "[" in str(field.type)
    }

    assert lists == {"Project.images"}
