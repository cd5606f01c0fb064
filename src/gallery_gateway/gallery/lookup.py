"""What a load needs, and stale answers: while a page is revalidated, and when upstream fails (RFC 5861)."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from gallery_gateway.clock import Clock
from gallery_gateway.errors import (
    GatewayError,
    OverloadedError,
    RateLimitedError,
    UpstreamContractError,
    UpstreamNotFoundError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.caller import Caller, CallerKey
from gallery_gateway.gallery.entry import CacheEntry, FetchResult, Use
from gallery_gateway.gallery.fetcher import Fetcher
from gallery_gateway.gallery.flights import Flights
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.upstream.contract import Page, UpstreamProject
from gallery_gateway.upstream.decoding import PageDecoder, parse_page


@dataclass(frozen=True, slots=True)
class FieldNeeds:
    """What a field needs of the page that it asks for.

    Args:
        max_images: at most so many images of each project; 0 = none, None = all that the request allows.
        needs_links: whether any link to a picture is selected.
        read: how it is read when it comes.
        is_alone: whether no other field of the operation asks for anything.
    """

    max_images: int | None
    needs_links: bool
    read: PageDecoder = parse_page
    is_alone: bool = False


@dataclass(frozen=True, slots=True)
class LoadKey:
    """What one field asks for: a page, or the project that the request names.

    Two are equal if they ask for the same, however it will be read.
    """

    request: GalleryRequest
    needs_links: bool
    is_project: bool
    read: PageDecoder = field(default=parse_page, compare=False)
    is_alone: bool = field(default=False, compare=False)

    @property
    def size(self) -> tuple[int, int]:
        return self.request.per_page, self.request.max_images_per_project

    def may_be_held_by(self, page: "LoadKey") -> bool:
        """Whether the project that is wanted would be enough if it stood on the page."""
        return (
            page.request.images == self.request.images
            and page.request.max_images_per_project >= self.request.max_images_per_project
        )


RENEWING = "RENEWING"
"""The reason where nothing is wrong; every other reason is the code of an error."""

# Background calls for each caller. Beyond that, a stale page is fetched like a miss.
_MAX_RENEWALS = 16

# What has failed is not waited for again meanwhile, only tried in the background; longer than a call lasts.
_FAILURE_SECONDS = 60.0
_RETRY_SECONDS = 1.0

_Found = tuple[CacheEntry, Page] | tuple[CacheEntry, UpstreamProject | None]

_TROUBLES = (
    UpstreamTimeoutError,
    UpstreamUnavailableError,
    UpstreamContractError,
    RateLimitedError,
    OverloadedError,
)


@dataclass(frozen=True, slots=True)
class Staleness:
    """How old an answer was when it was given, and why nothing younger was."""

    age_seconds: float
    reason: str


def oldest(known: Iterable[Staleness | None]) -> Staleness | None:
    stale = [staleness for staleness in known if staleness is not None]
    return max(stale, key=lambda staleness: staleness.age_seconds, default=None)


@dataclass(frozen=True, slots=True)
class StaleAnswer:
    """What a page past its freshness says."""

    entry: CacheEntry
    value: Page | UpstreamProject | None
    staleness: Staleness


class StalePages:
    """Finds answers in pages past their freshness, and has those pages renewed.

    Args:
        flights: where renewals are under way, for everybody to join.
    """

    def __init__(
        self,
        *,
        cache: PageCache,
        fetcher: Fetcher,
        flights: Flights[Caller, GalleryRequest, FetchResult],
        clock: Clock,
    ) -> None:
        self._cache = cache
        self._fetcher = fetcher
        self._flights = flights
        self._clock = clock
        self._renewals: Counter[CallerKey] = Counter()
        self._troubled_until = -math.inf

    def get(self, caller: Caller, load_key: LoadKey, *, if_error_seconds: float) -> StaleAnswer | None:
        """An answer that is being renewed from now on, or the renewal of which has just failed.

        None if there is none, or too much is being renewed: then the answer has to be waited for.
        """
        now = self._clock.monotonic()
        if now < self._troubled_until:
            failed = self._just_failed(caller, load_key, now, if_error_seconds=if_error_seconds)
            if failed is not None:
                return failed
        found = self._find(caller, load_key, Use.WHILE_RENEWED)
        if found is None or not self._renew(caller, load_key):
            return None
        return self._answer(found, RENEWING)

    def get_after(
        self, error: GatewayError, caller: Caller, load_key: LoadKey, *, if_error_seconds: float = math.inf
    ) -> StaleAnswer | None:
        """An answer for when upstream has failed; None if there is none, or it is no failure of upstream."""
        if not isinstance(error, _TROUBLES) or isinstance(error, UpstreamNotFoundError):
            return None
        found = self._find(caller, load_key, Use.IF_ERROR)
        if found is None:
            return None
        now = self._clock.monotonic()
        found[0].failure = error.code, now
        self._troubled_until = now + _FAILURE_SECONDS
        is_accepted = now - found[0].fresh_until < if_error_seconds
        return self._answer(found, error.code) if is_accepted else None

    def _just_failed(
        self, caller: Caller, load_key: LoadKey, now: float, *, if_error_seconds: float
    ) -> StaleAnswer | None:
        found = self._find(caller, load_key, Use.IF_ERROR)
        if found is None or found[0].failure is None or now - found[0].fresh_until >= if_error_seconds:
            return None
        code, failed_at = found[0].failure
        if now - failed_at >= _FAILURE_SECONDS:
            return None
        if now - failed_at >= _RETRY_SECONDS:
            self._renew(caller, load_key)
        return self._answer(found, code)

    def _answer(self, found: _Found, reason: str) -> StaleAnswer:
        entry, value = found
        return StaleAnswer(entry, value, Staleness(entry.age_seconds(self._clock), reason))

    def _find(self, caller: Caller, load_key: LoadKey, use: Use) -> _Found | None:
        find = self._cache.find_project if load_key.is_project else self._cache.find
        return find(caller, load_key.request, needs_links=load_key.needs_links, use=use)

    def _renew(self, caller: Caller, load_key: LoadKey) -> bool:
        """Whether a call is under way now that will bring the page anew; False if there is no room for it."""
        if self._flights.find(caller, load_key.request) is not None:
            return True
        if self._renewals[caller.key] >= _MAX_RENEWALS:
            return False
        flight = self._flights.start(caller, load_key.request, lambda: self._fetch(caller, load_key))
        self._renewals[caller.key] += 1
        flight.task.add_done_callback(lambda _task: self._end_renewal(caller.key))
        return True

    def _end_renewal(self, caller_key: CallerKey) -> None:
        self._renewals[caller_key] -= 1
        if not self._renewals[caller_key]:
            del self._renewals[caller_key]

    async def _fetch(self, caller: Caller, load_key: LoadKey) -> FetchResult:
        try:
            return await self._fetcher.fetch(caller, load_key.request)
        except GatewayError as exc:
            # Nobody may wait for it, but who comes next is to know.
            self.get_after(exc, caller, load_key)
            raise
