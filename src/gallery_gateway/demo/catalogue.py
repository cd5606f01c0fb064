"""What there is to see: every caller's projects and images, filtered, sorted and cut into pages.

`order` sorts the projects by creation and, within each, the images by `sort_by`. Whatever has no
value comes last in both orders, and what is equal is listed by its identity.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from gallery_gateway.demo.callers import CALLERS, DemoCaller
from gallery_gateway.demo.images import DemoImage, make_images
from gallery_gateway.demo.live import images_at, project_at
from gallery_gateway.demo.parameters import Parameters
from gallery_gateway.demo.projects import DemoProject, make_projects

__all__ = ["CALLERS", "Catalogue", "DemoCaller", "ListedProject", "Listing"]

_Sortable = TypeVar("_Sortable", str, float)


@dataclass(frozen=True, slots=True)
class ListedProject:
    """A project, all of its images, and those that are listed: matching, sorted and capped."""

    project: DemoProject
    images: tuple[DemoImage, ...]
    listed: list[DemoImage]


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of projects, and how many there are on all pages."""

    total: int
    projects: list[ListedProject]


class Catalogue:
    """All that a seed makes up. Projects are made at once, images when they are first asked for.

    Args:
        seed: the same seed makes the same catalogue.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._projects = {project.project_id: project for project in make_projects(seed)}
        self._runs: dict[int, tuple[int, tuple[DemoImage, ...]]] = {}

    def project(self, project_id: int) -> DemoProject:
        """A project, whoever owns it.

        Raises:
            KeyError: there is no such project.
        """
        return self._projects[project_id]

    def is_seen(self, project_id: int, caller: DemoCaller) -> bool:
        project = self._projects.get(project_id)
        return project is not None and project.is_seen_by(caller)

    def listing(
        self, caller: DemoCaller, parameters: Parameters, *, now: float, lists_empty: bool
    ) -> Listing:
        """The page asked for, of what the caller may see.

        With `lists_empty`, projects without a matching image stay under an image filter.
        """
        found = [p for p in self._projects.values() if _matches(p, caller, parameters)]
        if parameters.filters_images and not lists_empty:
            found = [p for p in found if self._listed(p, parameters, now).listed]
        # Projects are made in the order of their ids, and sorting keeps it among equals.
        found.sort(key=lambda p: project_at(p, now)[0].created_seconds, reverse=parameters.order == "desc")
        first = (parameters.page - 1) * parameters.per_page
        page = found[first : first + parameters.per_page]
        return Listing(len(found), [self._listed(p, parameters, now) for p in page])

    def _listed(self, project: DemoProject, parameters: Parameters, now: float) -> ListedProject:
        present, run = project_at(project, now)
        images = images_at(self._images(present, run), present, now)
        matching = [image for image in images if _image_matches(image, parameters)]
        matching = _sorted(matching, parameters)[: parameters.max_images_per_project]
        return ListedProject(present, images, matching)

    def _images(self, project: DemoProject, run: int) -> tuple[DemoImage, ...]:
        known = self._runs.get(project.project_id)
        if known is not None and known[0] == run:
            return known[1]
        images = make_images(self._seed, project, run)
        self._runs[project.project_id] = (run, images)
        return images


def _matches(project: DemoProject, caller: DemoCaller, parameters: Parameters) -> bool:
    if not project.is_seen_by(caller):
        return False
    if parameters.project_id not in (None, project.project_id):
        return False
    if parameters.ownership and (parameters.ownership == "mine") != (project.owner == caller):
        return False
    if parameters.search is None:
        return True
    sought = parameters.search.casefold()
    words = (project.name, project.key, str(project.project_id))
    return any(sought in word.casefold() for word in words)


def _image_matches(image: DemoImage, parameters: Parameters) -> bool:
    if parameters.status is not None and image.status != parameters.status:
        return False
    return not parameters.feedback or image.outcome.feedback in parameters.feedback


def _sorted(images: list[DemoImage], parameters: Parameters) -> list[DemoImage]:
    images = sorted(images, key=lambda image: image.identity)
    falling = parameters.order == "desc"
    if parameters.sort_by == "quality_score":
        return _sorted_by(lambda image: image.outcome.quality_score, images, falling=falling)
    return _sorted_by(lambda image: image.original_filename, images, falling=falling)


def _sorted_by(
    value: Callable[[DemoImage], _Sortable | None], images: list[DemoImage], *, falling: bool
) -> list[DemoImage]:
    valued = [(known, image) for image in images if (known := value(image)) is not None]
    valued.sort(key=lambda pair: pair[0], reverse=falling)
    rest = [image for image in images if value(image) is None]
    return [image for _, image in valued] + rest
