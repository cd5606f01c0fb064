"""All generated projects and images, filtered, sorted and cut into pages like the REST API does.

`order` sorts the projects by creation and, within each project, the images by `sort_by`. Images without a
value come last in both orders, and equal values are ordered by identity.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from gallery_gateway.demo.callers import DemoCaller
from gallery_gateway.demo.images import DemoImage, images_at, make_images
from gallery_gateway.demo.projects import DemoProject, make_projects
from gallery_gateway.demo.query_parameters import Parameters

_Sortable = TypeVar("_Sortable", str, float)


@dataclass(frozen=True, slots=True)
class ListedProject:
    """A project, all of its images, and the listed ones: matching, sorted and capped."""

    project: DemoProject
    images: tuple[DemoImage, ...]
    listed: list[DemoImage]


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of projects, and the number of projects on all pages."""

    total: int
    projects: list[ListedProject]


class Catalogue:
    """The generated projects, and their images, which are generated on first use.

    Args:
        seed: the same seed generates the same catalogue.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.projects = {project.project_id: project for project in make_projects(seed)}
        # The images of the latest run by project id.
        self._images: dict[int, tuple[int, tuple[DemoImage, ...]]] = {}

    def is_visible(self, project_id: int, caller: DemoCaller) -> bool:
        project = self.projects.get(project_id)
        return project is not None and project.is_visible_to(caller)

    def listing(
        self, caller: DemoCaller, parameters: Parameters, *, now: float, lists_empty: bool
    ) -> Listing:
        """Return one page of the caller's projects at `now`.

        With `lists_empty`, an image filter keeps projects without a matching image.
        """
        found = [p.at(now) for p in self.projects.values() if _matches(p, caller, parameters)]
        if parameters.filters_images and not lists_empty:
            found = [p for p in found if self._list_images(p, parameters, now).listed]
        # Projects are in the order of their ids, and the sort is stable.
        found.sort(key=lambda p: p.created_seconds, reverse=parameters.order == "desc")
        first = (parameters.page - 1) * parameters.per_page
        page = found[first : first + parameters.per_page]
        return Listing(len(found), [self._list_images(p, parameters, now) for p in page])

    def _list_images(self, project: DemoProject, parameters: Parameters, now: float) -> ListedProject:
        images = images_at(self._images_of(project), project, now)
        matching = [image for image in images if _image_matches(image, parameters)]
        return ListedProject(
            project, images, _sorted(matching, parameters)[: parameters.max_images_per_project]
        )

    def _images_of(self, project: DemoProject) -> tuple[DemoImage, ...]:
        run, images = self._images.get(project.project_id, (None, ()))
        if run != project.run:
            images = make_images(self._seed, project)
            self._images[project.project_id] = (project.run, images)
        return images


def _matches(project: DemoProject, caller: DemoCaller, parameters: Parameters) -> bool:
    if not project.is_visible_to(caller):
        return False
    if parameters.project_id not in (None, project.project_id):
        return False
    if parameters.ownership and (parameters.ownership == "mine") != (project.owner == caller):
        return False
    if parameters.search is None:
        return True
    text = parameters.search.casefold()
    return any(text in field.casefold() for field in (project.name, project.key, str(project.project_id)))


def _image_matches(image: DemoImage, parameters: Parameters) -> bool:
    if parameters.status is not None and image.status != parameters.status:
        return False
    return not parameters.feedback or image.result.feedback in parameters.feedback


def _sorted(images: list[DemoImage], parameters: Parameters) -> list[DemoImage]:
    images = sorted(images, key=lambda image: image.identity)
    descending = parameters.order == "desc"
    if parameters.sort_by == "quality_score":
        return _sorted_by(lambda image: image.result.quality_score, images, descending=descending)
    return _sorted_by(lambda image: image.original_filename, images, descending=descending)


def _sorted_by(
    value_of: Callable[[DemoImage], _Sortable | None], images: list[DemoImage], *, descending: bool
) -> list[DemoImage]:
    with_value = [(value, image) for image in images if (value := value_of(image)) is not None]
    with_value.sort(key=lambda pair: pair[0], reverse=descending)
    return [image for _, image in with_value] + [image for image in images if value_of(image) is None]
