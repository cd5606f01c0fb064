"""How a page is read when it comes: whole, or what is selected of it and what keeping it takes."""

from functools import lru_cache
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder

from gallery_gateway.execution.excerpt import excerpt_of
from gallery_gateway.execution.projected import Projected
from gallery_gateway.upstream.contract import Page, Pagination
from gallery_gateway.upstream.parsing import Reader, parse_page

# As many as there are excerpts.
_MAX_READERS = 512


class _KeptImage(Struct):
    status: Any


class _KeptProject(Struct):
    project_id: Any
    pending_images: Any
    images: list[_KeptImage]


class _KeptPage(Struct):
    """What is looked at of every page: which projects are on it, how long it lasts, and that it is a page."""

    pagination: Pagination
    projects: list[_KeptProject]


def reader_for(plan: type[Struct]) -> Reader:
    """Reads no more of a page than a plan does; equal plans have the same reader."""
    return _reader(excerpt_of(Page, _KeptPage, plan))


@lru_cache(_MAX_READERS)
def _reader(excerpt: type[Projected]) -> Reader:
    if excerpt is Page:
        return parse_page
    decoder: Decoder[Any] = Decoder(excerpt)
    return lambda body: parse_page(body, decoder)
