"""One upstream call for one caller, and what of it is kept."""

from dataclasses import dataclass, replace
from typing import Protocol, Self

import msgspec

from gallery_gateway.clock import Clock
from gallery_gateway.errors import (
    ForbiddenError,
    UnauthenticatedError,
    UpstreamNotFoundError,
)
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.entry import CacheEntry, FetchResult, FreshnessPolicy, project_ids_of
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.telemetry.records import Link
from gallery_gateway.upstream.caching import NOTHING_SAID, CachingRules
from gallery_gateway.upstream.client import FetchedPage, GalleryClient
from gallery_gateway.upstream.contract import Page, UpstreamPagination
from gallery_gateway.upstream.decoding import PageDecoder, parse_page
from gallery_gateway.upstream.resilience import Deadline

# How long past its freshness a page waits for being renewed by its ETag.
_RENEWAL_SECONDS = 300.0


class Fetcher(Protocol):
    """Brings pages, and puts them into the cache."""

    @property
    def is_sharing(self) -> bool | None:
        """Whether pages are shared with other processes; None if they are not meant to be."""

    async def open(self) -> None:
        """Connects, where that is of use before the first page is asked for."""

    async def fetch(
        self,
        caller: Caller,
        request: GalleryRequest,
        *,
        deadline: Deadline | None = None,
        skips_cache: bool = False,
        read: PageDecoder = parse_page,
    ) -> FetchResult:
        """Raises: GatewayError: upstream gave no page."""

    async def aclose(self) -> None: ...


class PageFetcher:
    """Asks the endpoint, renews what it calls unchanged, and puts what came into the cache."""

    def __init__(
        self, *, client: GalleryClient, cache: PageCache, freshness: FreshnessPolicy, clock: Clock
    ) -> None:
        self._client = client
        self._cache = cache
        self._freshness = freshness
        self._clock = clock
        self.is_sharing = None

    async def open(self) -> None:
        """The endpoint is connected to when it is asked: the gateway starts without it."""

    async def fetch(
        self,
        caller: Caller,
        request: GalleryRequest,
        *,
        deadline: Deadline | None = None,
        skips_cache: bool = False,  # noqa: ARG002  # the endpoint is asked in any case
        read: PageDecoder = parse_page,
    ) -> FetchResult:
        """Raises: GatewayError: upstream gave no page."""
        started = self._clock.monotonic()
        try:
            answer = await self._ask(caller, request, deadline, read)
        except (UnauthenticatedError, ForbiddenError):
            self._cache.purge(caller.key)
            raise
        entry = self._entry(caller, request, answer, asked_at=started)
        self._cache.put(caller, entry)
        return FetchResult(entry, answer.page, answer.reader)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _ask(
        self, caller: Caller, request: GalleryRequest, deadline: Deadline | None, read: PageDecoder
    ) -> "_Answer":
        known = self._cache.renewable(caller, request)
        try:
            if known is None or known.rules.etag is None:
                return _Answer.of(await self._fetch(caller, request, deadline, read), read)
            answer = await self._client.revalidate_page(
                request.parameters(),
                authorization=caller.authorization,
                etag=known.rules.etag,
                caller_key=caller.key,
                deadline=deadline,
                read=read,
            )
        except UpstreamNotFoundError:
            return _Answer(await self._page_of_nothing(caller, request, deadline))
        if isinstance(answer, FetchedPage):
            return _Answer.of(answer, read)
        return _Answer(
            known.page,
            known.body,
            rules=known.rules.renewed(answer.rules),
            call=answer.call,
        )

    async def _fetch(
        self, caller: Caller, request: GalleryRequest, deadline: Deadline | None, read: PageDecoder
    ) -> FetchedPage:
        return await self._client.fetch_page(
            request.parameters(),
            authorization=caller.authorization,
            caller_key=caller.key,
            deadline=deadline,
            read=read,
        )

    async def _page_of_nothing(
        self, caller: Caller, request: GalleryRequest, deadline: Deadline | None
    ) -> Page:
        """What a 404 stands for (the contract's open questions 1 and 2): a page without projects.

        For a project it is an empty list; past the end, what the first page says of the whole.

        Raises:
            UpstreamNotFoundError: neither was asked for, so the endpoint itself is missing.
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
            first_page = replace(request, page=1, max_images_per_project=1)
            first = await self._fetch(caller, first_page, deadline, parse_page)
            pagination = msgspec.structs.replace(
                first.page.pagination, page=request.page, has_next=False, has_prev=True
            )
        else:
            raise UpstreamNotFoundError("The gallery endpoint was not found.")
        return Page(pagination, [])

    def _entry(
        self, caller: Caller, request: GalleryRequest, answer: "_Answer", *, asked_at: float
    ) -> CacheEntry:
        now = self._clock.monotonic()
        page, rules = answer.page, answer.rules
        token_seconds = caller.expires_at - self._clock.wall()
        lifetime = self._freshness.lifetime(page, rules, token_seconds=token_seconds)
        is_renewable = rules.etag is not None and rules.is_storable and self._freshness.ttl_seconds > 0
        renewable = min(lifetime.fresh + _RENEWAL_SECONDS, token_seconds) if is_renewable else 0.0
        return CacheEntry(
            request=request,
            body=answer.body,
            project_ids=project_ids_of(page),
            received_bytes=answer.received_bytes,
            seconds=now - asked_at,
            rules=rules,
            asked_at=asked_at,
            born_at=now - rules.age_seconds,
            fresh_until=now + lifetime.fresh,
            renew_until=now + lifetime.while_renewed,
            stale_until=now + lifetime.if_error,
            keep_until=now + max(lifetime.while_renewed, lifetime.if_error, renewable),
            link_margin_seconds=self._freshness.link_margin_seconds,
            call=answer.call,
            parsed=None if answer.body else page,
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    """A page, its JSON, how much of it came now, what is said of keeping it, and which call it was.

    Args:
        reader: by which the page was read.
    """

    page: Page
    body: bytes = b""
    received_bytes: int = 0
    rules: CachingRules = NOTHING_SAID
    call: Link | None = None
    reader: PageDecoder = parse_page

    @classmethod
    def of(cls, fetched: FetchedPage, reader: PageDecoder) -> Self:
        return cls(fetched.page, fetched.body, len(fetched.body), fetched.rules, fetched.call, reader)
