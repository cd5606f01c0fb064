"""Any bytes over a socket: no server error, no leak, and no delay for others."""

import asyncio
import json
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.attacks.sockets import TYPENAME, check, request, sent
from tests.edge.test_body_fuzzing import REQUESTS
from tests.fakes import OTHER_TOKEN, TOKEN
from tests.process.serving import Server

# Many at a time: most of an example is waiting.
AT_ONCE = 10
MANY = settings(
    # A quarter of what the run asks for elsewhere, and ten at once.
    max_examples=settings().max_examples // 4,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PATIENCE_SECONDS = 0.1

AS_ADA = b"authorization: Bearer demo-ada-token"
TOTAL = b'{"query": "{ gallery { pagination { total } projects { projectName } } }"}'
WHOLE = [
    request(AS_ADA, body=TOTAL),
    request(
        b"transfer-encoding: chunked", AS_ADA, body=b"1b\r\n" + TYPENAME + b"\r\n0\r\n\r\n", has_length=False
    ),
    request(
        AS_ADA, b"apollo-require-preflight: 1", line=b"GET /graphql?query=%7B__typename%7D HTTP/1.1", body=b""
    ),
    request(b"accept: text/html", line=b"GET /graphql HTTP/1.1", body=b""),
    request(AS_ADA, body=b"[" + TOTAL + b"," + TYPENAME + b"]"),
    request(
        b"origin: https://shop.example",
        b"access-control-request-method: POST",
        line=b"OPTIONS /graphql HTTP/1.1",
    ),
    request(line=b"GET /readyz HTTP/1.1", body=b""),
]
ODD_BYTES = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b"\xff", b"%00", b",", b'"', b"0", b"-"]
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A whole request with a few bytes cut out, doubled, replaced or put in."""
    text = draw(st.sampled_from(WHOLE))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        middle = draw(st.sampled_from([b"", text[start:end] * 2]) | ODD_BYTES | st.binary(max_size=6))
        text = text[:start] + middle + text[end:]
    return text


NAMES = st.sampled_from(
    [
        b"Accept",
        b"Accept-Encoding",
        b"Authorization",
        b"Cache-Control",
        b"Connection",
        b"Content-Encoding",
        b"Content-Type",
        b"Cookie",
        b"Expect",
        b"Forwarded",
        b"If-None-Match",
        b"Origin",
        b"Range",
        b"TE",
        b"Trailer",
        b"Upgrade",
        b"Via",
        b"X-Apollo-Operation-Name",
        b"X-Forwarded-For",
        b"X-Gateway-Report",
        b"X-HTTP-Method-Override",
        b"X-Request-ID",
    ]
)
VALUES = st.sampled_from(
    [
        b"Bearer " + TOKEN.encode(),
        b"bearer " + OTHER_TOKEN.encode(),
        b"application/json",
        b"no-cache",
        b"*/*;q=0.1, text/html",
        b"100-continue",
        b"websocket",
        b"trailers",
        b"keep-alive, authorization",
        b"1",
        b"*",
        b"",
    ]
) | st.binary(max_size=40).map(lambda value: value.replace(b"\r", b"").replace(b"\n", b""))
HEADERS = st.lists(st.tuples(NAMES, VALUES).map(b": ".join), max_size=6)
METHODS = st.sampled_from(
    [b"POST", b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE", b"PATCH", b"QUERY"]
)
PATHS = st.sampled_from(
    [b"/graphql", b"/graphql?query={__typename}", b"/graphql/", b"//graphql", b"/", b"/graphiql/x"]
)
BODIES = (
    st.sampled_from([TYPENAME, TOTAL, b"", b"[]"])
    | st.binary(max_size=80)
    | (REQUESTS | st.lists(REQUESTS, max_size=4)).map(lambda value: json.dumps(value).encode())
)


def headed(parts: tuple[list[bytes], bytes, bytes, bytes]) -> bytes:
    headers, method, path, body = parts
    return request(*headers, line=b"%b %b HTTP/1.1" % (method, path), body=body)


async def attack(server: Server, attacks: list[bytes]) -> None:
    answers = await asyncio.gather(*(sent(server, one, timeouts_seconds=PATIENCE_SECONDS) for one in attacks))
    for answer in answers:
        for response in answer:
            check(response)


def bunches(each: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(each, min_size=AT_ONCE, max_size=AT_ONCE)


@MANY
@given(attacks=bunches(st.binary(max_size=300)))
async def test_any_bytes_are_refused(server: Server, attacks: list[bytes]) -> None:
    await attack(server, attacks)


@MANY
@given(attacks=bunches(damaged()))
async def test_a_damaged_request_is_answered_or_refused(server: Server, attacks: list[bytes]) -> None:
    await attack(server, attacks)


@MANY
@given(attacks=bunches(st.tuples(HEADERS, METHODS, PATHS, BODIES).map(headed)))
async def test_any_headers_and_bodies_are_answered_or_refused(server: Server, attacks: list[bytes]) -> None:
    await attack(server, attacks)


async def test_the_server_still_responds_and_has_logged_no_secret(server: Server) -> None:
    (response,) = await sent(server, request())

    assert (response.status, response.body) == (200, b'{"data":{"__typename":"Query"}}')
    log = "".join(server.lines)
    assert "Traceback" not in log
    assert "token" not in log
