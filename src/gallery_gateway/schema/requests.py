"""From a root field's arguments to the canonical request, checked against the ranges of the contract."""

from collections.abc import Sequence
from enum import Enum
from typing import Any

from gallery_gateway.errors import BadUserInputError
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.schema.arguments import check_feedback, check_range, check_text, given
from gallery_gateway.upstream.identity import ProjectIdentity, parse_global_id

MAX_PER_PAGE = 100
MAX_IMAGES = 200


def gallery_request(
    *,
    page: int,
    per_page: int,
    order: Enum,
    sort_by: Enum,
    max_images_per_project: int,
    project_id: int | None = None,
    status: str | None = None,
    feedback: Sequence[str] | None = None,
    ownership: Enum | None = None,
    search: str | None = None,
) -> GalleryRequest:
    """Raises: BadUserInputError: an argument is out of its range."""
    check_range("page", page, least=1)
    check_range("perPage", per_page, least=1, most=MAX_PER_PAGE)
    check_range("maxImagesPerProject", max_images_per_project, least=1, most=MAX_IMAGES)
    check_text("search", search)
    return GalleryRequest(
        page=page,
        per_page=per_page,
        project_id=given(project_id),
        max_images_per_project=max_images_per_project,
        ownership=ownership.value if ownership else None,
        search=search,
        **_image_filters(order, sort_by, status, feedback),
    )


def project_request(
    *,
    project_id: int,
    order: Enum,
    sort_by: Enum,
    max_images: int,
    status: str | None = None,
    feedback: Sequence[str] | None = None,
) -> GalleryRequest:
    """Raises: BadUserInputError: an argument is out of its range."""
    check_range("maxImages", max_images, least=1, most=MAX_IMAGES)
    return GalleryRequest(
        project_id=project_id,
        max_images_per_project=max_images,
        **_image_filters(order, sort_by, status, feedback),
    )


def node_request(global_id: str) -> GalleryRequest:
    """Raises: BadUserInputError: not the id of a project."""
    try:
        identity = parse_global_id(global_id)
    except ValueError as exc:
        raise BadUserInputError("`id` is not the id of a Project.", argument="id") from exc
    if not isinstance(identity, ProjectIdentity):
        message = "An Image cannot be fetched by its id; ask for its project."
        raise BadUserInputError(message, argument="id")
    return GalleryRequest(project_id=identity.project_id)


def _image_filters(
    order: Enum, sort_by: Enum, status: str | None, feedback: Sequence[str] | None
) -> dict[str, Any]:
    check_text("status", status)
    check_feedback(feedback)
    return {
        "order": order.value,
        "sort_by": sort_by.value,
        "status": status,
        "feedback": tuple(feedback or ()),
    }
