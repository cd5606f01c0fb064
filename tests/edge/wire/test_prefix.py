"""A path prefix in front of a real nginx that strips it, and of one that does not."""

import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest

from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.server import create_upstream, serve_in_thread
from tests.process.serving import serve
from tests.scaling.fleet import free_ports
from tests.scaling.proxy import PROGRAM, configuration, nginx

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")

PREFIX = "/shop/gallery"
AUTHORIZATION = {"authorization": f"Bearer {CALLERS[0].token}"}
TOTAL = {"query": "{ gallery { pagination { total } } }"}


@pytest.fixture(params=["stripped", "kept"])
async def prefixed(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of nginx, whose location is the prefix; other paths are nobody's."""
    is_stripped = request.param == "stripped"
    settings = {} if is_stripped else {"path_prefix": PREFIX}

    def configured(port: int, gateways: Sequence[int]) -> str:
        text = configuration(port, gateways).replace("location / {", f"location {PREFIX}/ {{")
        backend = "proxy_pass http://gallery_gateway"
        # A path in the address replaces that of the location.
        return text.replace(f"{backend};", f"{backend}/;") if is_stripped else text

    (port,) = free_ports(1)
    with serve_in_thread(create_upstream()) as upstream_url:
        async with (
            serve(upstream_url, **settings) as gateway,
            nginx(tmp_path, port, [gateway.port], configured=configured) as proxy,
            httpx.AsyncClient(base_url=f"{proxy.url}{PREFIX}") as http,
        ):
            yield http


async def test_everything_is_below_the_prefix(prefixed: httpx.AsyncClient) -> None:
    first, again = [await prefixed.post("/graphql", json=TOTAL, headers=AUTHORIZATION) for _ in range(2)]
    slash = await prefixed.post("/graphql/", json=TOTAL, headers=AUTHORIZATION)
    health = await prefixed.get("/readyz")
    nothing = await prefixed.get("/nothing")

    assert first.json() == again.json() == slash.json()
    assert first.json()["data"]["gallery"]["pagination"]["total"] > 0
    assert health.json() == {"status": "ready"}
    assert nothing.status_code == 404


async def test_the_page_finds_its_files(prefixed: httpx.AsyncClient) -> None:
    page = await prefixed.get("/graphql", headers={"accept": "text/html"})
    moved = await prefixed.get("/graphql/", headers={"accept": "text/html"}, follow_redirects=True)
    sources = re.findall(r"""(?:src|href)=["']?([^"' >]+\.(?:js|css))""", page.text)
    files = [await prefixed.get(str(page.url.join(source))) for source in sources]

    assert moved.text == page.text
    assert len(files) >= 2
    assert {file.status_code for file in files} == {200}


async def test_health_checks_come_without_the_prefix() -> None:
    async with serve("http://127.0.0.1:9", path_prefix=PREFIX) as gateway:
        alive = await gateway.get("/livez")
        prefixed = await gateway.get(f"{PREFIX}/livez")
        other = await gateway.get(f"{PREFIX}x/livez")
        nothing = await gateway.get(f"{PREFIX}/nothing")

    assert alive[0] == prefixed[0] == 200
    assert other[0] == 404
    assert f"{PREFIX}/graphql".encode() in nothing[1]


async def test_a_head_is_no_replay_and_has_no_body() -> None:
    methods = ["HEAD", "HEAD", "HEAD", "HEAD", "GET", "GET", "GET", "HEAD", "GET"]
    with serve_in_thread(create_upstream()) as upstream_url:
        async with serve(upstream_url, csrf_prevention="false") as gateway:
            connection = await gateway.connect()
            text = (
                "{method} /graphql?query=%7Bgallery%7Bpagination%7Btotal%7D%7D%7D HTTP/1.1\r\n"
                f"host: gateway\r\nauthorization: {AUTHORIZATION['authorization']}\r\n\r\n"
            )
            answers = []
            for method in methods:
                await connection.send(text.format(method=method).encode())
                answers.append(await (connection.response() if method == "GET" else connection.head()))
            await connection.hang_up()

    lengths = {line for head, _ in answers for line in head.splitlines() if line.startswith("content-length")}
    assert len(lengths) == 1
    assert len({body for _, body in answers if body}) == 1
    assert [bool(body) for _, body in answers] == [method == "GET" for method in methods]
