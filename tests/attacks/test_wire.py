"""Attacks on the wire: ambiguous requests, and requests that never end."""

import asyncio
import re
import socket
import time
from pathlib import Path

import pytest

from tests.attacks.sockets import TYPENAME, check, request, sent
from tests.fakes import OTHER_TOKEN, TOKEN
from tests.process.serving import Server

CHUNKED = b"transfer-encoding: chunked"
CHUNKS = b"1b\r\n" + TYPENAME + b"\r\n0\r\n\r\n"
AUTHORIZATION = b"authorization: Bearer " + TOKEN.encode()
OTHER_AUTHORIZATION = b"authorization: Bearer " + OTHER_TOKEN.encode()
TOTAL = b'{"query": "{ gallery { pagination { total } } }"}'


def chunked(*headers: bytes, body: bytes = CHUNKS) -> bytes:
    return request(CHUNKED, *headers, body=body, has_length=False)


ATTACKS: dict[str, tuple[bytes, int]] = {
    # Request smuggling (RFC 9112, section 11.2).
    "length and chunks": (request(CHUNKED, body=CHUNKS), 400),
    "chunks and length": (request(b"content-length: 3", CHUNKED, body=CHUNKS, has_length=False), 400),
    "two lengths": (request(b"content-length: 3"), 400),
    "the same length twice": (request(b"content-length: 27"), 400),
    "a list of lengths": (request(b"content-length: 27, 27", has_length=False), 400),
    "a length with a sign": (request(b"content-length: +27", has_length=False), 400),
    "a length below zero": (request(b"content-length: -1", has_length=False), 400),
    "a length in hexadecimal": (request(b"content-length: 0x1b", has_length=False), 400),
    "a length beyond all numbers": (request(b"content-length: " + b"9" * 40, has_length=False), 400),
    "chunked twice": (chunked(b"transfer-encoding: chunked"), 400),
    "chunked by another name": (request(b"transfer-encoding: xchunked", body=CHUNKS, has_length=False), 400),
    "chunked and more": (
        request(b"transfer-encoding: chunked, identity", body=CHUNKS, has_length=False),
        400,
    ),
    "a chunk size that is none": (chunked(body=CHUNKS.replace(b"1b", b"zz")), 400),
    "a chunk size beyond all numbers": (chunked(body=b"f" * 40 + CHUNKS), 400),
    "a chunk that is longer than its size": (chunked(body=CHUNKS.replace(b"1b", b"03")), 400),
    "chunks ended by line feeds": (chunked(body=CHUNKS.replace(b"\r\n", b"\n")), 400),
    "lines ended by line feeds": (request().replace(b"\r\n", b"\n"), 400),
    # Header injection (RFC 9112, section 5.1, and RFC 9110, section 5.5).
    "a carriage return in a value": (request(b"x-a: b\rc: d"), 400),
    "a folded value": (request(b"x-a: b\r\n c"), 400),
    "a null in a value": (request(b"x-a: b\x00c"), 400),
    "a control character in a value": (request(b"x-a: b\x01c"), 400),
    "an escape in a token": (request(b"authorization: Bearer a\x1b[31m"), 400),
    "a null in a token": (request(b"authorization: Bearer a\x00b"), 400),
    "a space before the colon": (request(b"authorization : Bearer a"), 400),
    "a header without a name": (request(b": b"), 400),
    "a null in the path": (request(line=b"POST /graph\x00ql HTTP/1.1"), 400),
    "two Authorizations": (request(AUTHORIZATION, OTHER_AUTHORIZATION), 400),
    "two Authorizations in other letters": (request(AUTHORIZATION, OTHER_AUTHORIZATION.upper()), 400),
    "an Authorization of the connection": (request(AUTHORIZATION, b"connection: close, authorization"), 400),
    "two hosts": (request(b"host: evil.example"), 400),
    "another host": (request().replace(b"host: gateway", b"host: evil.example"), 421),
    "no host": (request().replace(b"host: gateway\r\n", b""), 421),
    "a compressed body": (request(b"content-encoding: gzip"), 415),
    "a token in the address": (request(line=b"POST /graphql?access_token=a HTTP/1.1"), 400),
    # What is too large.
    "a long header": (request(b"x-a: " + b"a" * 20_000), 431),
    "many headers": (request(*[b"x-%d: b" % number for number in range(3_000)]), 431),
    "a long address": (request(line=b"POST /graphql?a=" + b"a" * 20_000 + b" HTTP/1.1"), 431),
    "a body that is announced as large": (request(b"content-length: 99999999", has_length=False), 413),
    "a large body": (request(body=b" " * 300_000), 413),
    "a large body in chunks": (chunked(body=b"493e0\r\n" + b" " * 300_000 + b"\r\n0\r\n\r\n"), 413),
    # What is no HTTP/1.1, or nothing that is served.
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "an unknown version": (request(line=b"POST /graphql HTTP/3.7"), 400),
    "a tunnel": (b"CONNECT evil.example:443 HTTP/1.1\r\nhost: gateway\r\n\r\n", 405),
    "another server's address": (request(line=b"POST http://evil.example/x HTTP/1.1"), 404),
    "a way out": (request(line=b"GET /graphiql/..%2f..%2fsettings.py HTTP/1.1"), 404),
    "an escape that is none": (request(line=b"POST /%zz%ff HTTP/1.1"), 404),
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_is_refused_with_its_status(server: Server, name: str) -> None:
    attack, status = ATTACKS[name]

    first, *others = await sent(server, attack)

    check(first)
    assert first.status == status
    # Nothing of it was taken for a second request.
    assert others == []


async def test_a_trailer_is_no_header(server: Server) -> None:
    body = b"%x\r\n%b\r\n0\r\nauthorization: Bearer demo-ada-token\r\n\r\n" % (len(TOTAL), TOTAL)

    (response,) = await sent(server, chunked(body=body))

    check(response)
    assert b"UNAUTHENTICATED" in response.body


async def test_a_request_that_is_ignored_is_not_answered_with_the_next(server: Server) -> None:
    """The first is refused unread; its body looks like a request of its own."""
    smuggled = request(b"x-request-id: smuggled")

    ignored = request(b"content-encoding: gzip", body=smuggled, closes=False)

    responses = await sent(server, ignored + request())

    assert [response.status for response in responses] == [415, 200]
    assert not any(b"smuggled" in response.head for response in responses)


SLOW = {
    "half a line": (b"POST /gra", [408]),
    "half a head": (request()[:60], [408]),
    "a head and no body": (request()[: -len(TYPENAME)], [408]),
    "half a body": (request()[:-3], [408]),
    "half a chunk": (chunked()[:-20], [408]),
    "nothing": (b"", []),
    "a whole request, and half of another": (request(closes=False) + request()[:50], [200]),
    "half a body that nobody reads": (request(line=b"POST /livez HTTP/1.1", closes=False)[:-3], [405]),
}


async def test_what_does_not_come_in_time_is_cut_off(server: Server) -> None:
    started = time.monotonic()

    answers = await asyncio.gather(*(sent(server, part) for part, _ in SLOW.values()))

    assert [[answer.status for answer in each] for each in answers] == [
        statuses for _, statuses in SLOW.values()
    ]
    assert time.monotonic() - started < 10
    for answer in answers:
        for response in answer:
            check(response)


async def test_what_does_not_come_after_a_whole_request_is_cut_off_too(server: Server) -> None:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(request(closes=False))
    async with asyncio.timeout(10):
        first = await reader.readuntil(b'"Query"}}')

        writer.write(request()[:60])
        second = await reader.read()
    writer.close()

    assert first.startswith(b"HTTP/1.1 200 ")
    assert second.startswith(b"HTTP/1.1 408 ")


async def test_a_trickle_is_cut_off_too(server: Server) -> None:
    """However often another byte comes, the time is for the whole request."""
    reader, writer = await asyncio.open_connection(server.host, server.port)

    async def trickle() -> None:
        writer.write(request()[:60])
        while True:
            writer.write(b"x-a: b\r\n"[:1])
            await asyncio.sleep(0.05)

    trickling = asyncio.create_task(trickle())
    async with asyncio.timeout(10):
        answer = await reader.readuntil(b"\r\n\r\n")
    trickling.cancel()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 408 ")


ENDLESS = {
    "headers": (request()[:60] + b"\r\n", b"x-a: b\r\n"),
    "one header": (request()[:60] + b"\r\nx-a: ", b"a" * 64),
    "a chunk's extension": (chunked(body=b"1;"), b"a" * 64),
    "trailers": (chunked(body=b"0\r\n"), b"x-a: b\r\n"),
    "empty lines": (b"", b"\r\n" * 32),
    "a body that was refused": (request(b"content-length: 99999999", body=b"", has_length=False), b"a" * 64),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_what_never_ends_is_cut_off_by_its_size(server: Server, name: str) -> None:
    beginning, more = ENDLESS[name]

    # More than all buffers between here and there hold.
    parts = [more * 500] * (10_000_000 // 500 // len(more))

    responses = await sent(server, beginning, *parts)

    # Not by its time, which another test is for.
    assert all(response.status in {400, 413, 431} for response in responses)


async def test_a_client_that_never_reads_its_answers_is_let_go(server: Server) -> None:
    before = open_files(server)
    (page,) = await sent(server, request(b"accept: text/html", line=b"GET /graphql HTTP/1.1", body=b""))
    script = re.search(rb'src="([^"]+\.js)"', page.body)
    assert script
    large = request(line=b"GET /%b HTTP/1.1" % script[1].lstrip(b"./"), body=b"", closes=False)
    clients = []
    for _ in range(5):
        client = socket.socket()
        # As little as the kernel takes, so that most of the answer stays with the server.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        client.connect((server.host, server.port))
        client.sendall(large * 20)
        clients.append(client)

    async with asyncio.timeout(10):
        # Another process tells nobody when it has closed something.
        while open_files(server) > before:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    for client in clients:
        client.close()


def open_files(server: Server) -> int:
    """How many files and connections the server's process has open."""
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


async def test_the_server_is_well_after_all_that(server: Server) -> None:
    (response,) = await sent(server, request())

    assert (response.status, response.body) == (200, b'{"data":{"__typename":"Query"}}')
    assert "Traceback" not in "".join(server.lines)
