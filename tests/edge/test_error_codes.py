"""Every error code, as a client of the complete app sees it."""

from typing import Any

import httpx
import pytest

from gallery_gateway.upstream.transport import Pool
from tests.edge.sending import GRAPHQL_RESPONSE, JSON, codes, send
from tests.fakes import TOKEN, Client, FakeUpstream, dumped, gateway, page_body
from tests.upstream.sockets import always, serving

TOTAL = "{ gallery { pagination { total } } }"
PROJECT = "{ project(projectId: 7) { projectName } }"

# What must not come out: words of the endpoint's bodies and errors, its address, the token.
PRIVATE = ["inner-detail", "piktid", "gallery/by-project", "https://", TOKEN]


def invalid(field: str | None) -> dict[str, Any]:
    detail = [{"field": field, "message": "inner-detail", "position": "query"}]
    return {"error": "Invalid request", "detail": detail}


ANSWERS = [
    (400, {"json": invalid("per_page")}, "BAD_USER_INPUT"),
    (422, {"json": invalid("per_page")}, "BAD_USER_INPUT"),
    (422, {"json": invalid(None)}, "BAD_USER_INPUT"),
    (422, {"html": "<p>inner-detail</p>"}, "BAD_USER_INPUT"),
    (401, {}, "UNAUTHENTICATED"),
    (401, {"text": "inner-detail"}, "UNAUTHENTICATED"),
    (402, {"json": {"error": "inner-detail"}}, "FORBIDDEN"),
    (403, {"json": {"error": "inner-detail"}}, "FORBIDDEN"),
    (429, {"headers": {"retry-after": "7"}}, "RATE_LIMITED"),
    (429, {"text": "inner-detail"}, "RATE_LIMITED"),
    (500, {"html": "<p>inner-detail</p>"}, "UPSTREAM_UNAVAILABLE"),
    (502, {}, "UPSTREAM_UNAVAILABLE"),
    (503, {"text": "inner-detail"}, "UPSTREAM_UNAVAILABLE"),
    (504, {"json": {"error": "inner-detail"}}, "UPSTREAM_UNAVAILABLE"),
    (200, {"text": "inner-detail"}, "UPSTREAM_CONTRACT"),
    (200, {"content": b""}, "UPSTREAM_CONTRACT"),
    (200, {"json": []}, "UPSTREAM_CONTRACT"),
    (200, {"json": {"projects": "inner-detail"}}, "UPSTREAM_CONTRACT"),
    (200, {"content": b'{"pagination": "\xff"}'}, "UPSTREAM_CONTRACT"),
    (204, {}, "UPSTREAM_CONTRACT"),
    (302, {"headers": {"location": "https://inner-detail.example"}}, "UPSTREAM_CONTRACT"),
    (404, {"text": "inner-detail"}, "UPSTREAM_CONTRACT"),
    (410, {"text": "inner-detail"}, "UPSTREAM_CONTRACT"),
]
FAILURES = [
    (httpx.ConnectTimeout("inner-detail"), "UPSTREAM_TIMEOUT"),
    (httpx.ReadTimeout("inner-detail"), "UPSTREAM_TIMEOUT"),
    (httpx.PoolTimeout("inner-detail"), "UPSTREAM_TIMEOUT"),
    (httpx.ConnectError("inner-detail"), "UPSTREAM_UNAVAILABLE"),
    (httpx.ReadError("inner-detail"), "UPSTREAM_UNAVAILABLE"),
    (httpx.RemoteProtocolError("inner-detail"), "UPSTREAM_UNAVAILABLE"),
    (RuntimeError("inner-detail"), "INTERNAL_SERVER_ERROR"),
]


def check(response: httpx.Response, code: str) -> None:
    """The field is null, its one error has the code, and nothing private came along."""
    assert response.status_code == 200
    answer = response.json()
    assert answer["data"] == {"gallery": None}
    assert codes(response) == [code]
    assert answer["errors"][0]["path"] == ["gallery"]
    assert answer["errors"][0]["locations"] == [{"line": 1, "column": 3}]
    assert not [private for private in PRIVATE if private in dumped(response)]


@pytest.mark.parametrize(("status", "body", "code"), ANSWERS)
async def test_an_answer_of_the_endpoint_has_its_code(
    client: Client, upstream: FakeUpstream, status: int, body: dict[str, Any], code: str
) -> None:
    upstream.answer(status, **body)

    response = await client.post(TOTAL)

    check(response, code)


@pytest.mark.parametrize(("error", "code"), FAILURES, ids=lambda value: type(value).__name__)
async def test_a_failed_call_has_its_code(
    client: Client, upstream: FakeUpstream, error: Exception, code: str
) -> None:
    upstream.fail(error)

    response = await client.post(TOTAL)

    check(response, code)


async def test_a_call_beyond_its_total_time_is_a_timeout() -> None:
    async with serving(always(b"")) as silent:
        transport = Pool(silent.url, max_connections=1, max_bytes=1_000)
        async with gateway(transport, upstream_total_timeout_seconds=0.05) as client:
            response = await client.post(TOTAL)

    check(response, "UPSTREAM_TIMEOUT")


async def test_an_answer_that_is_too_large_breaks_the_contract(upstream: FakeUpstream) -> None:
    upstream.answer(json=page_body(padding="inner-detail" * 200))

    async with gateway(upstream, upstream_max_bytes=1024) as client:
        response = await client.post(TOTAL)

    check(response, "UPSTREAM_CONTRACT")


@pytest.mark.parametrize("status", [400, 422])
async def test_a_refused_parameter_is_named_as_the_graph_names_it(
    client: Client, upstream: FakeUpstream, status: int
) -> None:
    upstream.answer(status, json=invalid("max_images_per_project"))

    answer = await client.ask(TOTAL)

    assert answer["errors"][0]["extensions"]["argument"] == "maxImagesPerProject"


async def test_an_argument_out_of_range_is_an_error_without_an_upstream_call(
    client: Client, upstream: FakeUpstream
) -> None:
    answer = await client.ask("{ gallery(perPage: 101) { pagination { total } } }")

    assert answer["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT", "argument": "perPage"}
    assert "from 1 to 100" in answer["errors"][0]["message"]
    assert upstream.requests == []


async def test_a_rate_limit_says_how_long_to_wait(client: Client, upstream: FakeUpstream) -> None:
    upstream.answer(429, headers={"retry-after": "7"})

    answer = await client.ask(TOTAL)

    assert answer["errors"][0]["extensions"] == {"code": "RATE_LIMITED", "retryAfter": 7}


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, {"json": page_body() | {"projects": []}}), (404, {}), (404, {"json": {"error": "inner-detail"}})],
)
async def test_an_unknown_project_is_null_and_no_error(
    client: Client, upstream: FakeUpstream, status: int, body: dict[str, Any]
) -> None:
    upstream.answer(status, **body)

    answer = await client.ask(PROJECT)

    assert answer == {"data": {"project": None}}


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("", "GRAPHQL_PARSE_FAILED"),
        ("{ a(: 1) }", "GRAPHQL_PARSE_FAILED"),
        ("{ " * 2_500, "GRAPHQL_PARSE_FAILED"),
        ("{ unheardOf }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ gallery }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ gallery(page: true) { pagination { total } } }", "GRAPHQL_VALIDATION_FAILED"),
        ("query($a: Int!) { project(projectId: $a) { id } }", "BAD_USER_INPUT"),
    ],
)
async def test_a_document_that_cannot_be_run_has_its_code_and_costs_no_upstream_request(
    client: Client, upstream: FakeUpstream, document: str, code: str
) -> None:
    response = await client.post(document, headers={"accept": GRAPHQL_RESPONSE})

    assert response.status_code == 400
    assert codes(response) == [code]
    assert upstream.requests == []


async def test_a_bug_is_masked_and_identified_by_its_request_id(
    client: Client, upstream: FakeUpstream
) -> None:
    upstream.fail(RuntimeError("inner-detail"))

    response = await client.post(TOTAL, headers={"x-request-id": "mine"})

    assert response.json()["errors"][0]["message"] == "Something went wrong in the gateway."
    assert response.json()["errors"][0]["extensions"] == {
        "code": "INTERNAL_SERVER_ERROR",
        "requestId": "mine",
    }


async def test_a_bug_is_logged_whole_under_its_request_id(
    capsys: pytest.CaptureFixture[str], upstream: FakeUpstream
) -> None:
    upstream.fail(RuntimeError("inner-detail"))

    async with gateway(upstream, log_format="text") as client:
        await client.post(TOTAL, headers={"x-request-id": "mine"})

    logged = capsys.readouterr().err
    assert "operation.bug request_id=mine" in logged
    assert "RuntimeError: inner-detail" in logged


async def test_an_expected_error_is_logged_without_a_traceback(
    capsys: pytest.CaptureFixture[str], upstream: FakeUpstream
) -> None:
    upstream.answer(503, text="inner-detail")

    async with gateway(upstream, log_format="text") as client:
        await client.post(TOTAL, headers={"x-request-id": "mine"})

    logged = capsys.readouterr().err
    (line,) = (line for line in logged.splitlines() if "operation.served" in line)
    assert "request_id=mine" in line
    assert "codes=UPSTREAM_UNAVAILABLE" in line
    assert "Traceback" not in logged
    assert "inner-detail" not in logged


async def test_a_bug_outside_of_the_operation_is_a_masked_500(
    capsys: pytest.CaptureFixture[str], upstream: FakeUpstream
) -> None:
    async with gateway(upstream) as client:
        response = await send(client, Broken(), x_request_id="mine")

    assert response.status_code == 500
    assert response.headers["content-type"] == f"{JSON}; charset=utf-8"
    assert response.json()["errors"][0]["extensions"] == {
        "code": "INTERNAL_SERVER_ERROR",
        "requestId": "mine",
    }
    assert "inner-detail" not in dumped(response)
    assert "RuntimeError: inner-detail" in capsys.readouterr().err


class Broken:
    """A body whose reading fails in a way that nobody thought of."""

    def __aiter__(self) -> "Broken":
        return self

    async def __anext__(self) -> bytes:
        raise RuntimeError("inner-detail")
