"""The budgets of the architecture: the path of a request, the size of the source, the depth of imports."""

import ast
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

import gallery_gateway
from gallery_gateway.app import create_app
from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.server import create_upstream, serve_in_thread
from gallery_gateway.settings import Settings

ROOT = Path(gallery_gateway.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))

DOCUMENT = """
query Projects($perPage: Int!) {
  gallery(perPage: $perPage) {
    pagination { total hasNext }
    projects { projectName totalImages images(first: 3) { jobId originalFilename status } }
  }
}
"""


class Trace:
    """The files of `gallery_gateway`, without the demo, in the order in which their functions are entered."""

    def __init__(self) -> None:
        self.entered: list[str] = []

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        if event != "call":
            return
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(ROOT) and not file.is_relative_to(ROOT / "demo"):
            self.entered.append(file.relative_to(ROOT).as_posix())

    @property
    def files(self) -> set[str]:
        return set(self.entered)

    @property
    def steps(self) -> list[str]:
        """The changes of file; a coroutine that resumes is entered again."""
        previous = [None, *self.entered]
        return [file for file, last in zip(self.entered, previous, strict=False) if file != last]

    def __str__(self) -> str:
        return f"{len(self.files)} files, {len(self.steps)} changes of file: {' > '.join(self.steps)}"


@contextmanager
def tracing() -> Iterator[Trace]:
    trace = Trace()
    sys.setprofile(trace)
    try:
        yield trace
    finally:
        sys.setprofile(None)


class TracedGateway:
    """The app over a real socket to `upstream`, which runs in a thread of its own and is not traced."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def post(self, *, per_page: int) -> httpx.Response:
        return await self._http.post(
            "/graphql",
            json={"query": DOCUMENT, "variables": {"perPage": per_page}},
            headers={"authorization": f"Bearer {CALLERS[0].token}"},
        )

    async def get(self, *, per_page: int) -> httpx.Response:
        return await self._http.get(
            "/graphql",
            params={"query": DOCUMENT, "variables": f'{{"perPage": {per_page}}}'},
            headers={"authorization": f"Bearer {CALLERS[0].token}", "apollo-require-preflight": "yes"},
        )

    async def trace(self, *, per_page: int) -> tuple[httpx.Response, Trace]:
        with tracing() as trace:
            response = await self.post(per_page=per_page)
        return response, trace


@asynccontextmanager
async def traced_gateway(upstream: ASGIApp) -> AsyncIterator[TracedGateway]:
    with serve_in_thread(upstream) as url:
        settings = Settings.read(_env_file=None, upstream_url=url, log_level="error")
        app = create_app(settings, owns_process=True)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
        ):
            yield TracedGateway(http)


def rate_limited(calls: list[str]) -> ASGIApp:
    async def answer(request: Request) -> Response:
        calls.append(request.url.path)
        return Response(status_code=429, headers={"retry-after": "60"})

    return Starlette(routes=[Route("/gallery/by-project", answer)])


async def test_a_cold_request_enters_at_most_35_files_and_changes_file_at_most_100_times() -> None:
    async with traced_gateway(create_upstream()) as gateway:
        # Prepares the document, and opens a connection.
        await gateway.post(per_page=19)
        traced = [await gateway.trace(per_page=size) for size in (20, 21, 22)]
    # A timer may run within a request.
    response, trace = min(traced, key=lambda each: len(each[1].steps))

    assert len(response.json()["data"]["gallery"]["projects"]) in {20, 21, 22}
    assert "upstream/transport.py" in trace.files
    assert len(trace.files) <= 35, str(trace)
    assert len(trace.steps) <= 100, str(trace)


async def test_a_hot_request_enters_fewer_files_than_a_cold_one_and_no_upstream_module() -> None:
    async with traced_gateway(create_upstream()) as gateway:
        await gateway.post(per_page=19)
        cold, cold_trace = await gateway.trace(per_page=20)
        hot, hot_trace = await gateway.trace(per_page=20)

    assert hot.json() == cold.json()
    assert len(hot_trace.files) < len(cold_trace.files), str(hot_trace)
    assert len(hot_trace.steps) < len(cold_trace.steps), str(hot_trace)
    assert "upstream/transport.py" not in hot_trace.files


async def test_a_get_prepares_its_document_no_more_often_than_a_post() -> None:
    async with traced_gateway(create_upstream()) as gateway:
        await gateway.post(per_page=19)
        _, post = await gateway.trace(per_page=20)
        with tracing() as get:
            response = await gateway.get(per_page=21)

    assert response.json()["data"]["gallery"]["projects"]
    assert get.entered.count("execution/documents.py") == post.entered.count("execution/documents.py") > 0


async def test_a_remembered_429_enters_at_most_20_files() -> None:
    calls: list[str] = []
    async with traced_gateway(rate_limited(calls)) as gateway:
        await gateway.post(per_page=20)
        response, trace = await gateway.trace(per_page=20)

    assert response.json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    assert len(calls) == 1
    assert len(trace.files) <= 20, str(trace)


def test_the_source_has_at_most_120_files_and_21_100_lines() -> None:
    lines = sum(file.read_bytes().count(b"\n") for file in SOURCES)

    assert len(SOURCES) <= 120
    assert lines <= 21_100


def test_there_are_at_most_48_settings() -> None:
    settings = len(Settings.model_fields)

    # 42, and what the networks of others need: a proxy, an API gateway's key, a path prefix, and three files,
    # because Kubernetes and cert-manager mount authority, certificate and key as three.
    assert settings <= 48


def imports_within(package: str) -> dict[str, set[str]]:
    """The modules of a package, and those of the same package that each of them imports."""
    prefix = f"gallery_gateway.{package}."
    imports: dict[str, set[str]] = {}
    for file in (ROOT / package).glob("*.py"):
        # Imports for type checking only are inside an `if`, and left out.
        statements: list[Any] = ast.parse(file.read_text(encoding="utf-8")).body
        names = [node.module or "" for node in statements if isinstance(node, ast.ImportFrom)]
        imports[file.stem] = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    return imports


def test_the_modules_of_the_gallery_lie_on_at_most_8_floors() -> None:
    imports = imports_within("gallery")

    @cache
    def floor_of(module: str) -> int:
        return 1 + max(map(floor_of, imports[module]), default=0)

    floors = {module: floor_of(module) for module in imports}

    assert len(imports["gallery"]) > 1
    assert max(floors.values()) <= 8, floors


@pytest.mark.parametrize("module", ["hidden", "seen"])
def test_a_trace_sees_the_gateway_and_neither_the_demo_nor_other_code(module: str) -> None:
    name = {"hidden": ROOT / "demo" / "server.py", "seen": ROOT / "cli.py"}[module]
    code = compile("def entered(): pass\nentered()\n", str(name), "exec")

    with tracing() as trace:
        exec(code, {})  # noqa: S102  # our own words

    assert trace.files == ({"cli.py"} if module == "seen" else set())
