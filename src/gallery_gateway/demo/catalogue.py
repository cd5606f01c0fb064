"""All generated projects and images, filtered, sorted and cut into pages like the REST API does.

`order` sorts the projects by creation and, within each project, the images by `sort_by`. Images without a
value come last in both orders, and equal values are ordered by identity.
"""

from dataclasses import replace
from functools import lru_cache, partial
from operator import itemgetter
from typing import NamedTuple

from gallery_gateway.demo.callers import DemoCaller
from gallery_gateway.demo.images import Image, images_at, make_images
from gallery_gateway.demo.projects import DemoProject, make_projects
from gallery_gateway.demo.query_parameters import Parameters

_identity = itemgetter("job_id", "image_index", "group_index", "version")


class ListedProject(NamedTuple):
    """A project, all of its images, those that match the filter, and the listed ones: sorted and capped."""

    project: DemoProject
    all: list[Image]
    matching: list[Image]
    listed: list[Image]


class Catalogue:
    """The generated projects, and their images, which are generated on first use.

    Args:
        seed: the same seed generates the same catalogue.
        id_offset: added to the ids of all projects.
    """

    def __init__(self, seed: int, *, id_offset: int = 0) -> None:
        projects = [replace(p, project_id=p.project_id + id_offset) for p in make_projects(seed)]
        self.projects = {project.project_id: project for project in projects}
        # Room for all projects and some past runs of the live ones.
        self._images_of = lru_cache(maxsize=1_000)(partial(make_images, seed))

    def is_visible(self, project_id: int, caller: DemoCaller) -> bool:
        project = self.projects.get(project_id)
        return project is not None and project.is_visible_to(caller)

    def listing(
        self,
        caller: DemoCaller,
        parameters: Parameters,
        *,
        now: float,
        lists_empty: bool,
        latest_only: bool = False,
    ) -> tuple[int, list[ListedProject]]:
        """Return the number of the caller's projects at `now`, and one page of them.

        With `lists_empty`, an image filter keeps projects without a matching image. With `latest_only`, the
        earlier versions of an image do not exist.
        """
        list_images = partial(self._list_images, parameters=parameters, now=now, latest_only=latest_only)
        found = [p.at(now) for p in self.projects.values() if _matches(p, caller, parameters)]
        if parameters.filters_images and not lists_empty:
            found = [p for p in found if list_images(p).listed]
        # Projects are in the order of their ids, and the sort is stable.
        found.sort(key=lambda p: p.created_seconds, reverse=parameters.order == "desc")
        first = (parameters.page - 1) * parameters.per_page
        page = found[first : first + parameters.per_page]
        return len(found), [list_images(p) for p in page]

    def _list_images(
        self, project: DemoProject, *, parameters: Parameters, now: float, latest_only: bool
    ) -> ListedProject:
        images = images_at(self._images_of(project), project, now)
        if latest_only:
            # The versions of an image follow each other.
            images = list({_identity(image)[:-1]: image for image in images}.values())
        matching = [image for image in images if _image_matches(image, parameters)]
        listed = _sorted(matching, parameters)[: parameters.max_images_per_project]
        return ListedProject(project, images, matching, listed)


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


def _image_matches(image: Image, parameters: Parameters) -> bool:
    if parameters.status not in (None, image["status"]):
        return False
    return not parameters.feedback or image["feedback"] in parameters.feedback


def _sorted(images: list[Image], parameters: Parameters) -> list[Image]:
    field = parameters.sort_by
    images = sorted(images, key=_identity)
    with_value = [image for image in images if image[field] is not None]
    with_value.sort(key=itemgetter(field), reverse=parameters.order == "desc")
    return with_value + [image for image in images if image[field] is None]
