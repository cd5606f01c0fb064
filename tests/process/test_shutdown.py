import asyncio
import json
import signal

import pytest

from tests.fakes import TOKEN
from tests.process.serving import PATIENCE_SECONDS, Connection, Server, SlowUpstream, operation, serve

COUNT = 20


async def send_operations(server: Server, slow: SlowUpstream) -> list[Connection]:
    """Sends one operation of each caller, and waits until the upstream has a request of each."""
    connections = [await server.connect() for _ in range(COUNT)]
    for number, connection in enumerate(connections):
        await connection.send(operation(token=f"{TOKEN}-{number}"))
    await slow.arrived(COUNT)
    return connections


async def stop(server: Server) -> None:
    """Sends SIGTERM, and waits until nobody new is let in and those who are in are waited for."""
    server.process.send_signal(signal.SIGTERM)
    await server.printed("Waiting for connections to close")
    async with asyncio.timeout(10):
        while True:
            try:
                connection = await server.connect()
            except OSError:
                return
            await connection.hang_up()


async def test_operations_under_way_are_answered_in_full_after_sigterm(
    server: Server, slow: SlowUpstream
) -> None:
    connections = await send_operations(server, slow)

    await stop(server)
    slow.release()
    answers = await asyncio.gather(*(connection.answer() for connection in connections))

    assert [status for status, _ in answers] == [200] * COUNT
    assert {json.loads(body)["data"]["gallery"]["pagination"]["total"] for _, body in answers} == {1}


async def test_new_connections_are_refused_after_sigterm(server: Server, slow: SlowUpstream) -> None:
    connections = await send_operations(server, slow)

    await stop(server)

    with pytest.raises(ConnectionRefusedError):
        await server.connect()
    slow.release()
    await asyncio.gather(*(connection.answer() for connection in connections))


async def test_it_ends_by_itself_once_all_is_answered(server: Server, slow: SlowUpstream) -> None:
    connections = await send_operations(server, slow)

    await stop(server)
    slow.release()
    await asyncio.gather(*(connection.answer() for connection in connections))

    await server.ended()
    assert "Application shutdown complete" in "".join(server.lines)
    assert "Traceback" not in "".join(server.lines)


async def test_an_end_that_was_asked_for_has_exit_status_0(server: Server) -> None:
    server.process.send_signal(signal.SIGTERM)

    assert await server.ended() == 0


async def test_idle_connections_do_not_hold_up_the_end(server: Server) -> None:
    unused = await server.connect()
    half_sent = await server.connect()
    await half_sent.send(b"POST /graphql HTTP/1.1\r\nhost: gate")
    await server.get("/livez")

    server.process.send_signal(signal.SIGTERM)

    # Well below the grace of two seconds: nothing was waited for.
    await server.ended(within_seconds=1.5)
    await unused.hang_up()
    await half_sent.hang_up()


async def test_an_operation_without_end_is_given_up_after_the_grace(
    server: Server, slow: SlowUpstream
) -> None:
    connection = await server.connect()
    await connection.send(operation())
    await slow.arrived(1)

    await stop(server)

    status, body = await connection.answer()
    assert status == 503
    assert json.loads(body)["errors"][0]["extensions"] == {"code": "UPSTREAM_UNAVAILABLE"}
    await server.ended(within_seconds=8)
    assert await server.outcomes() == ["cancelled"]


async def test_a_body_without_end_is_given_up_after_the_grace(server: Server) -> None:
    connection = await server.connect()
    await connection.send(operation()[:-5])
    await server.get("/livez")

    server.process.send_signal(signal.SIGTERM)

    await server.ended(within_seconds=8)
    assert await server.outcomes() == ["cancelled"]
    await connection.hang_up()


async def test_with_a_delay_it_serves_without_being_ready_until_it_is_told_twice(
    endpoint: tuple[SlowUpstream, str],
) -> None:
    async with serve(endpoint[1], shutdown_delay_seconds=120, shutdown_grace_seconds=2) as server:
        staying = await server.connect()
        await staying.send(operation("{ __typename }"))
        before, _ = await staying.response()
        server.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await server.get("/readyz"))[0] != 503:
                pass
        alive, _ = await server.get("/livez")
        await staying.send(operation("{ __typename }"))
        after, body = await staying.response()

        assert alive == 200
        assert body == b'{"data":{"__typename":"Query"}}'
        assert (before.count("connection: close"), after.count("connection: close")) == (0, 1)
        assert await staying.is_over()
        server.process.send_signal(signal.SIGTERM)
        assert await server.ended() == 0
    await staying.hang_up()


async def test_the_end_comes_by_itself_after_the_delay(endpoint: tuple[SlowUpstream, str]) -> None:
    async with serve(endpoint[1], shutdown_delay_seconds=0.2) as server:
        server.process.send_signal(signal.SIGTERM)

        assert await server.ended() == 0
