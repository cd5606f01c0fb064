"""One request becomes one page or one error: what is sent, and which error each failure becomes."""

import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from gallery_gateway.errors import (
    BadUserInputError,
    GatewayError,
    RejectedParameterError,
    UnauthenticatedError,
    UpstreamContractError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gallery_gateway.gallery.request import GalleryRequest, query_string
from gallery_gateway.upstream.client import FetchedPage, GalleryClient
from gallery_gateway.upstream.resilience import Resilience
from gallery_gateway.upstream.transport import Timeouts
from tests.fakes import FakeUpstream, page_body

AUTHORIZATION = "Bearer made-up-token"


def make_client(
    transport: httpx.AsyncBaseTransport,
    *,
    base_url: str = "https://api.example",
    total_seconds: float = 10.0,
    max_bytes: int = 1_000_000,
) -> GalleryClient:
    return GalleryClient(
        base_url=base_url,
        transport=transport,
        timeouts=Timeouts(connect=1.0, first_byte=2.0, read=2.0, total=total_seconds),
        resilience=Resilience(max_attempts=1, max_connections=10, clock=time.monotonic),
        max_bytes=max_bytes,
        user_agent="gallery-gateway/1.2.3",
    )


async def fetch(transport: httpx.AsyncBaseTransport, request: GalleryRequest | None = None) -> None:
    query = query_string(request or GalleryRequest())
    await make_client(transport).fetch_page(query, authorization=AUTHORIZATION, caller_key=b"key-of-ada")


def test_the_import_of_the_client_loads_no_graphql_library() -> None:
    program = "import sys, gallery_gateway.upstream.client; print({'graphql', 'strawberry'} & {*sys.modules})"
    ended = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ended.stdout == "set()\n"


async def test_the_page_and_its_size_are_given(upstream: FakeUpstream) -> None:
    fetched = await make_client(upstream).fetch_page(
        "", authorization=AUTHORIZATION, caller_key=b"key-of-ada"
    )

    assert isinstance(fetched, FetchedPage)
    assert fetched.page.projects[0].project_id == 7
    assert len(fetched.body) == len(httpx.Response(200, json=page_body()).content)


async def test_one_request_is_sent_for_one_page(upstream: FakeUpstream) -> None:
    await fetch(upstream)

    assert [(request.method, request.url.path) for request in upstream.requests] == [
        ("GET", "/gallery/by-project")
    ]


@pytest.mark.parametrize("base_url", ["https://api.example/base", "https://api.example/base/"])
async def test_the_path_goes_below_the_base_url(upstream: FakeUpstream, base_url: str) -> None:
    await make_client(upstream, base_url=base_url).fetch_page(
        "", authorization=AUTHORIZATION, caller_key=b"key-of-ada"
    )

    assert upstream.requests[0].url.path == "/base/gallery/by-project"


async def test_one_authorization_header_is_sent(upstream: FakeUpstream) -> None:
    await fetch(upstream)

    assert upstream.requests[0].headers.get_list("authorization") == [AUTHORIZATION]


async def test_exactly_these_headers_are_sent(upstream: FakeUpstream) -> None:
    await fetch(upstream)

    sent = dict(upstream.requests[0].headers)
    assert sent == {
        "host": "api.example",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": "gallery-gateway/1.2.3",
        "authorization": AUTHORIZATION,
    }


async def test_the_token_stays_out_of_the_url(upstream: FakeUpstream) -> None:
    await fetch(upstream)

    assert "made-up-token" not in str(upstream.requests[0].url)


async def test_feedback_is_sent_as_repeated_keys(upstream: FakeUpstream) -> None:
    await fetch(upstream, GalleryRequest(feedback=("b", "a")))

    assert upstream.requests[0].url.params.get_list("feedback") == ["a", "b"]


async def test_absent_parameters_are_not_sent(upstream: FakeUpstream) -> None:
    await fetch(upstream)

    assert set(upstream.requests[0].url.params) == {
        "page",
        "per_page",
        "order",
        "sort_by",
        "max_images_per_project",
    }


@pytest.mark.parametrize("text", ["a b", "a+b", "a&page=9", "a%20b", "\u00e9\U0001f600", "#?/", "\x00\n"])
async def test_any_text_arrives_unchanged(upstream: FakeUpstream, text: str) -> None:
    await fetch(upstream, GalleryRequest(search=text))

    assert upstream.requests[0].url.params.get_list("search") == [text]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(upstream: FakeUpstream, status: int) -> None:
    upstream.answer(status, headers={"location": "https://elsewhere.example/"})

    with pytest.raises(UpstreamContractError):
        await fetch(upstream)

    assert len(upstream.requests) == 1


def _kinds_of(error: type[httpx.TransportError]) -> Iterator[type[httpx.TransportError]]:
    yield error
    for kind in error.__subclasses__():
        yield from _kinds_of(kind)


ERRORS_OF_HTTPX = list(_kinds_of(httpx.TransportError))


@pytest.mark.parametrize("kind", ERRORS_OF_HTTPX)
async def test_every_error_of_httpx_has_a_code(
    upstream: FakeUpstream, kind: type[httpx.TransportError]
) -> None:
    expected = UpstreamTimeoutError if issubclass(kind, httpx.TimeoutException) else UpstreamUnavailableError
    upstream.fail(kind("https://api.example: secret detail"))

    with pytest.raises(GatewayError) as caught:
        await fetch(upstream)

    assert type(caught.value) is expected


@pytest.mark.parametrize("kind", ERRORS_OF_HTTPX)
async def test_no_detail_of_an_httpx_error_is_in_the_message(
    upstream: FakeUpstream, kind: type[httpx.TransportError]
) -> None:
    upstream.fail(kind("https://api.example: secret detail"))

    with pytest.raises(GatewayError) as caught:
        await fetch(upstream)

    assert "secret" not in str(caught.value)
    assert "api.example" not in str(caught.value)


async def test_a_response_above_the_limit_is_refused(upstream: FakeUpstream) -> None:
    with pytest.raises(UpstreamContractError, match="larger than 20 bytes"):
        await make_client(upstream, max_bytes=20).fetch_page(
            "", authorization=AUTHORIZATION, caller_key=b"key-of-ada"
        )


async def test_arguments_too_long_for_a_url_are_the_callers_error(upstream: FakeUpstream) -> None:
    feedback = tuple(f"{index}" + "\u00e9" * 498 for index in range(50))

    with pytest.raises(BadUserInputError):
        await fetch(upstream, GalleryRequest(feedback=feedback))


async def test_a_refused_parameter_is_named(upstream: FakeUpstream) -> None:
    upstream.answer(422, json={"detail": [{"field": "page"}]})

    with pytest.raises(RejectedParameterError) as caught:
        await fetch(upstream)

    assert caught.value.parameter == "page"


@pytest.mark.parametrize(
    "response",
    [
        {"content": b"x" * 1_000_000},
        {"content": b"not gzip", "headers": {"content-encoding": "br"}},
    ],
    ids=["too large", "unknown compression"],
)
async def test_an_error_body_that_cannot_be_read_does_not_hide_the_status(
    upstream: FakeUpstream, response: dict[str, object]
) -> None:
    upstream.answer(401, **response)

    with pytest.raises(UnauthenticatedError):
        await fetch(upstream)
