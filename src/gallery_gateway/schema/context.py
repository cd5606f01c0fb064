"""What the resolvers of one operation share."""

from dataclasses import dataclass

from gallery_gateway.errors import UnauthenticatedError
from gallery_gateway.gallery.loaders import GalleryLoaders


@dataclass(frozen=True, slots=True)
class OperationContext:
    """Made for each operation; without a caller there are no loaders, and so no upstream call."""

    caller_loaders: GalleryLoaders | None

    @property
    def loaders(self) -> GalleryLoaders:
        if self.caller_loaders is None:
            raise UnauthenticatedError(
                "Send your access token in the header `Authorization: Bearer <token>`."
            )
        return self.caller_loaders
