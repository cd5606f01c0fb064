"""The decision which cached page answers a load (RFC 9111, section 4; RFC 5861)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from msgspec import Struct
from msgspec.structs import replace

from gallery_gateway.gallery.entry import CacheEntry, ResponseKey, ResponseWriter, WrittenResponse
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.slicing import listed_project, slice_page, slice_project
from gallery_gateway.upstream.contract import Page, UpstreamProject
from gallery_gateway.upstream.decoding import PageDecoder, parse_page

REVALIDATING = "RENEWING"
"""The reason of a stale answer if nothing has failed; any other reason is an error code. Clients see it."""

# For so long after a failure, stale pages are served at once instead of waiting for another failure.
_FAILING_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class FieldNeeds:
    """What a field needs of its page.

    Args:
        max_images: images of each project that the field selects; 0 = none, `None` = all of the request.
        needs_links: whether the field selects a link to a picture.
        decoder: what parses the page.
        is_alone: whether the operation has no other root field.
        writer: writes the response to such an operation; `None` if it needs more than a page.
    """

    max_images: int | None
    needs_links: bool
    decoder: PageDecoder = parse_page
    is_alone: bool = False
    writer: ResponseWriter | None = None


# Frozen, it would take four times as long to make.
@dataclass(slots=True, unsafe_hash=True)
class LoadKey:
    """What a field loads: a page, or with `is_project` the project that the request names.

    Keys with the same meaning are equal; the last three attributes only say how to load.
    """

    request: GalleryRequest
    needs_links: bool
    is_project: bool
    decoder: PageDecoder = field(default=parse_page, compare=False)
    is_alone: bool = field(default=False, compare=False)
    writer: ResponseWriter | None = field(default=None, compare=False)

    @property
    def size(self) -> tuple[int, int]:
        return self.request.per_page, self.request.max_images_per_project

    def may_be_on(self, page: "LoadKey") -> bool:
        """Return whether the project of this key, if it is on that page, has enough images there."""
        return (
            page.request.images == self.request.images
            and page.request.max_images_per_project >= self.request.max_images_per_project
        )

    def answer_from(self, entry: CacheEntry) -> "CachedAnswer | None":
        """Return what the entry's page says, or `None` if the page cannot answer."""
        if self.writer is not None:
            response = entry.responses.get(ResponseKey(self.writer.number, self.request))
            if response is not None:
                return CachedAnswer(entry, None, response=response)
        page = entry.read(self.decoder)
        if not self.is_project:
            sliced = slice_page(page, of=entry.request, to=self.request)
            return None if sliced is None else CachedAnswer(entry, sliced)
        project = listed_project(page, self.request.project_id)
        if entry.request == self.request:
            # The REST API listed the project, or no such project.
            return CachedAnswer(entry, project)
        project = project and slice_project(project, of=entry.request, to=self.request)
        return None if project is None else CachedAnswer(entry, project)


@dataclass(frozen=True, slots=True)
class Staleness:
    """The age of a stale answer and the reason why it was served."""

    age_seconds: float
    reason: str


def oldest(answers: Iterable[Staleness | None]) -> Staleness | None:
    stale = [staleness for staleness in answers if staleness is not None]
    return max(stale, key=lambda staleness: staleness.age_seconds, default=None)


class CachedAnswer(Struct, frozen=True):
    """A page, or a project or its absence, from a cache entry.

    Args:
        value: with the fields that the key's decoder reads; `None` also if there is a response.
        staleness: `None` if the answer is fresh.
        response: what the key's writer wrote before, or `None`.
    """

    entry: CacheEntry
    value: Page | UpstreamProject | None
    staleness: Staleness | None = None
    response: WrittenResponse | None = None


class Fresh(Struct, frozen=True):
    """A hit."""

    answer: CachedAnswer


class StaleWhileRevalidate(Struct, frozen=True):
    """An answer to serve now, while a background call revalidates its page."""

    answer: CachedAnswer


class Miss(Struct, frozen=True):
    """No answer; `fallback` is a stale one to serve because the REST API has failed."""

    fallback: CachedAnswer | None = None


MISS = Miss()


@dataclass(frozen=True, slots=True)
class Accepts:
    """What an operation accepts from the cache.

    Args:
        fresh: whether pages fetched before the operation began are accepted (`no-cache` refuses them).
        forced_since: pages that another operation with `no-cache` has requested since then are accepted
            nevertheless, on the monotonic clock.
        revalidating: whether a stale page is accepted while a background call revalidates it.
        if_error_seconds: how long past its freshness a page is accepted if the REST API fails.
    """

    fresh: bool = True
    forced_since: float = inf
    revalidating: bool = True
    if_error_seconds: float = inf


ACCEPTS_ALL = Accepts()


def decide(
    key: LoadKey,
    entries: Iterable[CacheEntry],
    accepts: Accepts,
    *,
    now: float,
    wall_now: float,
    failed: str | None = None,
) -> Fresh | StaleWhileRevalidate | Miss:
    """Decide how to answer a load; pure but for the parsed pages that entries keep.

    Args:
        key: what is loaded.
        entries: the entries that may answer.
        accepts: what the operation accepts.
        now: on the monotonic clock.
        wall_now: on the wall clock.
        failed: the error code, if the upstream call for this load has just failed.
    """
    stale: list[CacheEntry] = []
    # The entry of exactly this request needs no slicing; of the others, the youngest knows best.
    for entry in sorted(entries, key=lambda each: (each.request == key.request, each.asked_at), reverse=True):
        is_recent = accepts.fresh or (entry.is_forced and entry.asked_at >= accepts.forced_since)
        if is_recent and entry.fresh_until > now:
            answer = _answer(key, entry, wall_now)
            if answer is not None:
                return Fresh(answer)
        elif entry.revalidate_until > now or entry.stale_until > now:
            stale.append(entry)
    for entry in sorted(stale, key=lambda entry: entry.asked_at, reverse=True):
        reason = failed or _recent_failure(entry, now)
        if reason is None:
            is_accepted = accepts.fresh and accepts.revalidating and entry.revalidate_until > now
        else:
            is_accepted = entry.stale_until > now and now - entry.fresh_until < accepts.if_error_seconds
        answer = _answer(key, entry, wall_now) if is_accepted else None
        if answer is not None:
            staleness = Staleness(max(0.0, now - entry.born_at), reason or REVALIDATING)
            stale_answer = replace(answer, staleness=staleness)
            return StaleWhileRevalidate(stale_answer) if reason is None else Miss(stale_answer)
    return MISS


def _answer(key: LoadKey, entry: CacheEntry, wall_now: float) -> CachedAnswer | None:
    if key.needs_links and entry.links_until <= wall_now:
        return None
    return key.answer_from(entry)


def _recent_failure(entry: CacheEntry, now: float) -> str | None:
    if entry.failure is None:
        return None
    code, failed_at = entry.failure
    return code if now - failed_at < _FAILING_SECONDS else None
