"""It runs where nothing can be written: a read-only file system, as containers are given."""

import signal
import sys

from tests.process.serving import Server, SlowUpstream, operation, started

# Audit hooks see every file that Python opens, whoever opens it.
REPORTS_WRITING = """
import os, sys

def report(event, arguments):
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        print("written:", arguments[0], flush=True)
    elif event in {"os.mkdir", "os.rename", "os.remove", "tempfile.mkstemp"}:
        print("written:", arguments[0], flush=True)

sys.addaudithook(report)

from gallery_gateway.cli import main

sys.exit(main(sys.argv[1:]))
"""


async def test_serving_writes_no_file(endpoint: tuple[SlowUpstream, str]) -> None:
    slow, url = endpoint
    slow.release()

    async with started(
        *("serve", "--port", "0"),
        program=(sys.executable, "-B", "-c", REPORTS_WRITING),
        announced=r"running on http://([\d.]+):(\d+)",
        upstream_url=url,
    ) as server:
        answer = await ask(server)
        server.process.send_signal(signal.SIGTERM)
        await server.ended()

    assert answer[0] == 200
    assert not [line for line in server.lines if line.startswith("written:")]


async def ask(server: Server) -> tuple[int, bytes]:
    connection = await server.connect()
    await connection.send(operation())
    return await connection.answer()
