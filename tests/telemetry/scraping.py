"""Scrapes as Prometheus makes them."""

import asyncio
import socket
import urllib.request
from contextlib import suppress


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def first_of_two_free_ports() -> int:
    while True:
        port = free_port()
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port + 1))
            return port


async def scraped(port: int, host: str = "127.0.0.1") -> str:
    """The metrics as OpenMetrics."""
    return await asyncio.to_thread(scrape, port, host)


def scrape(port: int, host: str = "127.0.0.1") -> str:
    request = urllib.request.Request(
        f"http://{host}:{port}/metrics", headers={"accept": "application/openmetrics-text"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # our own address
        return str(answer.read().decode())
