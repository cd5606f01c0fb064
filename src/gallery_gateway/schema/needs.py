"""Which parts of a page a selection needs."""

from collections.abc import Iterable, Iterator

from gallery_gateway.execution.selection import Selection
from gallery_gateway.gallery.lookup import FieldNeeds


def gallery_needs(gallery: Selection) -> FieldNeeds:
    """What a selection of a Gallery demands."""
    return _needs(field.selection() for field in gallery.fields("projects"))


def connection_needs(connection: Selection) -> FieldNeeds:
    """What a selection of a ProjectConnection demands."""
    nodes = [node for edge in connection.fields("edges") for node in edge.selection().fields("node")]
    return _needs(field.selection() for field in [*nodes, *connection.fields("nodes")])


def project_needs(project: Selection) -> FieldNeeds:
    """What a selection of a Project demands."""
    return _needs([project])


def _needs(projects: Iterable[Selection]) -> FieldNeeds:
    fields = [images for project in projects for images in project.fields("images")]
    limits = [field.argument("first") for field in fields]
    counts = [limit for limit in limits if isinstance(limit, int) and limit >= 0]
    return FieldNeeds(
        max_images=max(counts, default=0) if len(counts) == len(limits) else None,
        needs_links=any(
            file.has_any("fullSize", "thumbnail") for field in fields for file in _files(field.selection())
        ),
    )


def _files(image: Selection) -> Iterator[Selection]:
    for name in ("inputs", "output"):
        for field in image.fields(name):
            yield field.selection()
