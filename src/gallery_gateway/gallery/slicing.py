"""Slices of pages that were fetched for larger requests.

A slice is exactly what the REST API would have answered to the smaller request, or `None` if the larger page
does not determine it. The REST API truncates each project's images at the cap, and cuts pages out of one
list of projects.
"""

from collections.abc import Mapping

from msgspec.structs import astuple, replace

from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.structs import ProjectionSource
from gallery_gateway.upstream.contract import Page, UpstreamPagination, UpstreamProject


def slice_page(page: Page, *, of: GalleryRequest, to: GalleryRequest) -> Page | None:
    """Return the page for the request `to` from the page of the request `of`; both have one `listing`."""
    if of == to:
        return page
    projects = _within(page, of=of, to=to)
    pagination = _pagination(page, of=of, to=to)
    if projects is None or pagination is None:
        return None
    sliced = [slice_project(project, of=of, to=to) for project in projects]
    complete = [project for project in sliced if project is not None]
    return Page(pagination, complete) if len(complete) == len(sliced) else None


def slice_project(
    project: UpstreamProject, *, of: GalleryRequest, to: GalleryRequest
) -> UpstreamProject | None:
    """Return the project with the images that `to` requests; both requests have the same `images`."""
    # A page that was decoded for one operation holds subsets of the structs.
    if not isinstance(project, ProjectionSource) or not isinstance(project.images, list):
        # Damage is reported to the operations that requested the damaged page, and to no others.
        return None
    cap = to.max_images_per_project
    if cap > of.max_images_per_project and len(project.images) >= of.max_images_per_project:
        return None
    return project if len(project.images) <= cap else replace(project, images=project.images[:cap])


def slice_projects(
    page: Page, *, of: GalleryRequest, to: Mapping[int, GalleryRequest]
) -> dict[int, UpstreamProject]:
    """Return the page's projects by id: those of the requests in `to` that the page determines."""
    sliced: dict[int, UpstreamProject] = {}
    for project in page.projects:
        # A damaged page may hold None, or an id of another type.
        if not isinstance(project, UpstreamProject) or type(project.project_id) is not int:
            continue
        request = to.get(project.project_id)
        cut = None if request is None else slice_project(project, of=of, to=request)
        if cut is not None:
            sliced[project.project_id] = cut
    return sliced


def answered_size(page: Page, request: GalleryRequest) -> int | None:
    """Return the size that the REST API used for a page, if the page shows that it is not the requested one.

    It is what the page says, or else the number of its projects, if they are too many, or too few although
    others follow: the REST API has another maximum, or hides projects after it has cut the page out.
    """
    given, projects, size = page.pagination, len(page.projects), request.per_page
    # A damaged page may hold values of any type.
    if type(given.per_page) is int and given.per_page > 0 and given.per_page != size:
        return given.per_page
    rest = given.total - request.start if type(given.total) is int else 0
    is_short = projects < size and (given.has_next is True or rest > projects)
    return projects if is_short or projects > size else None


def listed_project(page: Page, project_id: int | None) -> UpstreamProject | None:
    for project in page.projects:
        # A damaged page may hold None here.
        if isinstance(project, UpstreamProject) and project.project_id == project_id:
            return project
    return None


def _within(page: Page, *, of: GalleryRequest, to: GalleryRequest) -> list[UpstreamProject] | None:
    if (of.start, of.stop) == (to.start, to.stop):
        return page.projects
    if not of.spans(to):
        return None
    start = to.start - of.start
    return page.projects[start : start + to.per_page]


def _pagination(page: Page, *, of: GalleryRequest, to: GalleryRequest) -> UpstreamPagination | None:
    """Return the pagination for `to`; `None` unless the numbers of the page are consistent."""
    given = page.pagination
    if (of.start, of.stop) == (to.start, to.stop):
        return given
    # A damaged page may hold a total of any type.
    if type(given.total) is not int or astuple(given) != astuple(_counted(given.total, of)):
        return None
    is_full = len(page.projects) == min(of.per_page, given.total - of.start)
    # What the REST API answers past the end is unknown. An empty list has a first page.
    if not is_full or to.start >= max(1, given.total):
        return None
    return _counted(given.total, to)


def _counted(total: int, request: GalleryRequest) -> UpstreamPagination:
    pages = -(-total // request.per_page)
    return UpstreamPagination(
        page=request.page,
        per_page=request.per_page,
        total=total,
        pages=pages,
        has_next=request.page < pages,
        has_prev=request.page > 1,
    )
