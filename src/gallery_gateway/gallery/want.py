"""What one field of an operation asks for."""

from dataclasses import dataclass

from gallery_gateway.gallery.request import GalleryRequest


@dataclass(frozen=True, slots=True)
class Want:
    """What one field asks for: a page, or the project that the request names."""

    request: GalleryRequest
    needs_links: bool
    is_project: bool

    @property
    def size(self) -> tuple[int, int]:
        return self.request.per_page, self.request.max_images_per_project

    def may_be_held_by(self, page: "Want") -> bool:
        """Whether the project that is wanted would be enough if it stood on the page."""
        return (
            page.request.images == self.request.images
            and page.request.max_images_per_project >= self.request.max_images_per_project
        )
