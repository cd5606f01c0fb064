"""The canonical request: what is asked of the endpoint, spelled in one way only."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal

Order = Literal["asc", "desc"]
SortBy = Literal["original_filename", "quality_score"]
OwnershipFilter = Literal["mine", "shared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryRequest:
    """One page of projects, as a hashable key.

    Attribute = REST parameter, default = REST default, None = not sent. Requests that mean the same are
    equal: the order and repeats of `feedback` do not matter, and an empty text is none.

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

    def __post_init__(self) -> None:
        # A frozen dataclass is set through object.__setattr__ while it is made.
        object.__setattr__(self, "feedback", tuple(sorted(set(self.feedback) - {""})))
        object.__setattr__(self, "status", self.status or None)
        object.__setattr__(self, "search", self.search or None)

    def parameters(self) -> Iterator[tuple[str, str]]:
        """The query parameters; `feedback` is repeated, what is None is left out."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                yield from ((field.name, member) for member in value)
            elif value is not None:
                yield field.name, str(value)
