"""The client over the real transport and real sockets: what goes over the wire, and what does not."""

import gzip
import re
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.errors import GatewayError, UpstreamContractError
from gallery_gateway.upstream.transport import RawHeader, RawResponse, request_head
from tests.fakes import gateway
from tests.upstream.certificates import load_keys_openssl, self_signed
from tests.upstream.opening import AUTHORIZATION, PAGE, fetch, opened
from tests.upstream.sockets import always, http_response, serving
from tests.upstream.test_transport_errors import logged

PROXY_VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def fields_of(head: bytes) -> list[tuple[str, str]]:
    lines = head.decode().split("\r\n")[1:-2]
    return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]


def names_of(head: bytes) -> list[str]:
    return sorted(name for name, _ in fields_of(head))


def parameters_in(head: bytes) -> dict[str, list[str]]:
    target = head.split(b" ")[1].decode()
    return parse_qs(urlsplit(target).query, keep_blank_values=True)


async def test_a_page_arrives_over_the_wire() -> None:
    async with serving(always(http_response(PAGE))) as server, opened(server.url) as client:
        fetched = await fetch(client)

    assert len(fetched.body) == len(PAGE)
    assert fetched.page.projects[0].project_id == 7


async def test_the_transport_adds_no_headers() -> None:
    async with serving(always(http_response(PAGE))) as server, opened(server.url) as client:
        await fetch(client)

    assert sorted(fields_of(server.heads[0])) == [
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("authorization", AUTHORIZATION),
        ("host", f"127.0.0.1:{server.port}"),
        ("user-agent", "gallery-gateway/1.2.3"),
    ]


async def test_the_headers_of_the_operator_are_sent_and_never_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    with logged(monkeypatch) as written:
        async with (
            serving(always(http_response(b"", status="500 No"))) as server,
            gateway(
                None,
                upstream_url=server.url,
                upstream_headers="X-Api-Key: made-up-key\nX-Tenant: made-up-tenant",
                log_level="debug",
                log_format="json",
            ) as client,
        ):
            response = await client.post("{ gallery { pagination { total } } }")

    fields = fields_of(server.heads[0])
    assert {("x-api-key", "made-up-key"), ("x-tenant", "made-up-tenant")} <= set(fields)
    assert "made-up-key" not in str(written.lines()) + response.text + str(response.headers)


@pytest.mark.parametrize(
    "text",
    ["a b", "a+b", "a%2Bb", "%41", "a&page=9", "a=b;c", "\u00e9\U0001f600", "#?/\\", "\x00\n\x7f", "'\"", ""],
)
async def test_a_text_arrives_unchanged(text: str) -> None:
    async with serving(always(http_response(PAGE))) as server, opened(server.url) as client:
        await fetch(client, urlencode({"search": text, "page": "2"}))

    assert parameters_in(server.heads[0]) == {"search": [text], "page": ["2"]}


async def test_repeated_keys_arrive_repeated() -> None:
    async with serving(always(http_response(PAGE))) as server, opened(server.url) as client:
        await fetch(client, "feedback=a&feedback=b")

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


async def test_a_connection_that_upstream_closed_meanwhile_is_replaced() -> None:
    answer = http_response(PAGE, "Connection: close")

    async with serving(always(answer, then_close=True)) as server, opened(server.url) as client:
        await fetch(client)
        await fetch(client)

    assert server.connections == 2


async def test_a_header_cannot_become_two() -> None:
    async with serving(always(http_response(PAGE))) as server, opened(server.url) as client:
        with pytest.raises(GatewayError):
            await client.fetch_page("", authorization="Bearer a\r\nX-Other: b", caller_key=b"key-of-ada")

    assert server.heads == []


TEXTS = st.binary(max_size=2) | st.text("a\r\n\0", max_size=4).map(str.encode)


@given(target=TEXTS, headers=st.lists(st.tuples(TEXTS, TEXTS), max_size=4))
def test_a_request_has_the_given_lines_or_is_not_sent(target: bytes, headers: list[RawHeader]) -> None:
    is_safe = not re.search(rb"[\r\n\0]", b"".join([target, *chain(*headers)]))

    with nullcontext() if is_safe else pytest.raises(httpx.LocalProtocolError):
        lines = request_head(target, headers).split(b"\r\n")

        expected = [b"GET %b HTTP/1.1" % target, *(b"%b: %b" % header for header in headers), b"", b""]
        assert lines == expected


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


@load_keys_openssl
async def test_no_token_is_sent_to_a_host_with_an_untrusted_certificate(tmp_path: Path) -> None:
    async with (
        serving(always(http_response(PAGE)), tls=self_signed(tmp_path).server) as server,
        opened(server.url.replace("http:", "https:")) as client,
    ):
        with pytest.raises(GatewayError) as caught:
            await fetch(client)

    assert caught.value.code == "UPSTREAM_UNAVAILABLE"
    assert server.heads == []


def test_parts_that_were_read_are_freed() -> None:
    response = RawResponse(200, [], parts=[b"one", bytearray(b"two"), b"three"])

    parts = [(part, len(response.parts)) for part in response]

    assert parts == [(b"one", 2), (b"two", 1), (b"three", 0)]
