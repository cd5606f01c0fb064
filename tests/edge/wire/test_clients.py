"""Clients that offer an upgrade with each request by default are served over HTTP/1.1."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gallery_gateway.demo.server import create_upstream, serve_in_thread
from tests.process.serving import Server, serve

CURL = shutil.which("curl")
# `java File.java` compiles: a runtime alone cannot.
JAVA = shutil.which("java") and shutil.which("javac")
PROGRAM = Path(__file__).with_name("Post.java")
PATIENCE_SECONDS = 60

TOKEN = "demo-ada-token"
BODY = '{"query": "{ gallery { pagination { page } } }"}'
ANSWER = {"data": {"gallery": {"pagination": {"page": 1}}}}


@pytest.fixture
def endpoint() -> Iterator[str]:
    with serve_in_thread(create_upstream(delay_seconds=0)) as url:
        yield url


@pytest.fixture
async def gateway(endpoint: str) -> AsyncIterator[Server]:
    async with serve(endpoint) as server:
        yield server


async def printed(*command: str) -> str:
    """What a program prints that ends well."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
async def test_curl_that_offers_h2c_is_answered_each_time(gateway: Server) -> None:
    assert CURL
    if "HTTP2" not in await printed(CURL, "--version"):
        pytest.skip("this curl cannot offer HTTP/2")
    headers = ("-H", "content-type: application/json", "-H", f"authorization: Bearer {TOKEN}")
    url = f"{gateway.url}/graphql"
    once = ("-sS", "--http2", "--noproxy", "*", "-w", "\n%{http_version} %{num_connects}\n", *headers, url)

    output = await printed(CURL, *once, "-d", BODY, "--next", *once, "-d", BODY)

    first, first_protocol, second, second_protocol = output.splitlines()
    assert (json.loads(first), json.loads(second)) == (ANSWER, ANSWER)
    # The connection is kept.
    assert (first_protocol, second_protocol) == ("1.1 1", "1.1 0")


@pytest.mark.skipif(JAVA is None, reason="no JDK is installed")
async def test_javas_client_that_offers_h2c_is_answered_each_time(gateway: Server) -> None:
    output = await printed(
        "java", "-XX:TieredStopAtLevel=1", str(PROGRAM), f"{gateway.url}/graphql", TOKEN, BODY
    )

    answers = [line.split(" ", 2) for line in output.splitlines()]
    assert [(version, status) for version, status, _ in answers] == [("HTTP_1_1", "200")] * 3
    assert [json.loads(body) for _, _, body in answers] == [ANSWER] * 3


@pytest.mark.parametrize("pieces", ["together", "apart"])
async def test_apaches_client_that_offers_tls_is_answered_each_time(gateway: Server, pieces: str) -> None:
    # As Apache HttpClient 5.4 writes it.
    lines = [
        "POST /graphql HTTP/1.1",
        f"Authorization: Bearer {TOKEN}",
        "Accept-Encoding: gzip, x-gzip, deflate",
        "Upgrade: TLS/1.2",
        "Connection: Upgrade",
        f"Host: 127.0.0.1:{gateway.port}",
        f"Content-Length: {len(BODY)}",
        "Content-Type: application/json; charset=UTF-8",
        "User-Agent: Apache-HttpClient/5.4 (Java/17.0.15)",
    ]
    head = "\r\n".join([*lines, "", ""]).encode()
    connection = await gateway.connect()

    answers = []
    for _ in range(3):
        await connection.send(head if pieces == "apart" else head + BODY.encode())
        if pieces == "apart":
            # Answered later than the head is read.
            await gateway.get("/livez")
            await connection.send(BODY.encode())
        answers.append(await connection.response())

    await connection.hang_up()
    assert [json.loads(body) for _, body in answers] == [ANSWER] * 3
    assert all(head.startswith("http/1.1 200 ") for head, _ in answers)
