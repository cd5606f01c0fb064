"""The request for one page: a hashable key with one spelling for each meaning."""

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Literal
from urllib.parse import quote_plus

from msgspec import Struct
from msgspec.structs import fields, force_setattr, replace

from gallery_gateway.upstream.contract import PATH

Order = Literal["asc", "desc"]
SortBy = Literal["original_filename", "quality_score"]
OwnershipFilter = Literal["mine", "shared"]


class GalleryRequest(Struct, frozen=True, kw_only=True, cache_hash=True, gc=False):
    """One page of projects.

    Each attribute is a REST parameter with its REST default; `None` means that the parameter is not sent.
    Requests with the same meaning are equal: `feedback` is sorted without repeats, an empty text is `None`.

    Seven attributes are no parameters:

    - `keeps_cap`: only a page requested with the same `max_images_per_project` can answer (REST contract,
      open question 3).
    - `keeps_window`: only a page requested with the same `page` and `per_page` can answer, because the REST
      API has answered other sizes than requested.
    - `listing`: the projects and images that all pages of one list share, in their order. It holds every
      attribute but the window and the cap, so a new parameter belongs to it without being named.
    - `images`: the images of a project and their order, whichever page lists the project.
    - `max_images`: the number of images that the page can hold.
    - `start` and `stop`: the positions in the list that the page holds, from 0; `stop` is not one of them.

    Source: REST contract, `GET /gallery/by-project`, request.
    """

    page: int = 1
    per_page: int = 20
    order: Order = "desc"
    project_id: int | None = None
    status: str | None = None
    feedback: tuple[str, ...] = ()
    sort_by: SortBy = "original_filename"
    ownership: OwnershipFilter | None = None
    max_images_per_project: int = 50
    search: str | None = None
    keeps_cap: bool = False
    keeps_window: bool = False
    # Derived once: every lookup reads them.
    listing: tuple[object, ...] = ()
    images: tuple[object, ...] = ()
    max_images: int = 0
    start: int = 0
    stop: int = 0

    def __post_init__(self) -> None:
        force_setattr(self, "feedback", tuple(sorted(set(self.feedback) - {""})))
        force_setattr(self, "status", self.status or None)
        force_setattr(self, "search", self.search or None)
        cap = self.max_images_per_project if self.keeps_cap else None
        window = (self.page, self.per_page) if self.keeps_window else None
        force_setattr(self, "listing", (*_LISTING(self), cap, window))
        force_setattr(self, "images", (*_IMAGES(self), cap))
        projects = self.per_page if self.project_id is None else 1
        force_setattr(self, "max_images", projects * self.max_images_per_project)
        force_setattr(self, "start", (self.page - 1) * self.per_page)
        force_setattr(self, "stop", self.page * self.per_page)

    def narrowed(self, max_images: int | None) -> "GalleryRequest":
        """Return the request for at most `max_images` of each project; `None` keeps the cap.

        The cap is at least 1: the REST API refuses 0 (REST contract, `max_images_per_project`).
        """
        cap = self.max_images_per_project if max_images is None else max(1, max_images)
        return self if cap >= self.max_images_per_project else _capped(self, cap)

    def spans(self, other: "GalleryRequest") -> bool:
        """Return whether this page holds all positions of `other`, a page of the same list."""
        return self.start <= other.start and other.stop <= self.stop

    def covers(self, other: "GalleryRequest") -> bool:
        """Return whether the response to this request holds the response to `other`."""
        # Positions first: most of the calls under way are for other pages.
        return (
            self.start <= other.start
            and other.stop <= self.stop
            and self.max_images_per_project >= other.max_images_per_project
            and self.listing == other.listing
        )


_DERIVED = {"keeps_cap", "keeps_window", "listing", "images", "max_images", "start", "stop"}
_PARAMETERS = [field.name for field in fields(GalleryRequest) if field.name not in _DERIVED]
_WINDOW = {"page", "per_page", "max_images_per_project"}
_PROJECTS_ONLY = {"project_id", "ownership", "search"}
_IMAGES_ONLY = {"sort_by"}


def _all_but(*left_out: set[str]) -> Callable[[GalleryRequest], tuple[object, ...]]:
    return attrgetter(*[name for name in _PARAMETERS if not any(name in names for names in left_out)])


_LISTING = _all_but(_WINDOW)
_IMAGES = _all_but(_WINDOW, _PROJECTS_ONLY)

project_order = _all_but(_WINDOW, _IMAGES_ONLY)
"""Return the values that decide which projects a list has, and in which order."""


# A few requests are narrowed again and again.
@lru_cache(maxsize=256)
def _capped(request: GalleryRequest, cap: int) -> GalleryRequest:
    return replace(request, max_images_per_project=cap)


def described(query: str) -> dict[str, str]:
    """Return a call as plans and reports show it: without the host, and with the path below the base URL."""
    return {"method": "GET", "path": PATH, "query": query}


@lru_cache(maxsize=256)
def query_string(request: GalleryRequest) -> str:
    """Return the query of a request, without `?`; `feedback` is repeated."""
    parts: list[str] = []
    for name in _PARAMETERS:
        value = getattr(request, name)
        if isinstance(value, int):
            parts.append(f"{name}={value}")
        elif value is not None:
            for text in value if isinstance(value, tuple) else (value,):
                # Quoting takes longer than the rest, and changes no identifier.
                is_plain = text.isascii() and text.isidentifier()
                parts.append(f"{name}={text if is_plain else quote_plus(text)}")
    return "&".join(parts)
