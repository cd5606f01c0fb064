"""Subscriptions through real load balancers."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gallery_gateway.demo.server import serve_in_thread
from tests.process.serving import PATIENCE_SECONDS, Server, serve
from tests.progress import ADA, Events, ProgressAPI
from tests.scaling.fleet import free_ports
from tests.scaling.proxy import HAPROXY, PROGRAM, Configure, Proxy, configuration, haproxy, nginx

needs_nginx = pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")
needs_haproxy = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")

COMPLETED = "subscription { gallery { projects { completedImages } } }"
HTTP_1_1 = '        proxy_http_version 1.1;\n        proxy_set_header Connection "";\n'
HTTP_1_0 = "        proxy_http_version 1.0;\n"
READ_TIMEOUT = "proxy_read_timeout 60s;"
IGNORED = f"{READ_TIMEOUT} proxy_ignore_headers X-Accel-Buffering;"


def changed(*replacements: tuple[str, str]) -> Configure:
    """The example of deploy/nginx with other lines."""

    def configured(port: int, gateways: Sequence[int]) -> str:
        text = configuration(port, gateways)
        for line, other in replacements:
            assert text.count(line) == 1
            text = text.replace(line, other)
        return text

    return configured


def nginx_1_1(folder: Path, port: int, gateways: Sequence[int]) -> AbstractAsyncContextManager[Proxy]:
    return nginx(folder, port, gateways)


def nginx_1_0(folder: Path, port: int, gateways: Sequence[int]) -> AbstractAsyncContextManager[Proxy]:
    """Connect to the gateway by HTTP/1.0, which is the default before nginx 1.29.7."""
    return nginx(folder, port, gateways, configured=changed((HTTP_1_1, HTTP_1_0)))


def nginx_that_buffers(
    folder: Path, port: int, gateways: Sequence[int]
) -> AbstractAsyncContextManager[Proxy]:
    configured = changed((HTTP_1_1, HTTP_1_0), (READ_TIMEOUT, IGNORED))
    return nginx(folder, port, gateways, configured=configured)


PROXIES = [
    pytest.param(nginx_1_1, marks=needs_nginx),
    pytest.param(nginx_1_0, marks=needs_nginx),
    pytest.param(haproxy, marks=needs_haproxy),
]


@dataclass(frozen=True, slots=True)
class Stage:
    """A gateway behind a load balancer."""

    api: ProgressAPI
    gateway: Server
    http: httpx.AsyncClient

    @asynccontextmanager
    async def subscribed(self) -> AsyncIterator[Events]:
        headers = {"accept": "text/event-stream", "authorization": ADA}
        body = {"query": COMPLETED}
        async with self.http.stream("POST", "/graphql", json=body, headers=headers) as response:
            yield Events(response)

    async def all_events(self) -> list[Any]:
        async with self.subscribed() as events:
            received = []
            while (event := await events.next()) is not None:
                received.append(event)
            return received

    async def ended(self) -> str:
        """Wait until the gateway logs that a stream has ended, and return why."""
        return (await self.gateway.printed(r'"subscription\.ended".*"reason":"(\w+)"'))[1]


@asynccontextmanager
async def behind(proxy: Any, folder: Path) -> AsyncIterator[Stage]:
    (port,) = free_ports(1)
    api = ProgressAPI()
    with serve_in_thread(api) as api_url:
        # Without a cache, each stream polls once a second.
        async with (
            serve(api_url, cache_ttl_seconds=0) as gateway,
            proxy(folder, port, [gateway.port]) as running,
            httpx.AsyncClient(base_url=running.url, timeout=PATIENCE_SECONDS) as http,
        ):
            yield Stage(api, gateway, http)


def completed(number: int) -> Any:
    return {"data": {"gallery": {"projects": [{"completedImages": number}]}}}


@pytest.mark.parametrize("proxy", PROXIES)
async def test_events_pass_a_load_balancer_at_once_and_so_does_the_end(proxy: Any, tmp_path: Path) -> None:
    async with behind(proxy, tmp_path) as stage, stage.subscribed() as events:
        first = await events.next()
        stage.api.completed[ADA] = 1
        second = await events.next()
        stage.gateway.process.send_signal(signal.SIGTERM)
        third = await events.next()
        status = await stage.gateway.ended()

    assert [first, second, third] == [completed(0), completed(1), None]
    assert status == 0


@needs_nginx
async def test_an_nginx_that_ignores_the_header_holds_events_back(tmp_path: Path) -> None:
    async with behind(nginx_that_buffers, tmp_path) as stage:
        receiving = asyncio.create_task(stage.all_events())
        await stage.gateway.printed('"subscription.opened"')
        stage.api.completed[ADA] = 1
        # In this time, both events would have come.
        done, _ = await asyncio.wait([receiving], timeout=3)
        stage.gateway.process.send_signal(signal.SIGTERM)
        received = await receiving

    assert not done
    assert received[-1] == completed(1)


@pytest.mark.parametrize("proxy", PROXIES)
async def test_a_client_that_leaves_the_load_balancer_ends_the_stream(proxy: Any, tmp_path: Path) -> None:
    async with behind(proxy, tmp_path) as stage:
        async with stage.subscribed() as events:
            await events.next()
        # The first heartbeat, which a broken connection would not take, is due later.
        async with asyncio.timeout(10):
            reason = await stage.ended()

    assert reason == "disconnected"


def nginx_that_waits(seconds: int) -> Any:
    configured = changed((READ_TIMEOUT, f"proxy_read_timeout {seconds}s;"))

    def proxy(folder: Path, port: int, gateways: Sequence[int]) -> AbstractAsyncContextManager[Proxy]:
        return nginx(folder, port, gateways, configured=configured)

    return proxy


@needs_nginx
async def test_heartbeats_keep_a_stream_open_in_which_nothing_happens(tmp_path: Path) -> None:
    async with behind(nginx_that_waits(14), tmp_path) as stage, stage.subscribed() as events:
        await events.next()
        # After 12 seconds.
        await events.heartbeat()
        await asyncio.sleep(3)
        stage.api.completed[ADA] = 1
        event = await events.next()

    assert event == completed(1)


@needs_nginx
async def test_a_load_balancer_that_waits_for_less_than_a_heartbeat_breaks_the_stream(tmp_path: Path) -> None:
    async with behind(nginx_that_waits(3), tmp_path) as stage, stage.subscribed() as events:
        await events.next()

        with pytest.raises(httpx.RemoteProtocolError):
            await events.heartbeat()
