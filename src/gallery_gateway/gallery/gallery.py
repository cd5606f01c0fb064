"""The gallery: a page for a caller, from memory, from a call under way, or from upstream."""

import time
from dataclasses import replace

import msgspec

from gallery_gateway.errors import GatewayError, UpstreamContractError, UpstreamNotFoundError
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.flight import Flights
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.telemetry.logs import log_event
from gallery_gateway.upstream.client import FetchedPage, GalleryClient
from gallery_gateway.upstream.contract import Page, Pagination


class Gallery:
    """Pages of the endpoint, each fetched once while it is fresh; for the life of a process."""

    def __init__(self, *, client: GalleryClient, cache: PageCache) -> None:
        self._client = client
        self._cache = cache
        self._flights: Flights[tuple[Caller, GalleryRequest], Page] = Flights()

    async def page(self, caller: Caller, request: GalleryRequest) -> Page:
        """Raises: GatewayError: upstream gave no page."""
        cached = self._cache.get(caller, request)
        if cached is not None:
            return cached
        return await self._flights.join((caller, request), lambda: self._fetch(caller, request))

    async def aclose(self) -> None:
        await self._flights.aclose()
        await self._client.aclose()

    async def _fetch(self, caller: Caller, request: GalleryRequest) -> Page:
        started = time.perf_counter()
        outcome = "cancelled"
        try:
            fetched = await self._client.fetch_page(request.parameters(), authorization=caller.authorization)
            outcome = "ok"
        except UpstreamNotFoundError:
            outcome = "not_found"
            fetched = FetchedPage(await self._page_of_nothing(caller, request), 0)
        except GatewayError as exc:
            outcome = exc.code
            raise
        finally:
            log_event(
                "page.fetched",
                outcome=outcome,
                seconds=time.perf_counter() - started,
                caller=caller.fingerprint,
            )
        self._cache.put(caller, request, fetched)
        return fetched.page

    async def _page_of_nothing(self, caller: Caller, request: GalleryRequest) -> Page:
        """What a 404 stands for (the contract's open questions 1 and 2): a page without projects.

        For a project it is an empty list; past the end, what the first page says of the whole.

        Raises:
            UpstreamContractError: neither was asked for, so the endpoint itself is missing.
        """
        if request.project_id is not None:
            pagination = Pagination(
                page=request.page,
                per_page=request.per_page,
                total=0,
                pages=0,
                has_next=False,
                has_prev=request.page > 1,
            )
        elif request.page > 1:
            first = await self.page(caller, replace(request, page=1, max_images_per_project=1))
            pagination = msgspec.structs.replace(
                first.pagination, page=request.page, has_next=False, has_prev=True
            )
        else:
            raise UpstreamContractError("The gallery endpoint was not found.")
        return Page(pagination, [])
