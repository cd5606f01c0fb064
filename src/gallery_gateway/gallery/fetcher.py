"""One upstream call for one caller, and the cache entry that it makes."""

from typing import NamedTuple

import msgspec

from gallery_gateway.clock import Clock
from gallery_gateway.errors import GatewayError, UpstreamNotFoundError
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.entry import (
    CacheEntry,
    FetchResult,
    FreshnessPolicy,
    ResponseWriter,
    has_pending_images,
    project_ids_of,
)
from gallery_gateway.gallery.request import GalleryRequest, query_string
from gallery_gateway.gallery.slicing import answered_size
from gallery_gateway.telemetry.records import Link
from gallery_gateway.upstream.caching import NOTHING_SAID, CachingRules
from gallery_gateway.upstream.client import FetchedPage, GalleryClient
from gallery_gateway.upstream.contract import Page, UpstreamPagination
from gallery_gateway.upstream.decoding import PageDecoder, parse_page
from gallery_gateway.upstream.resilience import Deadline

# How long an entry with an ETag is kept past its freshness, to be revalidated.
_REVALIDATION_SECONDS = 300.0


class _Response(NamedTuple):
    """A page with its JSON, or the known page that the REST API called unchanged."""

    page: Page
    body: bytes = b""
    received_bytes: int = 0
    rules: CachingRules = NOTHING_SAID
    call: Link | None = None
    decoder: PageDecoder = parse_page


class PageFetcher:
    """Fetches pages from the REST API, revalidates them by ETag, and puts them into the cache."""

    def __init__(
        self, *, client: GalleryClient, cache: PageCache, freshness: FreshnessPolicy, clock: Clock
    ) -> None:
        self._client = client
        self._cache = cache
        self._freshness = freshness
        self._clock = clock

    async def fetch(
        self,
        caller: Caller,
        request: GalleryRequest,
        *,
        deadline: Deadline | None = None,
        bypass_cache: bool = False,  # noqa: ARG002  # this fetcher reads no cache
        decoder: PageDecoder = parse_page,
        writer: ResponseWriter | None = None,
    ) -> FetchResult:
        """Fetch a page, and write the response of the operation that needs it, if there is a writer.

        Raises:
            GatewayError: the call failed.
        """
        asked_at = self._clock.monotonic()
        try:
            response = await self._respond(caller, request, deadline, decoder)
        except GatewayError as exc:
            if exc.consequences.purges_caller:
                self._cache.purge(caller.key)
            raise
        entry = self._entry(caller, request, response, asked_at=asked_at)
        self._cache.put(caller, entry)
        fetched = FetchResult(entry, response.page, response.decoder)
        if writer is not None:
            fetched.write(writer)
        return fetched

    def kept_request(self, caller: Caller, request: GalleryRequest, page: Page) -> GalleryRequest:
        """Return the request under which a page is kept: that of the caller's next load of it."""
        if answered_size(page, request) is None:
            return request
        self._cache.note_resized(caller.key)
        return msgspec.structs.replace(request, keeps_window=True)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _respond(
        self, caller: Caller, request: GalleryRequest, deadline: Deadline | None, decoder: PageDecoder
    ) -> _Response:
        """Fetch a page, or revalidate the known one if it has an ETag."""
        known = self._cache.revalidatable(caller, request)
        try:
            response = await self._client.fetch_page(
                query_string(request),
                authorization=caller.authorization,
                etag=known.rules.etag if known else None,
                caller_key=caller.key,
                deadline=deadline,
                decode=decoder,
            )
        except UpstreamNotFoundError:
            return _Response(await self._empty_page(caller, request, deadline))
        if isinstance(response, FetchedPage):
            page, body, rules, call = response.page, response.body, response.rules, response.call
            return _Response(page, body, len(body), rules, call, decoder)
        assert known is not None, "without its ETag there is no 304"  # noqa: S101  # for mypy
        rules = known.rules.renewed(response.rules)
        return _Response(known.read(), known.body, rules=rules, call=response.call)

    async def _empty_page(self, caller: Caller, request: GalleryRequest, deadline: Deadline | None) -> Page:
        """Return the page without projects that a 404 means (REST contract, open questions 1 and 2).

        An unknown project is an empty list. Past the end, the first page gives the totals.

        Raises:
            UpstreamNotFoundError: the first page was requested, so the REST endpoint itself is missing.
        """
        if request.project_id is not None:
            pagination = UpstreamPagination(
                page=request.page,
                per_page=request.per_page,
                total=0,
                pages=0,
                has_next=False,
                has_prev=request.page > 1,
            )
        elif request.page > 1:
            first_page = msgspec.structs.replace(request, page=1, max_images_per_project=1)
            first = await self._respond(caller, first_page, deadline, parse_page)
            pagination = msgspec.structs.replace(
                first.page.pagination, page=request.page, has_next=False, has_prev=True
            )
        else:
            raise UpstreamNotFoundError
        return Page(pagination, [])

    def _entry(
        self, caller: Caller, request: GalleryRequest, response: _Response, *, asked_at: float
    ) -> CacheEntry:
        now = self._clock.monotonic()
        page, rules = response.page, response.rules
        request = self.kept_request(caller, request, page)
        token_seconds = caller.expires_at - self._clock.wall()
        is_unfinished = has_pending_images(page.projects)
        lifetime = self._freshness.lifetime(rules, is_unfinished=is_unfinished, token_seconds=token_seconds)
        has_etag = rules.etag is not None and rules.is_storable and self._freshness.ttl_seconds > 0
        revalidatable = min(lifetime.fresh + _REVALIDATION_SECONDS, token_seconds) if has_etag else 0.0
        return CacheEntry(
            request=request,
            body=response.body,
            project_ids=project_ids_of(page),
            is_unfinished=is_unfinished,
            received_bytes=response.received_bytes,
            rules=rules,
            asked_at=asked_at,
            born_at=now - rules.age_seconds,
            fresh_until=now + lifetime.fresh,
            revalidate_until=now + lifetime.revalidating,
            stale_until=now + lifetime.if_error,
            keep_until=now + max(lifetime.revalidating, lifetime.if_error, revalidatable),
            link_margin_seconds=self._freshness.link_margin_seconds,
            call=response.call,
            parsed=None if response.body else page,
        )
