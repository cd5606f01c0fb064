"""Consecutive projects of a list, put together from pages."""

import asyncio
from dataclasses import dataclass, replace

from gallery_gateway.gallery.delivery import Delivery
from gallery_gateway.gallery.demand import Demand
from gallery_gateway.gallery.loaders import GalleryLoaders
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.windows import smallest_pages
from gallery_gateway.upstream.contract import Page, Project

# As little of a project as the endpoint can be asked for.
THIN = Demand(most_images=0, needs_links=False)


class ListChangedError(Exception):
    """Two pages of one list do not count it alike: something came or went between them."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Projects by their places in the list, from 0.

    Args:
        projects: in the order of their places; a damaged one may be None.
        total: how many the whole list has; None where the endpoint does not tell.
        deliveries: the pages that they were got from.
    """

    projects: dict[int, Project]
    total: int | None
    deliveries: tuple[Delivery[Page], ...]

    @property
    def places(self) -> range:
        """From the first to the last."""
        return range(min(self.projects), max(self.projects) + 1) if self.projects else range(0)

    def find(self, project_id: int | None) -> int | None:
        """The place of a project."""
        for place, project in self.projects.items():
            # A damaged page may hold None, or a project without its id.
            if project_id is not None and isinstance(project, Project) and project.project_id == project_id:
                return place
        return None

    def joined(self, other: "Stretch") -> "Stretch":
        projects = dict(sorted((self.projects | other.projects).items()))
        return Stretch(projects, self.total, self.deliveries + other.deliveries)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListReader:
    """Reads stretches of one list.

    Args:
        request: which list, whatever its page.
        strictly: whether stretches that do not count the list alike are refused.
    """

    loaders: GalleryLoaders
    request: GalleryRequest
    demand: Demand
    strictly: bool = True

    def thin(self) -> "ListReader":
        """The same, for the projects' ids alone."""
        return replace(self, demand=THIN)

    def anew(self) -> "ListReader":
        """The same list, by calls that are made from now on, and however they count it."""
        return replace(self, loaders=self.loaders.anew(), strictly=False)

    async def read(self, places: range, *, beside: Stretch | None = None) -> Stretch:
        """The pages that hold the places, with what else stands on them.

        Args:
            places: from 0; at least 1 and at most 100.
            beside: what they are to be of one list with.

        Raises:
            GatewayError: upstream gave no page, or the operation asks for too much.
            ListChangedError: the list changed from one page to another.
        """
        pages = [self._page(*page) for page in smallest_pages(places)]
        stretch, *others = [await pages[0]] if len(pages) == 1 else await asyncio.gather(*pages)
        counted = {part.total for part in (stretch, beside, *others) if part}
        if self.strictly and len(counted) > 1:
            raise ListChangedError
        for other in others:
            stretch = stretch.joined(other)
        return stretch

    async def _page(self, page: int, per_page: int) -> Stretch:
        request = replace(self.request, page=page, per_page=per_page)
        delivery = await self.loaders.page(request, self.demand)
        total = delivery.value.pagination.total
        # A damaged page may hold a total of any type.
        known = total if type(total) is int else None
        projects = enumerate(delivery.value.projects, request.window.start)
        return Stretch(dict(projects), known, (delivery,))
