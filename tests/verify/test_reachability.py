"""The probes of the way to the REST API, each in a world where it holds and in one where it differs."""

import asyncio
import gzip
import json
import socket
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import httpx
import pytest

from gallery_gateway.verify import reachability
from gallery_gateway.verify.probe import Finding, Probe, Verdict, differs, holds, not_seen
from gallery_gateway.verify.session import Response, Token
from tests.fakes import OTHER_TOKEN, TOKEN, image_body, page_body, project_body
from tests.upstream.certificates import certified
from tests.upstream.sockets import Respond, always, http_response, serving
from tests.upstream.tunnels import proxying
from tests.verify.opening import finding_of, json_response, served, session, still_upstream

PAGE = json_response(page_body())
TOKENS = {Token.OURS: TOKEN, Token.OTHER: OTHER_TOKEN}
REFUSAL = http_response(b"", status="401 No")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that refuses connections, and that nobody else gets."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


async def found(probe: Probe, respond: Respond = always(PAGE), **settings: object) -> Finding:  # noqa: B008
    async with serving(respond) as server, session(server.url, tokens=TOKENS, settings=settings) as opened:
        return await finding_of(probe, opened)


async def test_the_addresses_of_the_host_are_counted() -> None:
    finding = await found(reachability.dns)

    assert (finding.verdict, finding.evidence.partition(", ")[0]) == (
        Verdict.HOLDS,
        "the API has 1 address of IPv4",
    )


async def test_a_host_name_without_an_address_ends_the_session() -> None:
    async with session(f"http://{'x' * 64}.example", tokens=TOKENS) as opened:
        finding = await finding_of(reachability.dns, opened)
        later = await finding_of(reachability.tcp, opened)

    assert finding == differs("the name of the API has no address")
    assert later == not_seen("there is no connection: the name of the API has no address")
    assert opened.ended == "there is no connection: the name of the API has no address"


async def test_a_port_that_accepts_connections_holds() -> None:
    finding = await found(reachability.tcp)

    assert finding.evidence.startswith("the API accepts a connection, ")
    assert finding.verdict is Verdict.HOLDS


async def test_a_port_that_refuses_connections_ends_the_session(silent_port: int) -> None:
    async with session(f"http://127.0.0.1:{silent_port}", tokens=TOKENS) as opened:
        finding = await finding_of(reachability.tcp, opened)
        later = await finding_of(reachability.no_token, opened)

    assert finding == differs("the API accepts no connection")
    assert later.evidence == "there is no connection: the API accepts no connection"


async def test_the_first_hop_is_the_proxy_if_there_is_one(silent_port: int) -> None:
    async with proxying() as proxy:
        settings = {"upstream_proxy_url": f"http://127.0.0.1:{proxy.port}"}
        async with session(f"http://127.0.0.1:{silent_port}", tokens=TOKENS, settings=settings) as opened:
            findings = [await finding_of(probe, opened) for probe in (reachability.dns, reachability.tcp)]

    assert [finding.verdict for finding in findings] == [Verdict.HOLDS] * 2
    assert ["the proxy" in finding.evidence for finding in findings] == [True] * 2


async def test_plain_http_holds_within_this_machine() -> None:
    assert await found(reachability.tls) == holds("plain HTTP within this machine")


async def test_the_connection_that_shows_the_certificate_is_closed() -> None:
    async with serving(always(PAGE)) as server:
        async with session(server.url, tokens=TOKENS) as opened:
            await finding_of(reachability.tls, opened)
            await opened.get()
        async with asyncio.timeout(5):
            await asyncio.gather(*server._handlers)

    assert server.connections == 2


async def test_plain_http_to_another_machine_differs() -> None:
    async with (
        serving(always(PAGE)) as server,
        # Reaches this machine, but is no loopback address.
        session(f"http://0.0.0.0:{server.port}", tokens=TOKENS) as opened,
    ):
        finding = await finding_of(reachability.tls, opened)

    assert finding == differs("plain HTTP")


async def test_https_to_a_port_of_plain_http_is_a_failed_handshake() -> None:
    with served(still_upstream()) as url:
        async with session(url.replace("http:", "https:"), tokens=TOKENS) as opened:
            finding = await finding_of(reachability.tls, opened)

    assert finding == differs("the TLS handshake failed")
    assert opened.ended == "there is no connection: the TLS handshake failed"


@pytest.mark.parametrize(
    ("valid_days", "verdict", "evidence"),
    [
        ((-1, 30), Verdict.HOLDS, "TLSv1.3, 29 days left, "),
        ((-1, 10), Verdict.DIFFERS, "TLSv1.3, 9 days left, "),
        ((-9, -1), Verdict.DIFFERS, "the certificate is not valid yet, or has expired"),
    ],
)
async def test_the_days_of_a_certificate_are_counted(
    tmp_path: Path, valid_days: tuple[int, int], verdict: Verdict, evidence: str
) -> None:
    certificate = certified(tmp_path, valid_days=valid_days)
    settings = {"upstream_ca_file": tmp_path / "certificate.pem"}
    async with serving(always(PAGE), tls=certificate.server) as server:
        url = server.url.replace("http:", "https:")
        async with session(url, tokens=TOKENS, settings=settings) as opened:
            finding = await finding_of(reachability.tls, opened)

    assert finding.verdict is verdict
    assert finding.evidence.startswith(evidence)


async def test_who_issued_a_certificate_is_for_the_terminal_alone(tmp_path: Path) -> None:
    certificate = certified(tmp_path, organisation="Atelier")
    settings = {"upstream_ca_file": tmp_path / "certificate.pem"}
    async with (
        serving(always(PAGE), tls=certificate.server) as server,
        session(server.url.replace("http:", "https:"), tokens=TOKENS, settings=settings) as opened,
    ):
        finding = await finding_of(reachability.tls, opened)

    assert finding.local == "issued by Atelier"
    assert "Atelier" not in finding.evidence


async def test_a_certificate_of_an_unknown_authority_ends_the_session(tmp_path: Path) -> None:
    certificate = certified(tmp_path)
    async with (
        serving(always(PAGE), tls=certificate.server) as server,
        session(server.url.replace("http:", "https:"), tokens=TOKENS) as opened,
    ):
        finding = await finding_of(reachability.tls, opened)

    assert finding.verdict is Verdict.DIFFERS
    assert opened.ended == f"there is no connection: {finding.evidence}"


@pytest.mark.parametrize("probe", [reachability.no_token, reachability.wrong_token], ids=lambda p: p.id)
@pytest.mark.parametrize(
    ("raw", "finding"),
    [
        (REFUSAL, holds("401 with no body: UNAUTHENTICATED")),
        (json_response({}, status="403 No"), differs("403 with a JSON object: FORBIDDEN")),
        (http_response(b"<html>", status="401 No"), differs("401 with HTML: UPSTREAM_UNAVAILABLE")),
        (PAGE, differs("200 with a JSON object: no error")),
    ],
    ids=["401", "403", "firewall", "page"],
)
async def test_a_refusal_is_what_clients_would_get(probe: Probe, raw: bytes, finding: Finding) -> None:
    assert await found(probe, always(raw)) == finding


async def test_a_token_that_gets_a_page_holds() -> None:
    assert await found(reachability.right_token) == holds("200 with a JSON object")
    assert await found(reachability.other_token) == holds("200 with a JSON object")


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        (REFUSAL, "401 with no body"),
        (http_response(b"", status="404 No"), "404 with no body"),
        (http_response(b"<html>"), "200 with HTML"),
    ],
)
async def test_a_token_that_gets_no_page_ends_the_session(raw: bytes, seen: str) -> None:
    async with serving(always(raw)) as server, session(server.url, tokens=TOKENS) as opened:
        finding = await finding_of(reachability.right_token, opened)

    assert finding == differs(seen)
    assert opened.ended == f"the access token gets no page: {seen}"


async def test_a_second_token_that_gets_no_page_differs() -> None:
    assert await found(reachability.other_token, always(REFUSAL)) == differs("401 with no body")


@pytest.mark.parametrize(
    ("ahead_seconds", "verdict"),
    [(0, Verdict.HOLDS), (3, Verdict.HOLDS), (-60, Verdict.DIFFERS), (60, Verdict.DIFFERS)],
)
async def test_clocks_are_compared(ahead_seconds: int, verdict: Verdict) -> None:
    date = formatdate(time.time() + ahead_seconds, usegmt=True)

    finding = await found(reachability.clock, always(json_response(page_body(), f"Date: {date}")))

    assert finding.verdict is verdict
    assert finding.evidence.endswith(" s apart")


@pytest.mark.parametrize("headers", [[], ["Date: today"]])
async def test_without_a_date_no_clocks_are_compared(headers: list[str]) -> None:
    finding = await found(reachability.clock, always(json_response(page_body(), *headers)))

    assert finding == not_seen("responses have no readable Date")


async def test_a_connection_that_is_used_again_holds() -> None:
    assert await found(reachability.keep_alive) == holds("the same connection")


async def test_a_connection_that_is_closed_differs() -> None:
    respond = always(json_response(page_body(), "Connection: close"), then_close=True)

    assert await found(reachability.keep_alive, respond) == differs("a new connection")


def compressing(body: bytes, *codings: str, packed: bytes | None = None) -> Respond:
    """Compress responses if one of the codings is asked for."""

    async def respond(head: bytes, writer: asyncio.StreamWriter) -> None:
        if any(f"accept-encoding: {coding}\r\n".encode() in head.lower() for coding in codings):
            writer.write(http_response(packed or gzip.compress(body), "Content-Encoding: gzip"))
        else:
            writer.write(http_response(body))

    return respond


BODY = json.dumps(page_body(project_body(1, *map(image_body, range(9))))).encode()


@pytest.mark.parametrize(
    ("respond", "verdict", "evidence"),
    [
        (compressing(BODY), Verdict.HOLDS, "gzip requested: not compressed"),
        (compressing(BODY, "gzip"), Verdict.HOLDS, f" bytes for {len(BODY):,}"),
        (
            compressing(BODY, "gzip", "identity"),
            Verdict.DIFFERS,
            "compressed although identity was requested",
        ),
        (
            compressing(BODY, "gzip", packed=gzip.compress(b"down")),
            Verdict.DIFFERS,
            "gzip requested: 200 with text",
        ),
    ],
    ids=["never", "gzip", "always", "broken"],
)
async def test_compression_is_compared_with_what_was_asked_for(
    respond: Respond, verdict: Verdict, evidence: str
) -> None:
    finding = await found(reachability.compression, respond)

    assert finding.verdict is verdict
    assert finding.evidence.endswith(evidence)


def page_response(body: object, *, seconds: float = 0.1) -> Response:
    return Response(200, httpx.Headers(), json.dumps(body).encode(), 1, body, seconds)


@pytest.mark.parametrize(
    ("slowest_seconds", "finding"),
    [
        (7.0, holds("median 200 ms, at most 7000 ms, of 3 small pages")),
        (8.0, differs("median 200 ms, at most 8000 ms, of 3 small pages")),
    ],
)
async def test_half_the_time_for_the_first_byte_is_too_slow(slowest_seconds: float, finding: Finding) -> None:
    async with session("http://127.0.0.1:1", tokens=TOKENS) as opened:
        opened.responses += [page_response({}, seconds=s) for s in (0.1, 0.2, slowest_seconds)]
        seen = await finding_of(reachability.latency, opened)

    assert seen == finding


@pytest.mark.parametrize(
    ("filename_bytes", "verdict"), [(0, Verdict.HOLDS), (10_000, Verdict.HOLDS), (12_000, Verdict.DIFFERS)]
)
async def test_images_are_weighed(filename_bytes: int, verdict: Verdict) -> None:
    images = [image_body(index, original_filename="x" * filename_bytes) for index in range(50)]
    async with session("http://127.0.0.1:1", tokens=TOKENS) as opened:
        opened.responses += [page_response(page_body(project_body(1, *images), project_body(2)))]
        finding = await finding_of(reachability.bytes_per_image, opened)

    assert finding.verdict is verdict
    assert finding.evidence.endswith(" a project, 50 images seen")


@pytest.mark.parametrize(
    ("body", "reason"),
    [(None, "there was no page"), (page_body(), "no page had an image"), ({}, "no page had an image")],
)
async def test_without_images_nothing_is_weighed(body: object, reason: str) -> None:
    async with session("http://127.0.0.1:1", tokens=TOKENS) as opened:
        opened.responses += [page_response(body)] if body is not None else []
        finding = await finding_of(reachability.bytes_per_image, opened)

    assert (finding.verdict, finding.evidence) == (Verdict.NOT_SEEN, reason)
