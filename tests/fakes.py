"""Fakes around the gateway: an upstream that records requests, REST bodies, and a client of the app."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx

from gallery_gateway.app import create_app
from gallery_gateway.clock import SYSTEM_CLOCK, Clock
from gallery_gateway.execution.limits import DocumentLimits
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.entry import FreshnessPolicy
from gallery_gateway.gallery.fetcher import PageFetcher
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.settings import Settings
from gallery_gateway.upstream.client import AnyTransport, GalleryClient
from gallery_gateway.upstream.resilience import PRODUCTION_RULES, Resilience, ResilienceRules
from gallery_gateway.upstream.transport import Timeouts
from tests.canary import look_at

TOKEN = "made-up-token-of-ada"
OTHER_TOKEN = "made-up-token-of-ben"

Handler = Callable[[httpx.Request], Awaitable[httpx.Response] | httpx.Response]


class FakeUpstream(httpx.AsyncBaseTransport):
    """A REST API that answers with `handler`, by default a page of one project, and records its requests."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.handler: Handler = lambda _request: httpx.Response(200, json=page_body())

    def answer(self, status: int = 200, **response: Any) -> None:
        self.handler = lambda _request: httpx.Response(status, **response)

    def fail(self, error: Exception) -> None:
        def handler(_request: httpx.Request) -> httpx.Response:
            raise error

        self.handler = handler

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        response = self.handler(request)
        return response if isinstance(response, httpx.Response) else await response


class Client:
    """A client of the gateway over ASGI."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def post(
        self,
        document: str,
        variables: dict[str, Any] | None = None,
        *,
        token: str | None = TOKEN,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        sent = {**(headers or {}), **({"authorization": f"Bearer {token}"} if token else {})}
        body = {"query": document, "variables": variables}
        return await self.http.post("/graphql", json=body, headers=sent)

    async def ask(
        self, document: str, variables: dict[str, Any] | None = None, *, token: str | None = TOKEN
    ) -> Any:
        """Return the GraphQL response to an operation."""
        return (await self.post(document, variables, token=token)).json()


@asynccontextmanager
async def gateway(
    transport: AnyTransport | None,
    *,
    clock: Clock = SYSTEM_CLOCK,
    rules: ResilienceRules = PRODUCTION_RULES,
    **settings: Any,
) -> AsyncIterator[Client]:
    """Start the complete app over `transport`, or that of the settings; these by their Python names."""
    # A failure is final after one request; tests of retries set more attempts.
    settings = {"upstream_max_attempts": 1, **settings}
    app = create_app(
        Settings.read(_env_file=None, **settings),
        transport=transport,
        clock=clock,
        rules=rules,
        owns_process=True,
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://gateway",
            event_hooks={"response": [_look_at]},
        ) as http,
    ):
        yield Client(http)


async def _look_at(response: httpx.Response) -> None:
    await response.aread()
    look_at("answers to clients", dumped(response))


def document_limits(**limits: int) -> DocumentLimits:
    """Return the default limits with some replaced."""
    return replace(DocumentLimits.for_tokens(2_000), **limits)


def build_gallery(
    transport: AnyTransport,
    *,
    clock: Clock = SYSTEM_CLOCK,
    ttl_seconds: float = 0,
    cache_max_bytes: int = 10_000_000,
    caller_max_bytes: int = 10_000_000,
    stale_while_revalidate_seconds: float = 0,
    stale_if_error_seconds: float = 0,
) -> Gallery:
    """Build the gallery over `transport`, without edge and schema; by default it caches nothing."""
    resilience = Resilience(max_attempts=1, max_connections=100, clock=clock.monotonic)
    client = GalleryClient(
        base_url="https://gallery.example",
        transport=transport,
        timeouts=Timeouts(connect=1, first_byte=1, read=1, total=60),
        max_bytes=100_000_000,
        user_agent="test",
        resilience=resilience,
    )
    cache = PageCache(max_bytes=cache_max_bytes, caller_max_bytes=caller_max_bytes, clock=clock)
    freshness = FreshnessPolicy(
        ttl_seconds=ttl_seconds,
        unfinished_ttl_seconds=ttl_seconds,
        link_margin_seconds=0,
        stale_while_revalidate_seconds=stale_while_revalidate_seconds,
        stale_if_error_seconds=stale_if_error_seconds,
    )
    fetcher = PageFetcher(client=client, cache=cache, freshness=freshness, clock=clock)
    return Gallery(fetcher=fetcher, cache=cache, rate_limits=resilience.rate_limits, clock=clock)


def page_body(*projects: dict[str, Any], **pagination: Any) -> dict[str, Any]:
    """Return the body of a page with these projects, or with one."""
    listed = list(projects or [project_body()])
    return {
        "pagination": {
            "page": 1,
            "per_page": 20,
            "total": len(listed),
            "pages": 1,
            "has_next": False,
            "has_prev": False,
            **pagination,
        },
        "projects": listed,
    }


def project_body(project_id: int = 7, *images: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "project_id": project_id,
        "project_name": f"Project {project_id}",
        "project_key": f"key-{project_id}",
        "created_at": "2026-01-02T03:04:05Z",
        "created_by": "ada",
        "total_images": len(images),
        "completed_images": len(images),
        "failed_images": 0,
        "images": list(images),
        **fields,
    }


def image_body(image_index: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "job_id": "job-1",
        "image_index": image_index,
        "group_index": 0,
        "version": 0,
        "original_filename": "shirt.jpg",
        "download_filename": None,
        "inputs": [{"full_size": "https://pictures.example/in", "thumbnail": None}],
        "output": {"full_size": "https://pictures.example/out", "thumbnail": None},
        "input_description": {"prompt": "a linen shirt"},
        "status": "completed",
        "quality_score": 0.5,
        "processing_time": 12.25,
        "error_message": None,
        "feedback": "like",
        "feedback_comment": None,
        "created_at": "2026-01-02T03:04:05Z",
        "review_status": None,
        "review_annotations": None,
        "retouch_claim": None,
        **fields,
    }


def parameters_of(request: httpx.Request) -> dict[str, str]:
    return dict(request.url.params.multi_items())


def dumped(response: httpx.Response) -> str:
    """Return everything of a response that a client can see."""
    return json.dumps([response.text, list(response.headers.items())])
