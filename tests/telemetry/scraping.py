"""Scrapes as Prometheus makes them."""

import asyncio
import socket
import urllib.request


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


async def scraped(port: int) -> str:
    """The metrics as OpenMetrics."""
    return await asyncio.to_thread(scrape, port)


def scrape(port: int) -> str:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/metrics", headers={"accept": "application/openmetrics-text"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # our own address
        return str(answer.read().decode())
