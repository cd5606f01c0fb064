"""The client over the real transport and real sockets: what goes over the wire, and how it breaks."""

import asyncio
import gzip
import json
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gallery_gateway.errors import GatewayError, UpstreamContractError, UpstreamTimeoutError
from gallery_gateway.upstream.client import FetchedPage, GalleryClient, Parameters, Timeouts
from gallery_gateway.upstream.transport import make_transport
from tests.fakes import page_body
from tests.upstream.sockets import RawServer, always, http_response, serving

PAGE = json.dumps(page_body()).encode()
AUTHORIZATION = "Bearer made-up-token"
PROXY_VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


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
        transport=make_transport(max_connections=max_connections),
        timeouts=Timeouts(
            connect=connect_seconds,
            first_byte=first_byte_seconds,
            read=read_seconds,
            total=total_seconds,
        ),
        max_bytes=1_000_000,
        user_agent="gallery-gateway/1.2.3",
        accept_encoding=accept_encoding,
    )
    try:
        yield client
    finally:
        await client.aclose()


async def fetch(client: GalleryClient, parameters: Parameters = ()) -> FetchedPage:
    return await client.fetch_page(parameters, authorization=AUTHORIZATION)


async def code_of_answer(raw: bytes) -> str:
    """The code of the error that these bytes of an answer, and then the end of it, lead to."""
    async with serving(always(raw, then_close=True)) as server, opened(server.url) as client:
        with pytest.raises(GatewayError) as caught:
            await fetch(client)
    return caught.value.code


def fields_of(head: bytes) -> list[tuple[str, str]]:
    lines = head.decode().split("\r\n")[1:-2]
    return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]


def names_of(head: bytes) -> list[str]:
    return sorted(name for name, _ in fields_of(head))


def parameters_in(head: bytes) -> dict[str, list[str]]:
    target = head.split(b" ")[1].decode()
    return parse_qs(urlsplit(target).query, keep_blank_values=True)


async def test_a_page_comes_over_the_wire() -> None:
    async with serving(always(http_response(PAGE))) as server, opened(server.url) as client:
        fetched = await fetch(client)

    assert len(fetched.body) == len(PAGE)
    assert fetched.page.projects[0].project_id == 7


async def test_nothing_is_sent_but_what_the_client_says() -> None:
    async with serving(always(http_response(PAGE))) as server, opened(server.url) as client:
        await fetch(client)

    assert sorted(fields_of(server.heads[0])) == [
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("authorization", AUTHORIZATION),
        ("host", f"127.0.0.1:{server.port}"),
        ("user-agent", "gallery-gateway/1.2.3"),
    ]


@pytest.mark.parametrize(
    "text",
    ["a b", "a+b", "a%2Bb", "%41", "a&page=9", "a=b;c", "\u00e9\U0001f600", "#?/\\", "\x00\n\x7f", "'\"", ""],
)
async def test_a_text_arrives_as_it_was_given(text: str) -> None:
    async with serving(always(http_response(PAGE))) as server, opened(server.url) as client:
        await fetch(client, (("search", text), ("page", "2")))

    assert parameters_in(server.heads[0]) == {"search": [text], "page": ["2"]}


async def test_repeated_keys_arrive_repeated() -> None:
    async with serving(always(http_response(PAGE))) as server, opened(server.url) as client:
        await fetch(client, (("feedback", "a"), ("feedback", "b")))

    assert parameters_in(server.heads[0]) == {"feedback": ["a", "b"]}


async def test_a_compressed_page_is_inflated_once() -> None:
    answer = http_response(gzip.compress(PAGE), "Content-Encoding: gzip")

    async with serving(always(answer)) as server, opened(server.url, accept_encoding="gzip") as client:
        fetched = await fetch(client)

    assert len(fetched.body) == len(PAGE)
    assert ("accept-encoding", "gzip") in fields_of(server.heads[0])


async def test_a_connection_is_used_again() -> None:
    async with serving(always(http_response(PAGE))) as server, opened(server.url) as client:
        await fetch(client)
        await fetch(client)

    assert len(server.heads) == 2
    assert server.connections == 1


async def test_a_connection_is_used_again_after_a_refusal() -> None:
    answer = http_response(b"no", status="401 Unauthorized")
    async with serving(always(answer)) as server, opened(server.url) as client:
        for _ in range(2):
            with pytest.raises(GatewayError):
                await fetch(client)

    assert server.connections == 1


async def test_a_connection_that_upstream_closed_meanwhile_costs_nothing() -> None:
    answer = http_response(PAGE, "Connection: close")

    async with serving(always(answer, then_close=True)) as server, opened(server.url) as client:
        await fetch(client)
        await fetch(client)

    assert server.connections == 2


async def test_a_redirect_is_not_followed_and_gets_no_token() -> None:
    async with serving(always(http_response(PAGE))) as elsewhere:
        answer = http_response(b"", f"Location: {elsewhere.url}/", status="302 Found")
        async with serving(always(answer)) as server, opened(server.url) as client:
            with pytest.raises(UpstreamContractError):
                await fetch(client)

    assert elsewhere.connections == 0


async def test_a_cookie_is_not_sent_back() -> None:
    answer = http_response(PAGE, "Set-Cookie: session=of-ada; Path=/")

    async with (
        serving(always(answer)) as server,
        # By name, as cookies are not kept for bare addresses anyway.
        opened(f"http://localhost:{server.port}") as client,
    ):
        await fetch(client)
        await fetch(client)

    assert "cookie" not in names_of(server.heads[1])


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(always(http_response(PAGE))) as proxy, serving(always(http_response(PAGE))) as server:
        for name in PROXY_VARIABLES:
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)

        async with opened(server.url) as client:
            await fetch(client)

    assert (proxy.connections, server.connections) == (0, 1)


async def test_a_netrc_does_not_touch_the_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (".netrc", "_netrc"):
        (tmp_path / name).write_text("machine 127.0.0.1 login eve password secret\n")
        (tmp_path / name).chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))

    async with serving(always(http_response(PAGE))) as server, opened(server.url) as client:
        await fetch(client)

    sent = [value for name, value in fields_of(server.heads[0]) if name == "authorization"]
    assert sent == [AUTHORIZATION]


async def test_a_refused_connection_is_unavailability() -> None:
    async with serving(always(b"")) as server:
        port_of_nobody = server.port

    async with opened(f"http://127.0.0.1:{port_of_nobody}") as client:
        with pytest.raises(GatewayError) as caught:
            await fetch(client)

    assert caught.value.code == "UPSTREAM_UNAVAILABLE"


async def test_a_host_that_does_not_exist_is_unavailability() -> None:
    async with opened("http://nowhere.invalid") as client:
        with pytest.raises(GatewayError) as caught:
            await fetch(client)

    assert caught.value.code == "UPSTREAM_UNAVAILABLE"


@pytest.mark.parametrize("beginning", [b"", http_response(PAGE)[:-10]], ids=["no answer", "half a body"])
async def test_a_reset_is_unavailability(beginning: bytes) -> None:
    async def reset(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        await writer.drain()
        # No time to linger: what closes it is a reset, and not an end.
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    async with serving(reset) as server, opened(server.url) as client:
        with pytest.raises(GatewayError) as caught:
            await fetch(client)

    assert caught.value.code == "UPSTREAM_UNAVAILABLE"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"Hello there.\r\n\r\n",
        bytes(range(256)),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ],
    ids=lambda raw: repr(raw[:60]),
)
async def test_an_answer_that_is_cut_or_no_http_is_unavailability(raw: bytes) -> None:
    assert await code_of_answer(raw) == "UPSTREAM_UNAVAILABLE"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            "UPSTREAM_CONTRACT",
        ),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", "UPSTREAM_CONTRACT"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: \xff\r\nContent-Length: 2\r\n\r\n{}", "UPSTREAM_CONTRACT"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "UPSTREAM_CONTRACT"),
        (b"HTTP/1.1 429 No\r\nRetry-After: \xff\xd9\xa3\r\nContent-Length: 0\r\n\r\n", "RATE_LIMITED"),
        (b"HTTP/1.1 401 No\r\nContent-Length: 500\r\n\r\n{}", "UNAUTHENTICATED"),
        (b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "UPSTREAM_UNAVAILABLE"),
    ],
    ids=lambda value: repr(value[:60]),
)
async def test_an_odd_answer_keeps_the_code_of_its_status(raw: bytes, code: str) -> None:
    assert await code_of_answer(raw) == code


async def test_a_connection_that_is_not_made_in_time_is_a_timeout() -> None:
    async with serving(always(b"")) as server:
        # Accepted, and then no word of TLS.
        url = server.url.replace("http:", "https:")
        async with opened(url, connect_seconds=0.05) as client, asyncio.timeout(5):
            with pytest.raises(UpstreamTimeoutError):
                await fetch(client)


@pytest.mark.parametrize("beginning", [b"", http_response(PAGE)[:-10]], ids=["no answer", "half a body"])
async def test_silence_is_a_timeout_long_before_the_call_as_a_whole_is(beginning: bytes) -> None:
    async with (
        serving(always(beginning)) as server,
        opened(server.url, read_seconds=0.05) as client,
        asyncio.timeout(5),
    ):
        with pytest.raises(UpstreamTimeoutError):
            await fetch(client)


async def test_silence_before_an_answer_may_be_shorter_than_within_it() -> None:
    async with (
        serving(always(b"")) as server,
        opened(server.url, first_byte_seconds=0.05) as client,
        asyncio.timeout(5),
    ):
        with pytest.raises(UpstreamTimeoutError):
            await fetch(client)


async def test_an_answer_that_has_begun_is_waited_for_as_long_as_a_read_may_last() -> None:
    answer = http_response(PAGE)

    async def in_two_parts(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer[:100])
        await asyncio.sleep(0.05)
        writer.write(answer[100:150])
        await asyncio.sleep(0.4)
        writer.write(answer[150:])

    async with serving(in_two_parts) as server, opened(server.url, first_byte_seconds=0.2) as client:
        fetched = await fetch(client)

    assert fetched.body == PAGE


async def test_a_body_that_drips_for_ever_is_a_timeout() -> None:
    async def drip(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(drip) as server, opened(server.url, read_seconds=5, total_seconds=0.1) as client:
        with pytest.raises(UpstreamTimeoutError):
            await fetch(client)


async def test_a_full_pool_is_a_timeout() -> None:
    async with (
        serving(always(b"")) as server,
        opened(server.url, max_connections=1, total_seconds=0.1) as client,
    ):
        answers = await asyncio.gather(*(fetch(client) for _ in range(3)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [UpstreamTimeoutError] * 3


async def _cancel_many(client: GalleryClient, server: RawServer, *, under_way: int) -> None:
    calls = [asyncio.create_task(fetch(client)) for _ in range(20)]
    await server.wait_for_requests(under_way)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize(
    "beginning", [b"", http_response(PAGE)[:-10]], ids=["no answer yet", "within the body"]
)
async def test_cancelled_calls_leave_the_pool_usable(beginning: bytes) -> None:
    answers = [beginning, beginning]

    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop() if answers else http_response(PAGE))

    async with serving(respond) as server, opened(server.url, max_connections=2) as client:
        await _cancel_many(client, server, under_way=2)

        pages = await asyncio.gather(*(fetch(client) for _ in range(4)))

    assert [len(fetched.body) for fetched in pages] == [len(PAGE)] * 4


async def test_answers_that_were_refused_leave_the_pool_usable() -> None:
    answers = [http_response(b" " * 2_000_000)] * 4

    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop() if answers else http_response(PAGE))

    async with serving(respond) as server, opened(server.url, max_connections=2) as client:
        await asyncio.gather(*(fetch(client) for _ in range(4)), return_exceptions=True)

        fetched = await fetch(client)

    assert len(fetched.body) == len(PAGE)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes the certificate with openssl")
async def test_a_certificate_that_nobody_vouches_for_gets_no_token(tmp_path: Path) -> None:
    async with (
        serving(always(http_response(PAGE)), tls=_self_signed(tmp_path)) as server,
        opened(server.url.replace("http:", "https:")) as client,
    ):
        with pytest.raises(GatewayError) as caught:
            await fetch(client)

    assert caught.value.code == "UPSTREAM_UNAVAILABLE"
    assert server.heads == []


def _self_signed(folder: Path) -> ssl.SSLContext:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # of our own words
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
