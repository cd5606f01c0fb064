"""Reads an answer's body under a cap that holds for the bytes on the wire and for what they inflate to."""

import asyncio
import zlib
from collections.abc import AsyncIterable, AsyncIterator
from typing import cast

import httpx

from gallery_gateway.errors import UpstreamContractError

_STEP_BYTES = 256 * 1024

# JSON pages become up to 30 times as large; what becomes more than this is no page.
_MAX_RATIO = 100
_FREE_BYTES = 1024 * 1024

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # zlib finds out which of the two it is


async def read_body(response: httpx.Response, *, max_bytes: int) -> bytes:
    """The whole body, inflated.

    Raises:
        UpstreamContractError: more than `max_bytes`, or an unknown or broken compression.
    """
    # The stream itself: a response that is driven without httpx.AsyncClient may be read already.
    chunks = _capped(cast("httpx.AsyncByteStream", response.stream), max_bytes=max_bytes)
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding in {"gzip", "x-gzip", "deflate"}:
        chunks = _capped(_inflated(chunks, max_bytes=max_bytes), max_bytes=max_bytes)
    elif encoding not in {"identity", ""}:
        raise UpstreamContractError(
            "The gallery answered in a compression that was not asked for.", kind="encoding"
        )
    parts = [chunk async for chunk in chunks]
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _capped(chunks: AsyncIterable[bytes], *, max_bytes: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        yield chunk


async def _inflated(chunks: AsyncIterator[bytes], *, max_bytes: int) -> AsyncIterator[bytes]:
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    read_bytes = inflated_bytes = 0
    try:
        async for chunk in chunks:
            read_bytes += len(chunk)
            rest = chunk
            while rest:
                # In steps, so that a bomb is found before it has inflated, and the loop runs in between.
                part = inflater.decompress(rest, _STEP_BYTES)
                rest = inflater.unconsumed_tail
                inflated_bytes += len(part)
                if inflated_bytes > _FREE_BYTES + _MAX_RATIO * read_bytes:
                    raise UpstreamContractError(
                        "The gallery's compressed answer inflates too much.", kind="encoding"
                    )
                yield part
                if rest:
                    await asyncio.sleep(0)
                if inflated_bytes > max_bytes:
                    return
        yield inflater.flush()
    except zlib.error as exc:
        raise UpstreamContractError("The gallery's compressed answer is broken.", kind="encoding") from exc
    if not inflater.eof:
        raise UpstreamContractError("The gallery's compressed answer was cut short.", kind="encoding")


def _too_large(max_bytes: int) -> UpstreamContractError:
    return UpstreamContractError(
        f"The gallery's answer is larger than {max_bytes} bytes; ask for fewer projects or images.",
        kind="body_too_large",
    )
