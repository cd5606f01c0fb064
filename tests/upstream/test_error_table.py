"""Every row of the error table holds for the running gateway, over an upstream that fails in that way."""

import asyncio
import errno
import hashlib
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from gallery_gateway.clock import Clock
from gallery_gateway.errors import ERRORS, Consequences
from gallery_gateway.telemetry import logs
from gallery_gateway.upstream.breaker import BreakerRules
from gallery_gateway.upstream.limiter import LimiterRules
from gallery_gateway.upstream.resilience import PRODUCTION_RULES, ResilienceRules
from gallery_gateway.upstream.transport import (
    ClosedError,
    FirstByteTimeoutError,
    HeadTooLargeError,
    OverheadTooLargeError,
    ProxyCredentialsError,
    ProxyUnreachableError,
    TotalTimeoutError,
    TunnelRefusedError,
)
from tests import virtual_time
from tests.fakes import Client, FakeUpstream, gateway, page_body
from tests.logging_to import Written

MAX_BYTES = 5_000
NO_BREAKERS = ResilienceRules(breaker=BreakerRules(min_calls=100_000))
CALLERS = [f"made-up-{number}" for number in range(4)]


def caused(error: httpx.TransportError, cause: BaseException) -> httpx.TransportError:
    error.__cause__ = cause
    return error


def refused_certificate(code: int) -> httpx.TransportError:
    cause = ssl.SSLCertVerificationError("no")
    cause.verify_code = code
    return caused(httpx.ConnectError("no"), cause)


def os_error(number: int) -> httpx.TransportError:
    return caused(httpx.ConnectError("no"), OSError(number, "no"))


FAILURES: dict[str, Exception | Callable[[], httpx.Response]] = {
    "rejected_parameter": lambda: httpx.Response(422),
    "unauthenticated": lambda: httpx.Response(401),
    "forbidden": lambda: httpx.Response(403),
    "intermediary": lambda: httpx.Response(403, content=b"<html>"),
    "rate_limited": lambda: httpx.Response(429),
    "status_404": lambda: httpx.Response(404),
    "status_502": lambda: httpx.Response(502),
    "status_503": lambda: httpx.Response(503),
    "status_5xx": lambda: httpx.Response(500),
    "status_other": lambda: httpx.Response(302),
    "dns": caused(httpx.ConnectError("no"), socket.gaierror(-2, "no")),
    "connect_refused": os_error(errno.ECONNREFUSED),
    "connect_unreachable": os_error(errno.EHOSTUNREACH),
    "connect_timeout": httpx.ConnectTimeout("no"),
    "connect_failed": httpx.ConnectError("no"),
    "no_file_descriptors": os_error(errno.EMFILE),
    "proxy_unreachable": caused(ProxyUnreachableError("no"), OSError(errno.ECONNREFUSED, "no")),
    "proxy_credentials": ProxyCredentialsError("no"),
    "proxy_refused": TunnelRefusedError("no"),
    "proxy_failed": caused(httpx.ProxyError("no"), ConnectionResetError(errno.ECONNRESET, "no")),
    "tls_untrusted": refused_certificate(19),
    "tls_hostname": refused_certificate(62),
    "tls_expired": refused_certificate(10),
    "tls_failed": caused(httpx.ConnectError("no"), ssl.SSLError("no")),
    "reset": caused(httpx.ReadError("no"), ConnectionResetError(errno.ECONNRESET, "no")),
    "closed": ClosedError("no"),
    "cut_off": httpx.ReadError("no"),
    "not_http": httpx.RemoteProtocolError("no"),
    "head_too_large": HeadTooLargeError("no"),
    "overhead_too_large": OverheadTooLargeError("no"),
    "first_byte_timeout": FirstByteTimeoutError("no"),
    "read_timeout": httpx.ReadTimeout("no"),
    "total_timeout": TotalTimeoutError("no"),
    "body_too_large": lambda: httpx.Response(200, content=b" " * (MAX_BYTES + 1)),
    "encoding": lambda: httpx.Response(200, headers={"content-encoding": "br"}, stream=httpx.ByteStream(b"")),
    "not_json": lambda: httpx.Response(200, content=b"<html>"),
    "not_a_page": lambda: httpx.Response(200, content=b"[]"),
    "unsendable": httpx.LocalProtocolError("no"),
    "other": httpx.TransportError("no"),
    "bug": RuntimeError("no"),
}
"""How the upstream fails, by kind."""

STATUSES = {kind: failure for kind, failure in FAILURES.items() if not isinstance(failure, Exception)}

TRUSTED = {"trusted_documents": "a manifest"}

REQUESTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "bad_request": ({}, {}),
    "parse_failed": ({"query": "{"}, {}),
    "validation_failed": ({"query": "{ nothing }"}, {}),
    "persisted_query_not_found": (
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}},
        {},
    ),
    "persisted_query_not_supported": (
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}},
        {"persisted_queries_max_bytes": 0},
    ),
    "document_unknown": ({"documentId": "sha256:" + "0" * 64}, TRUSTED),
    "document_not_trusted": ({"query": "{ __typename }"}, TRUSTED),
    "no_event_stream": ({"query": "subscription { gallery { pagination { total } } }"}, {}),
    "bad_user_input": ({"query": "{ gallery(page: 0) { pagination { total } } }"}, {}),
}
"""Requests that fail before any call is made, by kind, with the settings that it takes."""

ELSEWHERE = {"overloaded", "breaker_open", "given_up", "misfit", "contradiction", "shutting_down"}
ELSEWHERE |= {"too_many_streams", "streams_full"}
"""Kinds with a test of their own.

`tests/edge/subscriptions` has those of subscriptions,
`tests/schema/test_connection.py` has those of a contradiction, and `tests/process` that of a gateway that
shuts down.
"""


def rows_of(kinds: Iterable[str]) -> list[tuple[str, Consequences]]:
    return [(kind, ERRORS[kind]) for kind in kinds]


def page(number: int) -> str:
    return f"{{ gallery(page: {number}) {{ pagination {{ total }} }} }}"


def fail(upstream: FakeUpstream, kind: str) -> None:
    failure = FAILURES[kind]
    if isinstance(failure, Exception):
        upstream.fail(failure)
    else:
        upstream.handler = lambda _request: failure()


def heal(upstream: FakeUpstream) -> None:
    upstream.answer(json=page_body())


async def hang(_request: httpx.Request) -> httpx.Response:
    await asyncio.sleep(3_600)
    raise AssertionError


def code_of(answer: Any) -> str:
    return str(answer["errors"][0]["extensions"]["code"])


def reason_of_stale_page(answer: Any) -> str | None:
    assert ("errors" in answer) != ("extensions" in answer)
    return str(answer["extensions"]["stale"][0]["reason"]) if "extensions" in answer else None


@asynccontextmanager
async def opened(
    upstream: FakeUpstream, *, rules: ResilienceRules = PRODUCTION_RULES, **settings: Any
) -> AsyncIterator[Client]:
    """A gateway that goes by the loop's time, by default without retries and stale pages."""
    chosen: dict[str, Any] = {
        "upstream_max_bytes": MAX_BYTES,
        "stale_while_revalidate_seconds": 0,
        "stale_if_error_seconds": 0,
        **settings,
    }
    clock = Clock(monotonic=asyncio.get_running_loop().time)
    async with gateway(upstream, clock=clock, rules=rules, **chosen) as client:
        yield client


def run(scenario: Callable[[FakeUpstream], Coroutine[Any, Any, None]]) -> None:
    upstream = FakeUpstream()
    virtual_time.run(lambda: scenario(upstream))


def test_every_row_is_tested() -> None:
    assert FAILURES.keys() | REQUESTS.keys() | ELSEWHERE == ERRORS.keys()


def test_code_status_reason_and_log_level(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written()
    seen: dict[str, list[Any]] = {}

    async def scenario(upstream: FakeUpstream) -> None:
        async with opened(upstream, rules=NO_BREAKERS, log_format="json") as client:
            for kind in FAILURES:
                fail(upstream, kind)
                response = await client.post(page(1), token=kind)
                seen[kind] = [code_of(response.json()), response.status_code]

    with monkeypatch.context() as patched:
        patched.setattr("sys.stderr", written)
        run(scenario)
    logs.configure("info")

    lines = [line for line in written.lines() if line["event"] == "upstream.called"]
    for kind, line in zip(FAILURES, lines, strict=True):
        seen[kind] += [line["outcome"], line.get("reason"), line["level"]]
    assert seen == {
        kind: [row.code, row.http_status, row.code, row.reason, logging.getLevelName(row.log_level).lower()]
        for kind, row in rows_of(FAILURES)
    }


def test_retries() -> None:
    seen = {}

    async def scenario(upstream: FakeUpstream) -> None:
        async with opened(upstream, rules=NO_BREAKERS, upstream_max_attempts=3) as client:
            for kind in FAILURES:
                fail(upstream, kind)
                before = len(upstream.requests)
                await client.ask(page(1), token=kind)
                seen[kind] = len(upstream.requests) - before
                # The retry budget fills up again.
                await asyncio.sleep(60)

    run(scenario)

    assert seen == {kind: 3 if row.is_retried else 1 for kind, row in rows_of(FAILURES)}


def test_stale_pages() -> None:
    seen = {}

    async def scenario(upstream: FakeUpstream) -> None:
        async with opened(upstream, rules=NO_BREAKERS, stale_if_error_seconds=3_600) as client:
            for kind in FAILURES:
                heal(upstream)
                await client.ask(page(1), token=kind)
                # The page becomes stale.
                await asyncio.sleep(60)
                fail(upstream, kind)
                seen[kind] = reason_of_stale_page(await client.ask(page(1), token=kind))

    run(scenario)

    assert seen == {kind: row.code if row.allows_stale else None for kind, row in rows_of(FAILURES)}


def test_purges() -> None:
    seen = {}

    async def scenario(upstream: FakeUpstream) -> None:
        async with opened(upstream, rules=NO_BREAKERS) as client:
            for kind in FAILURES:
                heal(upstream)
                await client.ask(page(1), token=kind)
                fail(upstream, kind)
                await client.ask(page(2), token=kind)
                heal(upstream)
                before = len(upstream.requests)
                await client.ask(page(1), token=kind)
                seen[kind] = len(upstream.requests) > before

    run(scenario)

    assert seen == {kind: row.purges_caller for kind, row in rows_of(FAILURES)}


def test_pauses() -> None:
    seen = {}

    async def scenario(upstream: FakeUpstream) -> None:
        async with opened(upstream, rules=NO_BREAKERS) as client:
            for kind, failure in STATUSES.items():
                upstream.handler = partial(with_retry_after, failure)
                await client.ask(page(1), token=kind)
                heal(upstream)
                before = len(upstream.requests)
                await client.ask(page(2), token=kind)
                seen[kind] = len(upstream.requests) == before

    run(scenario)

    assert seen == {kind: row.pauses_caller for kind, row in rows_of(STATUSES)}
    assert not any(row.pauses_caller for kind, row in ERRORS.items() if kind not in STATUSES)


def with_retry_after(failure: Callable[[], httpx.Response], _request: httpx.Request) -> httpx.Response:
    response = failure()
    response.headers["retry-after"] = "60"
    return response


async def is_shut_out(client: Client, upstream: FakeUpstream, caller: str) -> bool:
    """Return whether the breakers refuse a call of this caller."""
    heal(upstream)
    before = len(upstream.requests)
    answer = await client.ask(page(1_000), token=caller)
    assert ("errors" in answer) == (len(upstream.requests) == before)
    return "errors" in answer


@pytest.mark.parametrize("kind", FAILURES)
def test_breakers(kind: str) -> None:
    row = ERRORS[kind]

    async def scenario(upstream: FakeUpstream) -> None:
        for callers in (1, 3):
            async with opened(upstream) as client:
                fail(upstream, kind)
                # With three callers, none of them makes enough calls for its own breaker.
                for number in range(20):
                    await client.ask(page(number + 1), token=CALLERS[number % callers])

                opens_api = row.is_unreachable or (callers > 1 and row.counts_for_breaker)
                assert await is_shut_out(client, upstream, CALLERS[3]) == opens_api
                assert await is_shut_out(client, upstream, CALLERS[0]) == row.counts_for_breaker

    run(scenario)


@pytest.mark.parametrize("kind", FAILURES)
def test_concurrency_limit(kind: str) -> None:
    async def scenario(upstream: FakeUpstream) -> None:
        async with opened(upstream, rules=NO_BREAKERS) as client:
            fail(upstream, kind)
            for number in range(20):
                await client.ask(page(number + 1), token=CALLERS[number % 3])

            assert await concurrent_calls(client, upstream) == (10 if ERRORS[kind].is_congestion else 20)

    run(scenario)


async def concurrent_calls(client: Client, upstream: FakeUpstream) -> int:
    """Return how many of fifty callers have a call under way at the same time."""
    before = len(upstream.requests)
    upstream.handler = hang
    asking = [asyncio.create_task(client.ask(page(1), token=f"late-{number}")) for number in range(50)]
    await asyncio.sleep(1)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    return len(upstream.requests) - before


@pytest.mark.parametrize("kind", REQUESTS)
async def test_requests_that_fail_before_any_call(kind: str, upstream: FakeUpstream, tmp_path: Path) -> None:
    row, (request, settings) = ERRORS[kind], REQUESTS[kind]
    manifest = tmp_path / "manifest.json"
    document = "{ gallery { pagination { total } } }"
    manifest.write_text(json.dumps({hashlib.sha256(document.encode()).hexdigest(): document}))
    if settings == TRUSTED:
        settings = {"trusted_documents": manifest}

    async with gateway(upstream, **settings) as client:
        headers = {"accept": "application/graphql-response+json", "authorization": "Bearer x"}
        response = await client.http.post("/graphql", json=request, headers=headers)

    assert (code_of(response.json()), response.status_code) == (row.code, row.http_status)
    assert not upstream.requests
    assert (row.is_retried, row.counts_for_breaker, row.allows_stale, row.purges_caller) == (False,) * 4


def test_an_open_breaker_allows_stale_pages() -> None:
    row = ERRORS["breaker_open"]

    async def scenario(upstream: FakeUpstream) -> None:
        async with opened(upstream, stale_if_error_seconds=3_600) as client:
            await client.ask(page(1))
            await asyncio.sleep(60)
            fail(upstream, "status_5xx")
            for number in range(20):
                await client.ask(page(number + 2))
            before = len(upstream.requests)

            stale, missing = await client.ask(page(1)), await client.post(page(100))

            assert reason_of_stale_page(stale) == row.code
            assert (code_of(missing.json()), missing.status_code) == (row.code, row.http_status)
            assert len(upstream.requests) == before

    run(scenario)


def test_a_full_queue_allows_stale_pages() -> None:
    row = ERRORS["overloaded"]

    async def scenario(upstream: FakeUpstream) -> None:
        rules = ResilienceRules(limiter=LimiterRules(max_waiting=0))
        settings: dict[str, Any] = {"upstream_max_connections": 1, "upstream_max_attempts": 3}
        async with opened(upstream, rules=rules, stale_if_error_seconds=3_600, **settings) as client:
            await client.ask(page(1))
            await asyncio.sleep(60)
            upstream.handler = hang
            holder = asyncio.create_task(client.ask(page(2), token=CALLERS[0]))
            await asyncio.sleep(1)
            before = len(upstream.requests)

            stale, missing = await client.ask(page(1)), await client.post(page(3))

            holder.cancel()
            assert reason_of_stale_page(stale) == row.code
            assert (code_of(missing.json()), missing.status_code) == (row.code, row.http_status)
            assert len(upstream.requests) == before

    run(scenario)


def test_a_call_that_is_given_up_allows_stale_pages_and_opens_no_breaker() -> None:
    row = ERRORS["given_up"]

    async def scenario(upstream: FakeUpstream) -> None:
        settings: dict[str, Any] = {"operation_timeout_seconds": 5, "upstream_max_attempts": 3}
        async with opened(upstream, stale_if_error_seconds=3_600, **settings) as client:
            await client.ask(page(1))
            await asyncio.sleep(60)
            upstream.handler = hang

            assert reason_of_stale_page(await client.ask(page(1))) == row.code
            responses = [await client.post(page(number + 2)) for number in range(20)]

            assert {(code_of(response.json()), response.status_code) for response in responses} == {
                (row.code, row.http_status)
            }
            assert len(upstream.requests) == 22
            assert not await is_shut_out(client, upstream, CALLERS[0])

    run(scenario)


def test_a_value_that_does_not_fit_costs_its_field_and_no_further_call() -> None:
    row = ERRORS["misfit"]

    async def scenario(upstream: FakeUpstream) -> None:
        damaged = page_body()
        damaged["projects"][0]["total_images"] = "many"
        upstream.answer(json=damaged)
        async with opened(upstream, upstream_max_attempts=3) as client:
            response = await client.post("{ gallery { projects { totalImages } } }")

        assert (code_of(response.json()), response.status_code) == (row.code, row.http_status)
        assert len(upstream.requests) == 1

    run(scenario)
