"""Bodies: the limits on their size, on the wire and inflated, and the content codings."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterable

import httpx
import pytest

from gallery_gateway.errors import UpstreamContractError
from gallery_gateway.upstream.client import read_body
from gallery_gateway.upstream.httpx_transport import HTTPXTransport
from gallery_gateway.upstream.transport import RawResponse, Timeouts
from tests.fakes import FakeUpstream, gateway, page_body, project_body

PATIENCE = Timeouts(connect=5, first_byte=5, read=5, total=5)
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


def response(*chunks: bytes, encoding: str | None = None) -> RawResponse:
    headers = [] if encoding is None else [(b"content-encoding", encoding.encode())]
    return RawResponse(200, headers, parts=list(chunks), body_bytes=sum(map(len, chunks)))


async def read(received: RawResponse, *, max_bytes: int) -> bytes:
    return await read_body(received, httpx.Headers(received.headers), max_bytes=max_bytes)


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


HALVES = TEXT[:700], TEXT[700:]
BARE = zlib.compressobj(wbits=-zlib.MAX_WBITS)

CODINGS = {
    "gzip, two members": ("gzip", b"".join(map(gzip.compress, HALVES))),
    "gzip, an empty member": ("gzip", gzip.compress(b"") + gzip.compress(TEXT) + gzip.compress(b"")),
    "gzip, a member for each byte": ("gzip", b"".join(gzip.compress(bytes([byte])) for byte in TEXT)),
    "gzip, trailing zeros": ("gzip", gzip.compress(TEXT) + b"\0" * 512),
    "gzip, zeros between members": ("gzip", (b"\0" * 9).join(map(gzip.compress, HALVES))),
    "gzip, a line end behind": ("gzip", gzip.compress(TEXT) + b"\r\n"),
    "gzip, sent as deflate": ("deflate", gzip.compress(TEXT)),
    "zlib, sent as gzip": ("gzip", zlib.compress(TEXT)),
    "deflate without a header": ("deflate", BARE.compress(TEXT) + BARE.flush()),
    "listed with identity": ("identity, gzip", gzip.compress(TEXT)),
    "with empty elements": (", gzip,", gzip.compress(TEXT)),
    "identity": (" Identity ", TEXT),
    "mark of the byte order": ("", b"\xef\xbb\xbf" + TEXT),
    "gzipped mark of the byte order": ("gzip", gzip.compress(b"\xef\xbb\xbf" + TEXT)),
}


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(("encoding", "body"), CODINGS.values(), ids=CODINGS)
async def test_content_encoding(encoding: str, body: bytes, size: int) -> None:
    received = response(*in_pieces(body, size=size), encoding=encoding)

    assert await read(received, max_bytes=100_000) == TEXT


BROKEN = {
    "the second member is cut": gzip.compress(HALVES[0]) + gzip.compress(HALVES[1])[:-5],
    "the second member is broken": gzip.compress(HALVES[0]) + b"\x1f\x8b" + b"x" * 50,
    "more members than a page can have": gzip.compress(TEXT) + gzip.compress(b"") * 5_000,
}


@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
async def test_a_broken_second_member_is_refused(body: bytes, size: int) -> None:
    with pytest.raises(UpstreamContractError) as raised:
        await read(response(*in_pieces(body, size=size), encoding="gzip"), max_bytes=1_000_000)

    assert raised.value.kind == "encoding"


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
    answering = httpx.MockTransport(lambda _request: httpx.Response(200, stream=stream))
    transport = HTTPXTransport(answering, "http://a", max_bytes=45)

    received = await transport.get(b"/", [], PATIENCE, caller_key=b"")
    with pytest.raises(UpstreamContractError):
        await read(received, max_bytes=45)

    assert stream.taken == 5


@pytest.mark.parametrize("encoding", [None, "gzip"])
async def test_a_body_that_is_incomplete_is_an_error_even_if_it_looks_complete(encoding: str | None) -> None:
    received = response(gzip.compress(TEXT) if encoding else TEXT, encoding=encoding)
    received.error = httpx.ReadError("The connection ended before the response did.")

    with pytest.raises(httpx.ReadError):
        await read(received, max_bytes=len(TEXT))


@pytest.mark.parametrize("encoding", [None, "gzip"])
async def test_a_body_is_not_kept_by_its_response_once_it_is_read(encoding: str | None) -> None:
    body = gzip.compress(TEXT) if encoding else TEXT
    received = response(*in_pieces(body), encoding=encoding)

    await read(received, max_bytes=len(TEXT))

    assert received.parts == []


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
    pieces = in_pieces(gzip.compress(bytes(100_000_000)), size=100)
    received = response(*pieces, encoding="gzip")

    with pytest.raises(UpstreamContractError, match="larger than"):
        await read(received, max_bytes=200_000)

    # A hundred bytes of it inflate to about a hundred thousand.
    assert len(received.parts) > len(pieces) - 10


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


CONTENT_TYPES = [
    None,
    "",
    "application/json",
    "Application/JSON",
    "application/json; charset=utf-8",
    'application/json;charset="UTF-8"',
    "application/json; charset=utf8; version=1; x",
    "application/json;;",
    # JSON is in UTF-8, whatever a parameter says (RFC 8259, section 11).
    "application/json; charset=iso-8859-1",
    "application/problem+json",
    "application/vnd.piktid+json",
    "text/json",
    "text/plain",
    "text/html",
    "application/octet-stream",
    "json",
    ";",
]


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
async def test_a_page_is_read_whatever_its_content_type(content_type: str | None) -> None:
    upstream = FakeUpstream()
    body = json.dumps(page_body(project_body(7, project_name="Größe")), ensure_ascii=False).encode()
    headers = {} if content_type is None else {"content-type": content_type}
    upstream.answer(content=b"\xef\xbb\xbf" + body, headers=headers)

    async with gateway(upstream) as client:
        answer = await client.ask("{ gallery { projects { projectName } } }")

    assert answer == {"data": {"gallery": {"projects": [{"projectName": "Größe"}]}}}


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16", "utf-16-le", "utf-32"])
async def test_a_page_in_another_encoding_than_utf_8_is_refused(charset: str) -> None:
    upstream = FakeUpstream()
    body = json.dumps(page_body(project_body(7, project_name="Größe")), ensure_ascii=False).encode(charset)
    upstream.answer(content=body, headers={"content-type": f"application/json; charset={charset}"})

    async with gateway(upstream) as client:
        answer = await client.ask("{ gallery { projects { projectName } } }")

    assert answer["errors"][0]["extensions"] == {"code": "UPSTREAM_CONTRACT"}
