"""A client whose request is rejected can read the response, even while it still sends."""

import asyncio

import pytest

from tests.edge.replays.echo_server import MAX_HEAD_BYTES, Client, Served
from tests.process.serving import PATIENCE_SECONDS

LINGER_SECONDS = 2.0
LONG_HEAD = b"POST / HTTP/1.1\r\nx-a: " + b"a" * MAX_HEAD_BYTES


async def rejected(server: Served) -> Client:
    """A client that has read the complete response to a head that is too long, and the end of the stream."""
    client = await server.connect()
    head, _ = await client.ask(LONG_HEAD)
    assert head.startswith("http/1.1 431 ")
    assert "\r\nconnection: close\r\n" in head
    assert await client.is_over()
    return client


async def send_for_ever(server: Served, client: Client) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            await client.send(b"a")
            await server.has_read()


async def test_a_rejection_ends_the_responses_but_leaves_the_connection_open_for_the_request(
    server: Served,
) -> None:
    client = await rejected(server)

    # A closed socket would answer the first of these by a reset, and the next would raise.
    for _ in range(5):
        await client.send(b"a" * 1_000)
        await server.has_read()


async def test_a_rejected_client_that_goes_on_sending_is_cut_off_in_the_end(server: Served) -> None:
    now = asyncio.get_running_loop().time
    started = now()
    client = await rejected(server)

    with pytest.raises(ConnectionError):
        await send_for_ever(server, client)

    # The loop counts in thousandths.
    assert now() - started > LINGER_SECONDS - 0.01


async def test_what_a_rejected_client_goes_on_sending_is_not_read_as_a_request(
    server: Served,
) -> None:
    client = await rejected(server)
    before = server.total_requests

    await client.send(b"\r\n\r\nGET /livez HTTP/1.1\r\nhost: gateway\r\n\r\n")
    await server.has_read()

    # The one that `has_read` sends.
    assert server.total_requests == before + 1


@pytest.mark.parametrize(("surplus", "status"), [(0, "200"), (1, "431")])
async def test_the_limit_of_a_head_counts_its_url_names_and_values(
    server: Served, surplus: int, status: str
) -> None:
    lines = [(b"host", b"gateway"), (b"content-length", b"2"), (b"x-a", b"")]
    counted = len(b"/") + sum(len(name) + len(value) for name, value in lines)
    lines[-1] = b"x-a", b"a" * (MAX_HEAD_BYTES - counted + surplus)
    client = await server.connect()

    raw_lines = b"".join(b"%b: %b\r\n" % line for line in lines)
    head, _ = await client.ask(b"POST / HTTP/1.1\r\n" + raw_lines + b"\r\nhi")

    assert head.startswith(f"http/1.1 {status} ")
