"""What one field of an operation asks for."""

from dataclasses import dataclass, field

from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.upstream.parsing import Reader, parse_page


@dataclass(frozen=True, slots=True)
class Want:
    """What one field asks for: a page, or the project that the request names.

    Two are equal if they ask for the same, however it will be read.
    """

    request: GalleryRequest
    needs_links: bool
    is_project: bool
    read: Reader = field(default=parse_page, compare=False)
    is_alone: bool = field(default=False, compare=False)

    @property
    def size(self) -> tuple[int, int]:
        return self.request.per_page, self.request.max_images_per_project

    def may_be_held_by(self, page: "Want") -> bool:
        """Whether the project that is wanted would be enough if it stood on the page."""
        return (
            page.request.images == self.request.images
            and page.request.max_images_per_project >= self.request.max_images_per_project
        )
