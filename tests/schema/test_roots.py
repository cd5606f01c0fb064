"""Root fields share pages, and the rendered bytes of a connection are kept with its page."""

from typing import Any

import pytest

from gallery_gateway.execution.compiler import Compiler
from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.executor import Executor, GraphQLResponse
from gallery_gateway.execution.persisted import GraphQLRequest
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import Accepts
from gallery_gateway.gallery.pagination import CursorPosition
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.usage import Budget, OperationUsage
from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.schema.context import OperationContext
from gallery_gateway.schema.cursors import encode_cursor, list_hash
from gallery_gateway.schema.roots import COMPILED_ROOTS
from tests.fakes import TOKEN, FakeUpstream, build_gallery, document_limits
from tests.gallery.endpoints import listing

SCHEMA = executable(build_schema())
DOCUMENTS = Documents(SCHEMA, document_limits(), max_bytes=100_000)
EXECUTOR = Executor(SCHEMA, DOCUMENTS, Compiler(SCHEMA, COMPILED_ROOTS))
CALLER = Caller(TOKEN, secret=b"s" * 32)

# No page holds its project and the hundred behind it.
CURSOR = encode_cursor(CursorPosition(0, 1, 45), list_hash(GalleryRequest()))


@pytest.fixture
def gallery() -> Gallery:
    upstream = FakeUpstream()
    upstream.handler = listing(*[1] * 45)
    return build_gallery(upstream, ttl_seconds=30)


async def run(gallery: Gallery, document: str) -> GraphQLResponse:
    usage = OperationUsage(Budget(max_calls=20, max_images=100_000))
    loader = GalleryLoader(gallery, CALLER, usage, narrows=True, accepts=Accepts())
    context = OperationContext(usage, loader)
    operation = EXECUTOR.prepare(GraphQLRequest(query=document), request_id="r")
    return await EXECUTOR.execute(operation, context, request_id="r")


@pytest.mark.parametrize("document", ["{ projects { nodes { id } } }", "{ projects { totalCount } }"])
async def test_a_connection_of_one_page_is_kept_once_it_is_found_again(
    gallery: Gallery, document: str
) -> None:
    answers = [await run(gallery, document) for _ in range(3)]

    cached = answers[-1].cached and answers[-1].cached.get()
    assert cached
    assert cached[0] == answers[0].body == answers[1].body == answers[2].body


async def test_two_connections_of_one_page_are_kept_apart(gallery: Gallery) -> None:
    await run(gallery, "{ projects(first: 40) { nodes { id } } }")
    for _ in range(2):
        await run(gallery, "{ projects(first: 2) { nodes { id } } }")

    answer = await run(gallery, "{ projects(first: 3) { nodes { id } } }")

    assert answer.body.count(b'"id"') == 3


async def test_a_connection_of_two_pages_is_not_kept() -> None:
    upstream = FakeUpstream()
    upstream.handler = listing(*[1] * 145)
    gallery = build_gallery(upstream, ttl_seconds=30)
    document = f'{{ projects(first: 100, after: "{CURSOR}") {{ nodes {{ id }} }} }}'

    answers = [await run(gallery, document) for _ in range(3)]

    assert answers[0].body.count(b'"id"') == 100
    assert answers[0].body == answers[2].body
    assert answers[2].cached is None


async def test_two_fields_of_one_page_cost_one_upstream_request(ask: Any, upstream: FakeUpstream) -> None:
    answer = await ask("{ gallery { projects { projectName } pagination { total } } }")

    assert answer["data"]["gallery"]["pagination"] == {"total": 1}
    assert len(upstream.requests) == 1


DAMAGED = [b"", b"null", b"[]", b"{}", b'{"pagination": null, "projects": null}', b"<html>", b"\xff"]


@pytest.mark.parametrize("field", ["gallery { pagination { total } }", "projects { totalCount }"])
@pytest.mark.parametrize("status", [200, 204, 302, 400, 401, 402, 403, 404, 422, 429, 500, 503])
@pytest.mark.parametrize("body", DAMAGED)
async def test_a_list_is_null_only_beside_an_error_as_semantic_non_null_says(
    ask: Any, upstream: FakeUpstream, field: str, status: int, body: bytes
) -> None:
    upstream.answer(status, content=body)

    answer = await ask(f"{{ list: {field} }}")

    has_error = any(error["path"] == ["list"] for error in answer.get("errors", ()))
    assert (answer["data"]["list"] is None) == has_error
