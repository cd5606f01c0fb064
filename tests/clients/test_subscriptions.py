"""The clients of frontends subscribe to progress, stop, are refused, and go on after a restart."""

import asyncio
import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from gallery_gateway.demo.callers import CALLERS
from tests.clients.programs import PAGE, TOKEN
from tests.clients.watching import watching
from tests.process.serving import PATIENCE_SECONDS, demo
from tests.telemetry.scraping import free_port

# These subscribe again when their stream has ended before all is done; the others say that it has.
LASTING = ("graphql-sse", "apollo", "urql", "eventsource")
SINGLE = ("urql-fetch", "fetch")
CURL_LINES = [line for line in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL) if "curl -N" in line]


async def test_every_client_sees_progress_and_closes_its_stream_when_it_unsubscribes(compiled: Path) -> None:
    clients = LASTING + SINGLE
    async with demo() as server, watching(clients, server.url, TOKEN, folder=compiled) as watchers:
        await asyncio.gather(*(watcher.see_answers(2) for watcher in watchers.values()))

        for watcher in watchers.values():
            watcher.unsubscribe()
        # They are still running.
        await server.printed(r"subscription.ended.*disconnected", times=len(clients))

        for watcher in watchers.values():
            watcher.release()
        lines = {name: await watcher.read_all() for name, watcher in watchers.items()}
    assert not [line for each in lines.values() for line in each if "failed" in line or "errors" in line]
    assert all(watcher.answers[0] != watcher.answers[1] for watcher in watchers.values())


async def test_every_client_gets_the_code_of_a_refused_token_and_the_end(compiled: Path) -> None:
    clients = LASTING + SINGLE
    async with demo() as server, watching(clients, server.url, "unknown", folder=compiled) as watchers:
        lines = {name: await watcher.read_all() for name, watcher in watchers.items()}

    assert lines.keys() == set(clients)
    assert all(each == [{"errors": ["UNAUTHENTICATED"]}, {"complete": True}] for each in lines.values())


@pytest.mark.parametrize("reason", [signal.SIGTERM, signal.SIGKILL], ids=["ends", "is killed"])
async def test_clients_go_on_when_the_gateway_ends_and_starts_again(
    compiled: Path, reason: signal.Signals
) -> None:
    port = free_port()
    async with watching(LASTING, f"http://127.0.0.1:{port}", TOKEN, folder=compiled) as watchers:
        async with demo(port=port) as server:
            await asyncio.gather(*(watcher.see_answers(1) for watcher in watchers.values()))
            server.process.send_signal(reason)
            await server.ended()

        async with demo(port=port):
            await asyncio.gather(*(watcher.see_answers(1) for watcher in watchers.values()))

    assert not [line for watcher in watchers.values() for line in watcher.lines if line.keys() != {"data"}]


@pytest.mark.parametrize(
    ("reason", "seen"), [(signal.SIGTERM, "complete"), (signal.SIGKILL, "failed")], ids=["ends", "is killed"]
)
async def test_clients_that_do_not_subscribe_again_say_that_the_stream_has_ended(
    compiled: Path, reason: signal.Signals, seen: str
) -> None:
    async with demo() as server, watching(SINGLE, server.url, TOKEN, folder=compiled) as watchers:
        await asyncio.gather(*(watcher.see_answers(1) for watcher in watchers.values()))

        server.process.send_signal(reason)

        lines = {name: await watcher.read_all() for name, watcher in watchers.items()}
    assert {name: set(each[-1]) for name, each in lines.items()} == {name: {seen} for name in SINGLE}


async def read_events(line: str, url: str) -> tuple[str, list[dict[str, Any]]]:
    """The first line that a command of the page prints, and the data of its first two events."""
    command = f"exec {line.replace('https://gallery.example', url)}"
    environment = {**os.environ, "TOKEN": CALLERS[0].token}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_shell(command, env=environment, stdout=pipe, stderr=pipe)
    assert process.stdout
    events: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            first = await process.stdout.readline()
            while len(events) < 2:
                text = await process.stdout.readline()
                assert text, f"curl ended after {events}"
                if text.startswith(b"data: "):
                    events.append(json.loads(text.removeprefix(b"data: ")))
    finally:
        process.kill()
        await process.communicate()
    return first.decode(), events


async def test_the_lines_of_curl_on_the_page_print_each_event_at_once() -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")

    async with demo() as server:
        printed = await asyncio.gather(*(read_events(line, server.url) for line in CURL_LINES))

    assert len(printed) == 2
    for first, events in printed:
        assert re.fullmatch(r"retry: [1-5]\d{3}\n", first)
        one, other = (event["data"]["gallery"]["projects"] for event in events)
        assert one != other
