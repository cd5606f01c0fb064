"""Every block of code in `docs/embedding.md` runs, and does what the page says."""

import asyncio
import logging
import re
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from gallery_gateway import Settings, create_app
from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.server import create_upstream, serve_in_thread
from tests.process.serving import PATIENCE_SECONDS
from tests.progress import Events

PAGE = (Path(__file__).parents[1] / "docs" / "embedding.md").read_text(encoding="utf-8")
BLOCKS = [
    dedent(block) for block in re.findall(r"^ *```python\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
]
TOKEN = CALLERS[0].token
BODY = {"query": "{ gallery(perPage: 2) { projects { projectName } } }"}


@pytest.fixture(scope="module")
def upstream_url() -> Iterator[str]:
    with serve_in_thread(create_upstream()) as url:
        yield url


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, upstream_url: str) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_UPSTREAM_URL", upstream_url)
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> dict[str, Any]:
    """The names that the only block with these words defines."""
    (block,) = (block for block in BLOCKS if all(word in block for word in words))
    # Strawberry looks the names of types up in their module.
    module = sys.modules["embedding_page"] = ModuleType("embedding_page")
    exec(compile(block, "docs/embedding.md", "exec"), vars(module))  # noqa: S102  # our own page
    return vars(module)


async def post(app: Starlette, path: str, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://outer") as http,
    ):
        sent = {"authorization": f"Bearer {TOKEN}", **headers}
        return await http.post(path, json=BODY, headers={name: sent[name] for name in sent if sent[name]})


def names_in(response: httpx.Response) -> list[str]:
    return [project["projectName"] for project in response.json()["data"]["gallery"]["projects"]]


@pytest.mark.parametrize(
    "words", [("FastAPI(", "app.mount"), ("Starlette(", "Mount(")], ids=["FastAPI", "Starlette"]
)
async def test_the_mounted_app_answers(words: tuple[str, ...]) -> None:
    response = await post(run(*words)["app"], "/gallery/graphql")

    assert len(names_in(response)) == 2


async def test_the_middleware_guards_operations() -> None:
    app = run("only_staff")["app"]

    refused = await post(app, "/graphql")
    allowed = await post(app, "/graphql", **{"x-staff": "yes"})

    assert refused.status_code == 403
    assert len(names_in(allowed)) == 2


async def test_another_server_breaks_subscriptions_off_after_its_grace_period() -> None:
    app = run("only_staff")["app"]
    app.add_middleware(GZipMiddleware)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    headers = {"authorization": f"Bearer {TOKEN}", "accept": "text/event-stream", "x-staff": "yes"}
    body = {"query": "subscription { gallery(perPage: 2) { projects { projectName } } }"}
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/graphql"
    serving = asyncio.create_task(server.serve(sockets=[listener]))

    async with (
        httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http,
        http.stream("POST", url, json=body, headers=headers) as response,
    ):
        events = Events(response)
        event = await events.next()
        server.should_exit, ended_at = True, time.monotonic()
        with pytest.raises(httpx.RemoteProtocolError):
            await events.next()
    await asyncio.wait_for(serving, PATIENCE_SECONDS)

    assert len(event["data"]["gallery"]["projects"]) == 2
    assert time.monotonic() - ended_at >= 1


async def test_the_client_fetches_projects(upstream_url: str) -> None:
    names = await run("GalleryClient(")["project_names"](upstream_url, TOKEN)

    assert len(names) == 5


async def test_middleware_can_add_the_token_of_a_user() -> None:
    class SessionToken:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                token = f"Bearer {TOKEN}".encode()
                scope = {**scope, "headers": [*scope["headers"], (b"authorization", token)]}
            await self._app(scope, receive, send)

    app = create_app()
    app.add_middleware(SessionToken)

    response = await post(app, "/graphql", authorization="")

    assert len(names_in(response)) == 2


async def test_the_subgraph_resolves_a_reference() -> None:
    schema = run("strawberry")["schema"]
    document = (
        '{ _entities(representations: [{__typename: "Project", id: "P7"}]) { ... on Project { note } } }'
    )

    result = await schema.execute(document)

    assert result.errors is None
    assert result.data == {"_entities": [{"note": "Note on P7"}]}


def test_the_lines_on_logging_run() -> None:
    root, own = logging.getLogger(), logging.getLogger("gallery_gateway")
    before = root.level, list(root.handlers), own.level
    try:
        run("basicConfig")

        assert own.isEnabledFor(logging.INFO)
    finally:
        root.setLevel(before[0])
        root.handlers = before[1]
        own.setLevel(before[2])


def test_every_block_is_run_here() -> None:
    assert len(BLOCKS) == 6


def test_every_setting_that_is_named_exists() -> None:
    named = {name.lower() for name in re.findall(r"`([A-Z]+(?:_[A-Z]+)*)`", PAGE)}

    assert named
    assert named <= set(Settings.model_fields)
