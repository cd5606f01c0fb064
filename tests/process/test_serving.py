import asyncio
import json

import pytest

from tests.process.serving import Server, SlowUpstream, operation, serve

TYPENAME = operation("{ __typename }")


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_it_starts_and_is_well_while_the_endpoint_is_down(lonely_server: Server, path: str) -> None:
    status, _ = await lonely_server.get(path)

    assert status == 200


async def test_an_endpoint_that_is_down_is_told_to_the_client(lonely_server: Server) -> None:
    connection = await lonely_server.connect()
    await connection.send(operation())

    status, body = await connection.answer()

    assert status == 200
    assert json.loads(body)["errors"][0]["extensions"] == {"code": "UPSTREAM_UNAVAILABLE"}


@pytest.mark.parametrize(
    "part",
    [b"", b"POST /gra", TYPENAME[:60], TYPENAME[:-1]],
    ids=["nothing", "half a line", "half a head", "half a body"],
)
async def test_a_request_that_is_not_finished_holds_up_nobody_else(
    lonely_server: Server, part: bytes
) -> None:
    unfinished = [await lonely_server.connect() for _ in range(20)]
    for connection in unfinished:
        await connection.send(part)
    other = await lonely_server.connect()

    await other.send(TYPENAME)

    assert await other.answer() == (200, b'{"data":{"__typename":"Query"}}')
    await asyncio.gather(*(connection.hang_up() for connection in unfinished))


async def test_a_request_that_comes_slowly_is_answered_in_the_end(lonely_server: Server) -> None:
    connection = await lonely_server.connect()

    for at in range(len(TYPENAME)):
        await connection.send(TYPENAME[at : at + 1])

    assert await connection.answer() == (200, b'{"data":{"__typename":"Query"}}')


async def test_an_operation_that_waits_for_the_endpoint_holds_up_nobody_else(
    server: Server, slow: SlowUpstream
) -> None:
    waiting = await server.connect()
    await waiting.send(operation())
    await slow.arrived(1)
    other = await server.connect()

    await other.send(TYPENAME)

    assert await other.answer() == (200, b'{"data":{"__typename":"Query"}}')
    await waiting.hang_up()


async def test_a_body_that_is_announced_as_too_large_is_refused_before_it_is_sent(
    lonely_server: Server,
) -> None:
    connection = await lonely_server.connect()

    await connection.send(
        b"POST /graphql HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n"
        b"content-length: 99999999999\r\n\r\n"
    )

    status, _ = await connection.answer()
    assert status == 413


@pytest.mark.parametrize(
    "request_text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /graphql HTTP/1.1\r\nhost: gateway\r\ncontent-length: x\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nhost: gateway\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"NO HTTP\r\n\r\n",
    ],
    ids=["TLS", "no length", "two lengths", "no HTTP"],
)
async def test_what_is_not_http_leaves_the_server_well(lonely_server: Server, request_text: bytes) -> None:
    connection = await lonely_server.connect()
    await connection.send(request_text)

    status, _ = await lonely_server.get("/livez")

    assert status == 200
    await connection.hang_up()


async def test_an_answer_under_way_is_given_however_late_the_next_request_is(
    endpoint: tuple[SlowUpstream, str],
) -> None:
    slow, url = endpoint
    async with serve(url, request_timeout_seconds=1) as server:
        connection, late = await server.connect(), await server.connect()
        await connection.send(operation() + TYPENAME[:40])
        await slow.arrived(1)
        await late.send(TYPENAME[:40])
        # By then the time of the others is over as well.
        assert (await late.answer())[0] == 408
        slow.release()

        head, _ = await connection.response()

        assert head.startswith("http/1.1 200 ")
        assert await connection.is_over()
        await connection.hang_up()
