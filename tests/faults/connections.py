"""Faults of the connection: it breaks, it is silent, it drips, it is cut, it is no HTTP."""

import gzip

from tests.faults.exchanges import Exchange
from tests.upstream.sockets import http_response

_CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


async def reset_at_once(exchange: Exchange) -> None:
    exchange.reset()


async def reset_after_headers(exchange: Exchange) -> None:
    await exchange.send(_beginning(exchange, body_bytes=0))
    exchange.reset()


async def reset_half_way(exchange: Exchange) -> None:
    await exchange.send(_beginning(exchange))
    # What is still on its way would be lost with the reset.
    await exchange.wait()
    exchange.reset()


async def closed_at_once(exchange: Exchange) -> None:
    exchange.close()


async def closed_when_used_again(exchange: Exchange) -> None:
    """As a server does that gave up an idle connection at the moment when the next request came."""
    if exchange.number == 1:
        await exchange.answer()
    else:
        exchange.close()


async def silent(exchange: Exchange) -> None:
    await exchange.silence()


async def slow_first_byte(exchange: Exchange) -> None:
    await exchange.wait()
    await exchange.answer()


async def stalled_half_way(exchange: Exchange) -> None:
    await exchange.send(_beginning(exchange))
    await exchange.silence()


async def drip_fed(exchange: Exchange) -> None:
    """One byte after the other, without an end."""
    await exchange.send(_CHUNKED)
    while not exchange.writer.is_closing():
        await exchange.send(b"1\r\n \r\n")
        await exchange.wait()


async def drip_fed_headers(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    while not exchange.writer.is_closing():
        await exchange.send(b"X-A: a\r\n")
        await exchange.wait()


async def truncated(exchange: Exchange) -> None:
    await exchange.send(_beginning(exchange))
    exchange.close()


async def truncated_chunked(exchange: Exchange) -> None:
    half = exchange.body[: len(exchange.body) // 2]
    await exchange.send(_CHUNKED + b"%x\r\n%b\r\n" % (len(half), half))
    exchange.close()


async def truncated_gzip(exchange: Exchange) -> None:
    await exchange.answer(gzip.compress(exchange.body)[:-12], "Content-Encoding: gzip")


async def several_gzip_members(exchange: Exchange) -> None:
    parts = exchange.body[:100], exchange.body[100:]
    await exchange.answer(b"".join(map(gzip.compress, parts)) + bytes(512), "Content-Encoding: gzip")


async def bad_chunk(exchange: Exchange) -> None:
    await exchange.send(_CHUNKED + b"zz\r\nhello\r\n")
    exchange.close()


async def no_http(exchange: Exchange) -> None:
    await exchange.send(b"220 mail.example ESMTP\r\n\r\n")
    exchange.close()


async def wrong_status_line(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 99999 OK\r\nContent-Length: 0\r\n\r\n")


async def giant_headers(exchange: Exchange) -> None:
    await exchange.answer(None, "X-Giant: " + "a" * 200_000)


async def informational_storm(exchange: Exchange) -> None:
    """Ten thousand times that an answer will come, and then none."""
    await exchange.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 10_000)
    exchange.close()


async def two_content_lengths(exchange: Exchange) -> None:
    await exchange.answer(None, "Content-Length: 5")


def _beginning(exchange: Exchange, *, body_bytes: int | None = None) -> bytes:
    """Send the right response up to the middle of its body, or up to a number of bytes."""
    raw = http_response(exchange.body, "Content-Type: application/json")
    kept = len(exchange.body) // 2 if body_bytes is None else body_bytes
    return raw[: len(raw) - len(exchange.body) + kept]
