"""Bodies: the limits on their size, on the wire and inflated, and the content codings."""

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterable

import httpx
import pytest

from gallery_gateway.errors import UpstreamContractError
from gallery_gateway.upstream.client import read_body

TEXT = b'{"projects": []}' * 100


class Chunks(httpx.AsyncByteStream):
    """A body in pieces, which counts those that were taken."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.taken += 1
            yield chunk


def response(*chunks: bytes, encoding: str | None = None) -> httpx.Response:
    headers = [] if encoding is None else [(b"content-encoding", encoding.encode())]
    return httpx.Response(200, headers=headers, stream=Chunks(chunks))


async def read(received: httpx.Response, *, max_bytes: int) -> bytes:
    assert isinstance(received.stream, httpx.AsyncByteStream)
    return await read_body(received.stream, received.headers, max_bytes=max_bytes)


def in_pieces(body: bytes, size: int = 7) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


@pytest.mark.parametrize("encoding", [None, "identity", "Identity", ""])
async def test_a_plain_body_is_read_completely(encoding: str | None) -> None:
    body = await read(response(*in_pieces(TEXT), encoding=encoding), max_bytes=len(TEXT))

    assert body == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
async def test_a_gzipped_body_is_inflated(encoding: str) -> None:
    body = await read(response(gzip.compress(TEXT), encoding=encoding), max_bytes=len(TEXT))

    assert body == TEXT


async def test_a_deflated_body_is_inflated() -> None:
    body = await read(response(zlib.compress(TEXT), encoding="deflate"), max_bytes=len(TEXT))

    assert body == TEXT


async def test_a_compressed_body_may_come_in_any_pieces() -> None:
    chunks = in_pieces(gzip.compress(TEXT), size=1)

    body = await read(response(*chunks, encoding="gzip"), max_bytes=len(TEXT))

    assert body == TEXT


async def test_no_body_at_all_is_an_empty_one() -> None:
    assert await read(response(), max_bytes=10) == b""


async def test_one_byte_too_many_is_refused() -> None:
    with pytest.raises(UpstreamContractError, match=f"larger than {len(TEXT) - 1} bytes"):
        await read(response(*in_pieces(TEXT)), max_bytes=len(TEXT) - 1)


async def test_one_inflated_byte_too_many_is_refused() -> None:
    with pytest.raises(UpstreamContractError, match=f"larger than {len(TEXT) - 1} bytes"):
        await read(response(gzip.compress(TEXT), encoding="gzip"), max_bytes=len(TEXT) - 1)


async def test_nothing_is_read_beyond_the_limit() -> None:
    stream = Chunks([b"0123456789"] * 100)

    with pytest.raises(UpstreamContractError):
        await read(httpx.Response(200, stream=stream), max_bytes=45)

    assert stream.taken == 5


async def test_a_bomb_is_refused_before_it_has_inflated() -> None:
    bomb = gzip.compress(bytes(100_000_000))
    max_bytes = 200_000
    tracemalloc.start()

    try:
        with pytest.raises(UpstreamContractError, match="larger than"):
            await read(response(bomb, encoding="gzip"), max_bytes=max_bytes)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * max_bytes


async def test_a_bomb_in_small_pieces_is_refused_too() -> None:
    bomb = gzip.compress(bytes(100_000_000))
    stream = Chunks(in_pieces(bomb, size=100))

    with pytest.raises(UpstreamContractError, match="larger than"):
        await read(
            httpx.Response(200, headers={"content-encoding": "gzip"}, stream=stream), max_bytes=200_000
        )

    # A hundred bytes of it inflate to about a hundred thousand.
    assert stream.taken < 10


@pytest.mark.parametrize(
    "endless",
    [
        # Empty stored blocks (RFC 1951, section 3.2.4) inflate to nothing, however many there are.
        [gzip.compress(b"")[:10], *[b"\x00\x00\x00\xff\xff" * 20] * 1000],
        [gzip.compress(TEXT), *[b"what stands after the end"] * 1000],
    ],
    ids=["empty blocks", "after the end"],
)
async def test_the_limit_holds_for_the_bytes_on_the_wire_too(endless: list[bytes]) -> None:
    with pytest.raises(UpstreamContractError, match="larger than"):
        await read(response(*endless, encoding="gzip"), max_bytes=len(TEXT))


@pytest.mark.parametrize("kept", [0, 1, 10, 15, -9, -1])
async def test_a_compressed_body_that_is_cut_short_is_refused(kept: int) -> None:
    with pytest.raises(UpstreamContractError, match="cut short"):
        await read(response(gzip.compress(TEXT)[:kept], encoding="gzip"), max_bytes=len(TEXT))


async def test_a_broken_compression_is_refused() -> None:
    with pytest.raises(UpstreamContractError, match="broken"):
        await read(response(TEXT, encoding="gzip"), max_bytes=len(TEXT))


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "\u00e9"])
async def test_an_unknown_compression_is_refused(encoding: str) -> None:
    with pytest.raises(UpstreamContractError, match="compression"):
        await read(response(TEXT, encoding=encoding), max_bytes=len(TEXT))


async def test_white_space_that_inflates_a_hundredfold_is_refused() -> None:
    bomb = gzip.compress(b'{"projects": []' + b" " * 5_000_000 + b"}")

    with pytest.raises(UpstreamContractError, match="inflates too much"):
        await read(response(bomb, encoding="gzip"), max_bytes=100_000_000)


async def test_a_page_that_inflates_thirtyfold_is_read() -> None:
    # As a page whose links differ in a few characters only.
    page = b"".join(
        b'{"url": "https://images.example/%x"}' % (number * 2654435761) for number in range(50_000)
    )
    compressed = gzip.compress(page)

    assert len(page) > 2_000_000
    assert await read(response(compressed, encoding="gzip"), max_bytes=100_000_000) == page
