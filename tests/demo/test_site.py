"""The files of the demo's web page over HTTP; `tests/browser` opens the page in a browser."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import parse, validate
from starlette.applications import Starlette

import gallery_gateway
from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.frontend import frontend_routes
from gallery_gateway.schema.build import build_schema, executable

pytestmark = pytest.mark.anyio

PICTURES_ORIGIN = "http://127.0.0.1:9000"
SITE = Path(gallery_gateway.__file__).parent / "demo" / "site"
FILES = sorted(path.name for path in SITE.iterdir() if path.name != "index.html")
SCRIPTS = [name for name in FILES if name.endswith(".js")]


def site(**arguments: Any) -> httpx.AsyncClient:
    routes = frontend_routes(**{"pictures_origin": PICTURES_ORIGIN, "explorer_path": "/graphql"} | arguments)
    transport = httpx.ASGITransport(Starlette(routes=routes))
    return httpx.AsyncClient(transport=transport, base_url="http://demo")


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with site() as http:
        yield http


async def config_of(http: httpx.AsyncClient) -> dict[str, Any]:
    element = re.search(r'id="config">(.*?)</script>', (await http.get("/")).text, re.DOTALL)
    assert element
    config: dict[str, Any] = json.loads(element[1])
    return config


async def test_the_page_is_at_the_root(http: httpx.AsyncClient) -> None:
    response = await http.get("/")

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", ["/", "/demo/main.js"])
async def test_the_policy_allows_this_origin_and_pictures_of_the_upstream(
    http: httpx.AsyncClient, path: str
) -> None:
    response = await http.get(path)

    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": f"'self' {PICTURES_ORIGIN}",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-cache"),
    ],
)
async def test_the_page_has_headers_for_caching_and_privacy(
    http: httpx.AsyncClient, header: str, value: str
) -> None:
    response = await http.get("/")

    assert response.headers[header] == value


@pytest.mark.parametrize("name", FILES)
async def test_every_file_of_the_site_is_served(http: httpx.AsyncClient, name: str) -> None:
    response = await http.get(f"/demo/{name}")

    assert response.status_code == 200
    assert response.content == (SITE / name).read_bytes()


@pytest.mark.parametrize("name", ["nothing.js", "index.html", "..%2fsite.py", "%2e%2e/site.py", "x/main.js"])
async def test_nothing_else_is_served(http: httpx.AsyncClient, name: str) -> None:
    response = await http.get(httpx.URL("http://demo").copy_with(raw_path=f"/demo/{name}".encode()))

    assert response.status_code == 404


async def test_the_page_has_no_inline_script_and_no_inline_style(http: httpx.AsyncClient) -> None:
    page = (await http.get("/")).text

    assert re.findall(r"<script(?![^>]*\bsrc=)([^>]*)>", page) == [' type="application/json" id="config"']
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)


async def test_the_page_loads_files_that_exist(http: httpx.AsyncClient) -> None:
    page = (await http.get("/")).text

    files = re.findall(r'(?:src|href)="(demo/[^"]*)"', page)

    assert len(files) > 3
    assert [(await http.get(f"/{file}")).status_code for file in files] == [200] * len(files)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_module_imports_modules_that_exist(name: str) -> None:
    imported = re.findall(r"from '\./([^']+)'", (SITE / name).read_text())

    assert set(imported) <= set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_text_is_ever_parsed_as_html(name: str) -> None:
    script = (SITE / name).read_text()

    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", script)


async def test_the_configuration_lists_the_callers(http: httpx.AsyncClient) -> None:
    config = await config_of(http)

    assert config["callers"] == [{"name": caller.name, "token": caller.token} for caller in CALLERS]


@pytest.mark.parametrize(
    ("path", "known"), [("/graphql", "graphql"), ("/tools/ide", "tools/ide"), (None, None)]
)
async def test_the_configuration_has_the_path_of_graphiql(path: str | None, known: str | None) -> None:
    async with site(explorer_path=path) as http:
        config = await config_of(http)

    assert config["explorer"] == known


def test_every_operation_of_the_page_is_valid_in_the_graph() -> None:
    schema = executable(build_schema())
    queries = re.findall(r"= `(.*?)`;", (SITE / "operations.js").read_text(), re.DOTALL)
    documents = queries + [query.replace("query", "subscription", 1) for query in queries]

    problems = [problem for document in documents for problem in validate(schema, parse(document))]

    assert len(documents) == 4
    assert problems == []
