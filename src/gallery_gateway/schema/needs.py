"""What a selection needs of a page, and how many images it makes of the page in the response."""

from collections.abc import Iterable, Iterator

from gallery_gateway.execution.selection import Selection
from gallery_gateway.gallery.lookup import FieldNeeds
from gallery_gateway.structs import ProjectionSource

ImageLimits = tuple[int | None, ...]
"""The `first` of each list of images that a selection asks for from every project; None = no limit."""


def gallery_needs(gallery: Selection) -> tuple[FieldNeeds, ImageLimits]:
    """Return what a selection of a Gallery needs."""
    return _needs(field.selection() for field in gallery.fields("projects"))


def connection_needs(connection: Selection) -> tuple[FieldNeeds, ImageLimits]:
    """Return what a selection of a ProjectConnection needs."""
    nodes = [node for edge in connection.fields("edges") for node in edge.selection().fields("node")]
    return _needs(field.selection() for field in [*nodes, *connection.fields("nodes")])


def project_needs(project: Selection) -> tuple[FieldNeeds, ImageLimits]:
    """Return what a selection of a Project needs."""
    return _needs([project])


def count_images(projects: Iterable[object], limits: ImageLimits) -> int:
    """Return how many images the response holds if `projects` are in it once for each of `limits`."""
    if not limits:
        return 0
    # A damaged page may hold None instead of a project, or instead of its images.
    lists = [project.images for project in projects if isinstance(project, ProjectionSource)]
    lengths = [len(images) for images in lists if isinstance(images, list)]
    return sum(
        sum(lengths) if limit is None else sum(min(length, limit) for length in lengths) for limit in limits
    )


def _needs(projects: Iterable[Selection]) -> tuple[FieldNeeds, ImageLimits]:
    fields = [images for project in projects for images in project.fields("images")]
    limits = tuple(_limit(field.argument("first")) for field in fields)
    needs = FieldNeeds(
        max_images=max(filter(None, limits), default=0) if None not in limits else None,
        needs_links=any(
            file.has_any("fullSize", "thumbnail") for field in fields for file in _files(field.selection())
        ),
    )
    return needs, limits


def _limit(first: object) -> int | None:
    return max(first, 0) if isinstance(first, int) else None


def _files(image: Selection) -> Iterator[Selection]:
    for name in ("inputs", "output"):
        for field in image.fields(name):
            yield field.selection()
