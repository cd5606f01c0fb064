"""What a selection needs of a page, and which lists of images it makes of the page."""

from collections.abc import Iterable

from gallery_gateway.execution.selection import Selection
from gallery_gateway.gallery.lookup import FieldNeeds

ImageLimits = tuple[int | None, ...]
"""`first` of each list of images that is selected of every project; `None` = no limit."""


def gallery_needs(gallery: Selection) -> tuple[FieldNeeds, ImageLimits]:
    return _needs(field.selection() for field in gallery.fields("projects"))


def connection_needs(connection: Selection) -> tuple[FieldNeeds | None, ImageLimits]:
    """Return the needs of a connection; `None` if only its total is selected."""
    if not connection.has_any("edges", "nodes", "pageInfo"):
        return None, ()
    nodes = [node for edge in connection.fields("edges") for node in edge.selection().fields("node")]
    return _needs(field.selection() for field in [*nodes, *connection.fields("nodes")])


def project_needs(project: Selection) -> tuple[FieldNeeds, ImageLimits]:
    return _needs([project])


def _needs(projects: Iterable[Selection]) -> tuple[FieldNeeds, ImageLimits]:
    lists = [images for project in projects for images in project.fields("images")]
    firsts = (images.argument("first") for images in lists)
    limits = tuple(max(first, 0) if isinstance(first, int) else None for first in firsts)
    files = (file.selection() for images in lists for file in images.selection().fields("inputs", "output"))
    needs = FieldNeeds(
        max_images=None if None in limits else max(filter(None, limits), default=0),
        needs_links=any(file.has_any("fullSize", "thumbnail", "expiresAt") for file in files),
    )
    return needs, limits
