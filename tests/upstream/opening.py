"""The client over the real transport, opened for one server."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gallery_gateway.upstream.client import FetchedPage, GalleryClient
from gallery_gateway.upstream.resilience import Resilience
from gallery_gateway.upstream.transport import Pool, Timeouts
from tests.fakes import page_body

PAGE = json.dumps(page_body()).encode()
AUTHORIZATION = "Bearer made-up-token"
CALLER = b"key-of-ada"


@asynccontextmanager
async def opened(
    url: str,
    *,
    connect_seconds: float = 5.0,
    read_seconds: float = 10.0,
    total_seconds: float = 10.0,
    first_byte_seconds: float = 10.0,
    max_connections: int = 2,
    accept_encoding: str = "identity",
) -> AsyncIterator[GalleryClient]:
    client = GalleryClient(
        base_url=url,
        transport=Pool(url, max_connections=max_connections, max_bytes=1_000_000),
        timeouts=Timeouts(
            connect=connect_seconds,
            first_byte=first_byte_seconds,
            read=read_seconds,
            total=total_seconds,
        ),
        max_bytes=1_000_000,
        user_agent="gallery-gateway/1.2.3",
        accept_encoding=accept_encoding,
        resilience=Resilience(max_attempts=1, max_connections=max_connections, clock=time.monotonic),
    )
    try:
        yield client
    finally:
        await client.aclose()


async def fetch(client: GalleryClient, query: str = "") -> FetchedPage:
    fetched = await client.fetch_page(query, authorization=AUTHORIZATION, caller_key=CALLER)
    assert isinstance(fetched, FetchedPage)
    return fetched
