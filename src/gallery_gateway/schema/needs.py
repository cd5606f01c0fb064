"""What a selection needs of a page, and which lists of images it makes of the page."""

from collections.abc import Iterable, Iterator

from gallery_gateway.execution.selection import Selection
from gallery_gateway.gallery.lookup import FieldNeeds

ImageLimits = tuple[int | None, ...]
"""The `first` of each list of images that a selection asks for from every project; None = no limit."""


def gallery_needs(gallery: Selection) -> tuple[FieldNeeds, ImageLimits]:
    """Return what a selection of a Gallery needs."""
    return _needs(field.selection() for field in gallery.fields("projects"))


def connection_needs(connection: Selection) -> tuple[FieldNeeds | None, ImageLimits]:
    """Return what a selection of a ProjectConnection needs; `None` if it selects the total alone."""
    if not connection.has_any("edges", "nodes", "pageInfo"):
        return None, ()
    nodes = [node for edge in connection.fields("edges") for node in edge.selection().fields("node")]
    return _needs(field.selection() for field in [*nodes, *connection.fields("nodes")])


def project_needs(project: Selection) -> tuple[FieldNeeds, ImageLimits]:
    """Return what a selection of a Project needs."""
    return _needs([project])


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
