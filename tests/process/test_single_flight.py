import asyncio
import json

from tests.process.serving import Connection, Server, SlowUpstream, operation

COUNT = 200


async def send_identical_operations(server: Server, slow: SlowUpstream) -> list[Connection]:
    """The first is waiting for the endpoint before the others are sent."""
    connections = [await server.connect() for _ in range(COUNT)]
    await connections[0].send(operation())
    await slow.arrived(1)
    for connection in connections[1:]:
        await connection.send(operation())
    await taken_in(server)
    return connections


async def taken_in(server: Server) -> None:
    """Waits until the gateway has seen all that was sent before: it reads sockets in turn."""
    for _ in range(5):
        await server.get("/livez")


async def totals(connections: list[Connection]) -> list[int]:
    answers = await asyncio.gather(*(connection.answer() for connection in connections))
    return [json.loads(body)["data"]["gallery"]["pagination"]["total"] for _, body in answers]


async def test_identical_operations_over_many_connections_cost_one_upstream_request(
    server: Server, slow: SlowUpstream
) -> None:
    connections = await send_identical_operations(server, slow)

    slow.release()

    assert await totals(connections) == [1] * COUNT
    assert len(slow.requests) == 1


async def test_the_first_client_hanging_up_changes_nothing_for_the_rest(
    server: Server, slow: SlowUpstream
) -> None:
    first, *rest = await send_identical_operations(server, slow)

    await first.hang_up()
    await taken_in(server)
    slow.release()

    assert await totals(rest) == [1] * (COUNT - 1)
    assert len(slow.requests) == 1
    assert "Traceback" not in "".join(server.lines)
