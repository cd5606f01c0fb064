"""A bug in the compiled path costs time and leaves a trace; what is expected costs time alone.

A large response is written while no other large page is worked on.
"""

import asyncio
import gc
from itertools import cycle
from typing import Any

import msgspec
import pytest

from gallery_gateway.errors import ForbiddenError
from gallery_gateway.execution.compiler import Compiler, Load, LoadedRoot, PrepareLoad
from gallery_gateway.execution.documents import Documents
from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.upstream.decoding import parse_page
from tests.fakes import document_limits, page_body
from tests.logging_to import Written

SCHEMA = executable(build_schema())
DOCUMENTS = Documents(SCHEMA, document_limits(), max_bytes=1_000_000)


def failing_with(*errors: Exception) -> Compiler:
    """A compiler whose `gallery` fails to load, with each of these in turn."""
    turns = cycle(errors)

    async def load(_context: object, _key: str) -> object:
        raise next(turns)

    def prepare(_arguments: object) -> Load:
        return load  # type: ignore[return-value]  # it never returns

    def root(_selection: object, _plan: object) -> PrepareLoad:
        return prepare

    return Compiler(SCHEMA, {"gallery": root})


async def run(
    compiler: Compiler, text: str = "query Dashboard { gallery { pagination { total } } }"
) -> object:
    prepared = DOCUMENTS.prepare(text)
    return await compiler.run(prepared, prepared.operation(None), None, None)


async def test_a_bug_is_left_to_plain_execution_and_logged_once_with_its_traceback(logged: Written) -> None:
    compiler = failing_with(ZeroDivisionError("a bug"))

    answers = [await run(compiler) for _ in range(5)]

    assert answers == [None] * 5
    first, *traceback = logged.getvalue().splitlines()
    assert first.endswith("error execution.fallback operation=Dashboard")
    assert traceback[-1] == "ZeroDivisionError: a bug"
    assert logged.getvalue().count("execution.fallback") == 1


@pytest.mark.parametrize("error", [ForbiddenError("no")])
async def test_an_expected_error_is_left_to_plain_execution_without_a_word(
    logged: Written, error: Exception
) -> None:
    assert await run(failing_with(error)) is None
    assert logged.getvalue() == ""


@pytest.mark.parametrize("error", [TypeError("a bug"), KeyError("a bug"), RecursionError("a bug")])
async def test_a_bug_while_planning_is_logged_once_too(logged: Written, error: Exception) -> None:
    def root(_selection: object, _plan: object) -> PrepareLoad:
        raise error

    compiler = Compiler(SCHEMA, {"gallery": root})

    assert [await run(compiler) for _ in range(5)] == [None] * 5
    assert logged.getvalue().count("execution.fallback") == 1


async def test_bugs_of_ever_new_kinds_are_logged_a_hundred_times_at_most(logged: Written) -> None:
    bugs: list[Exception] = [type(f"Bug{number}", (Exception,), {})() for number in range(150)]
    compiler = failing_with(*bugs)

    for _ in bugs:
        await run(compiler)

    assert logged.getvalue().count("execution.fallback") == 100


async def test_a_refused_argument_leaves_no_load_that_was_never_awaited(ask: Any) -> None:
    document = """query One($text: String) {
      good: gallery { pagination { total } }
      bad: gallery(search: $text) { pagination { total } }
    }"""

    answer = await ask(document, {"text": "x" * 501})
    gc.collect()

    assert answer["data"] == {"good": {"pagination": {"total": 1}}, "bad": None}


async def test_large_responses_are_written_one_after_another_and_small_ones_at_once() -> None:
    page = parse_page(msgspec.json.encode(page_body()))

    async def load(_context: object, _key: str) -> LoadedRoot:
        return LoadedRoot(page, images=1, source=None, staleness=None)

    def root(_selection: object, _plan: object) -> PrepareLoad:
        return lambda _arguments: load

    large_pages = asyncio.Lock()
    small = Compiler(SCHEMA, {"gallery": root}, large_pages=large_pages)
    large = Compiler(SCHEMA, {"gallery": root}, large_pages=large_pages, sliced_images=0)
    await large_pages.acquire()
    waiting = asyncio.create_task(run(large))

    written = await run(small)
    for _ in range(20):
        await asyncio.sleep(0)
    waits = not waiting.done()
    large_pages.release()

    assert waits
    assert await waiting == written == (b'{"data":{"gallery":{"pagination":{"total":1}}}}', None)
