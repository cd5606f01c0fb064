"""Plain and compiled execution agree, byte for byte: in data, in the order of keys, and in errors."""

import asyncio
import json
import random
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from graphql import parse_value, print_schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import queries

from gallery_gateway.execution.compiler import CompiledResponse, Compiler
from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.executor import Executor, GraphQLResponse
from gallery_gateway.execution.persisted import GraphQLRequest
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import Accepts
from gallery_gateway.gallery.usage import Budget, OperationUsage
from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.schema.context import OperationContext
from gallery_gateway.schema.roots import COMPILED_ROOTS
from tests.execution.generated import VARIABLES, OperationWriter, page_bytes
from tests.fakes import TOKEN, build_gallery, document_limits, image_body, page_body, project_body

SCHEMA = executable(build_schema())
# Generated operations have more of everything than people write.
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
CALLER = Caller(TOKEN, secret=b"s" * 32)
PAGES_PER_OPERATION = 6
GOOD_PAGE = page_bytes(random.Random(1), damages=0)


class CountingCompiler(Compiler):
    """Counts what it ran to the end, so that a test knows that it compared two things."""

    compiled = 0

    async def run(self, *arguments: Any) -> CompiledResponse | None:
        written = await super().run(*arguments)
        self.compiled += written is not None
        return written


@dataclass(frozen=True)
class Ways:
    """The ways to run an operation on one schema."""

    compiler: CountingCompiler
    compiled: Executor
    sliced: Executor
    plain: Executor


@pytest.fixture(scope="module")
def ways() -> Ways:
    documents = Documents(SCHEMA, LIMITS, max_bytes=10_000_000)
    compiler = CountingCompiler(SCHEMA, COMPILED_ROOTS)
    return Ways(
        compiler,
        Executor(SCHEMA, documents, compiler),
        Executor(SCHEMA, documents, Compiler(SCHEMA, COMPILED_ROOTS, sliced_images=-1)),
        Executor(SCHEMA, documents, Compiler(SCHEMA, {})),
    )


async def run(executor: Executor, document: str, body: bytes, *, times: int = 1) -> list[GraphQLResponse]:
    """One operation, several times, on an endpoint that says `body` to everything."""
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=body))
    gallery = build_gallery(transport, ttl_seconds=60)
    request = GraphQLRequest(query=document, variables=VARIABLES)
    responses = []
    for _ in range(times):
        usage = OperationUsage(Budget(max_calls=20, max_images=100_000))
        loader = GalleryLoader(gallery, CALLER, usage, narrows=False, accepts=Accepts())
        operation = executor.prepare(request, request_id="r")
        responses.append(await executor.execute(operation, OperationContext(usage, loader), request_id="r"))
    return responses


async def compare(ways: Ways, document: str, body: bytes) -> None:
    # From a page that has just come, a cached page, and a response that is kept with it. Cursors may differ
    # from time to time: a larger page, once it is cached, shows more of what is around a project.
    plain = await run(ways.plain, document, body, times=3)

    compiled = await run(ways.compiled, document, body, times=3)
    sliced = await run(ways.sliced, document, body, times=3)

    assert compiled == plain, document
    assert sliced == plain, document


async def test_generated_operations_on_whole_and_damaged_pages_agree(
    ways: Ways, pytestconfig: pytest.Config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("ERROR", logger="gallery_gateway")
    cases: int = pytestconfig.getoption("differential_cases")
    before = ways.compiler.compiled
    for number in range(cases // PAGES_PER_OPERATION):
        chance = random.Random(number)
        document = OperationWriter(chance).operation()

        for damages in range(PAGES_PER_OPERATION):
            await compare(ways, document, page_bytes(chance, damages=damages % 4))

    assert ways.compiler.compiled - before > cases
    assert "operation.bug" not in caplog.text
    assert "execution.fallback" not in caplog.text


REPRESENTATIONS = st.sampled_from(
    [parse_value('{__typename: "Project", projectId: 7}'), parse_value('{__typename: "Nothing"}')]
)


BIG_INTS = st.integers(-(2**63), 2**63 - 1).map(str).map(parse_value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    document=queries(print_schema(SCHEMA), custom_scalars={"_Any": REPRESENTATIONS, "BigInt": BIG_INTS}),
    seed=st.integers(0, 1000),
)
async def test_operations_of_another_generator_agree(ways: Ways, document: Any, seed: int) -> None:
    await compare(ways, str(document), page_bytes(random.Random(seed), damages=seed % 3))


@pytest.mark.parametrize(
    "document",
    [
        "{ gallery { projects { a: images { status } b: images { status } status: projectName } } }",
        "{ gallery { projects { images { a: id b: id c: jobId d: jobId } } } }",
        "{ gallery { __typename projects { __typename t: __typename images { __typename } } } }",
        "{ gallery { projects { images(first: 1) { output { thumbnail fullSize } inputs { uuid } } } } }",
        "{ a: gallery { pagination { page } } b: project(projectId: 7) { id } c: gallery { __typename } }",
        "{ project(projectId: 99) { id } }",
        "{ projects(first: 2) { edges { cursor node { id images { id } } } pageInfo { endCursor } } }",
        "{ a: projects(first: 1) { nodes { projectId } } b: gallery { pagination { total } } }",
    ],
)
async def test_what_is_common_is_compiled(ways: Ways, document: str) -> None:
    before = ways.compiler.compiled

    await compare(ways, document, GOOD_PAGE)

    assert ways.compiler.compiled == before + 3


@pytest.mark.parametrize(
    "selection", ["projects { images { id } }", "a: projects { id } b: projects { images { id } }"]
)
async def test_other_tasks_run_while_a_large_response_is_written(selection: str) -> None:
    compiler = CountingCompiler(SCHEMA, COMPILED_ROOTS, sliced_images=2)
    executor = Executor(SCHEMA, Documents(SCHEMA, LIMITS, max_bytes=10_000_000), compiler)
    body = json.dumps(page_body(*(project_body(n, image_body()) for n in range(1, 21)))).encode()
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    await run(executor, f"{{ gallery {{ {selection} }} }}", body)
    other.cancel()

    assert compiler.compiled == 1
    assert turns > 20


@pytest.mark.parametrize(
    "document",
    [
        '{ node(id: "UHJvamVjdDo3") { id } }',
        "{ __schema { types { name } } gallery { pagination { page } } }",
        "{ __typename gallery { pagination { page } } }",
        "{ gallery { projects { images(first: -1) { id } } } }",
        "{ gallery(page: 0) { pagination { page } } }",
        '{ projects(after: "nonsense") { totalCount } }',
    ],
)
async def test_what_cannot_be_compiled_is_run_plainly(ways: Ways, document: str) -> None:
    before = ways.compiler.compiled

    await compare(ways, document, GOOD_PAGE)

    assert ways.compiler.compiled == before
