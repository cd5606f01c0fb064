"""Clients that hang up: each operation ends with one line, whatever it was doing."""

import signal

from tests.process.serving import Server, SlowUpstream, operation


async def test_a_client_that_hangs_up_within_its_body_is_one_cancelled_operation(server: Server) -> None:
    connection = await server.connect()
    await connection.send(operation()[:-5])
    await server.get("/livez")

    await connection.hang_up()

    await server.printed('"outcome":"cancelled"')
    server.process.send_signal(signal.SIGTERM)
    await server.ended()
    assert await server.outcomes() == ["cancelled"]


async def test_an_operation_whose_client_hangs_up_while_it_waits_runs_to_its_end(
    server: Server, slow: SlowUpstream
) -> None:
    connection = await server.connect()
    await connection.send(operation())
    await slow.arrived(1)

    await connection.hang_up()
    await server.get("/livez")
    slow.release()

    await server.printed('"operation.served"')
    server.process.send_signal(signal.SIGTERM)
    await server.ended()
    assert await server.outcomes() == ["ok"]
