"""The canonical request: what is asked of the endpoint, spelled in one way only."""

from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Literal

Order = Literal["asc", "desc"]
SortBy = Literal["original_filename", "quality_score"]
OwnershipFilter = Literal["mine", "shared"]

_IS_SENT = "is_sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryRequest:
    """One page of projects, as a hashable key.

    Attribute = REST parameter, default = REST default, None = not sent. Requests that mean the same are
    equal: the order and repeats of `feedback` do not matter, and an empty text is none. `keeps_cap` is no
    parameter: with it, nothing that was asked for with another cap will do (the contract's open question 3).

    `images` decides which images a project has and in which order, whatever page it stands on; `listing`
    which projects there are and in which order: all but the page and the cap.

    Source: `GET /gallery/by-project`, request.
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
    keeps_cap: bool = field(default=False, metadata={_IS_SENT: False})
    # Made once: each operation looks them up a dozen times.
    images: tuple[object, ...] = field(init=False, repr=False, compare=False, metadata={_IS_SENT: False})
    listing: tuple[object, ...] = field(init=False, repr=False, compare=False, metadata={_IS_SENT: False})
    _hash: int = field(init=False, repr=False, compare=False, metadata={_IS_SENT: False})

    def __post_init__(self) -> None:
        # A frozen dataclass is set through object.__setattr__ while it is made.
        object.__setattr__(self, "feedback", tuple(sorted(set(self.feedback) - {""})))
        object.__setattr__(self, "status", self.status or None)
        object.__setattr__(self, "search", self.search or None)
        cap = self.max_images_per_project if self.keeps_cap else None
        images = self.order, self.sort_by, self.status, self.feedback, cap
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "listing", (*images, self.project_id, self.ownership, self.search))
        asked = self.listing, self.page, self.per_page, self.max_images_per_project, self.keeps_cap
        object.__setattr__(self, "_hash", hash(asked))

    def __hash__(self) -> int:
        return self._hash

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """The query parameters; `feedback` is repeated, what is None is left out."""
        return _parameters(self)

    @property
    def window(self) -> range:
        """The places in the listing that this page holds, from 0."""
        return range((self.page - 1) * self.per_page, self.page * self.per_page)

    @property
    def max_images(self) -> int:
        """How many images the answer can hold."""
        projects = self.per_page if self.project_id is None else 1
        return projects * self.max_images_per_project

    def narrowed(self, max_images: int | None) -> "GalleryRequest":
        """The request for at most so many images of each project; None = as many as it says.

        The endpoint cannot be asked for none (REST contract, `max_images_per_project`).
        """
        cap = self.max_images_per_project if max_images is None else max(1, max_images)
        return self if cap >= self.max_images_per_project else _capped(self, cap)

    def spans(self, other: "GalleryRequest") -> bool:
        """Whether this page holds all the places of the other; both of one listing."""
        mine, others = self.window, other.window
        return mine.start <= others.start and others.stop <= mine.stop

    def covers(self, other: "GalleryRequest") -> bool:
        """Whether the answer to this request holds the answer to the other."""
        return (
            self.max_images_per_project >= other.max_images_per_project
            and self.spans(other)
            and self.listing == other.listing
        )


# The same few requests are narrowed again and again.
@lru_cache(maxsize=256)
def _capped(request: GalleryRequest, cap: int) -> GalleryRequest:
    return replace(request, max_images_per_project=cap)


@lru_cache(maxsize=256)
def _parameters(request: GalleryRequest) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for parameter in fields(request):
        value = getattr(request, parameter.name)
        if value is None or not parameter.metadata.get(_IS_SENT, True):
            continue
        if isinstance(value, tuple):
            pairs += [(parameter.name, member) for member in value]
        else:
            pairs.append((parameter.name, str(value)))
    return tuple(pairs)
