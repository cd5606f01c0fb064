"""How long the lists of the graph can be, and which of them cost something."""

from gallery_gateway.execution.sizes import ListSizes, Size
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.schema.connection import DEFAULT_COUNT, MAX_COUNT
from gallery_gateway.schema.requests import MAX_IMAGES, MAX_PER_PAGE

# A setting bounds it, which this need not know.
_ANY_NUMBER = 1_000_000

_STEP = Size(argument="first", other_argument="last", most=MAX_COUNT, absent=DEFAULT_COUNT)

LIST_SIZES: ListSizes = {
    "Query.gallery": {
        "Gallery.projects": Size(argument="perPage", most=MAX_PER_PAGE),
        "Project.images": Size(argument="maxImagesPerProject", most=MAX_IMAGES),
    },
    "Query.projects": {
        "ProjectConnection.edges": _STEP,
        "ProjectConnection.nodes": _STEP,
        "Project.images": Size(argument="maxImagesPerProject", most=MAX_IMAGES),
    },
    "Query.project": {"Project.images": Size(argument="maxImages", most=MAX_IMAGES)},
    "Query.node": {"Project.images": Size(most=GalleryRequest().max_images_per_project)},
    "Query._entities": {
        "Query._entities": Size(argument="representations", most=_ANY_NUMBER),
        "Project.images": Size(most=GalleryRequest().max_images_per_project),
    },
    "Project.images": {"Project.images": Size(argument="first", most=MAX_IMAGES)},
}

COUNTED = frozenset({"Project.images"})
"""What an operation costs is the images that its answer can hold."""
