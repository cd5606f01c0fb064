"""From a root field's arguments to the canonical request, checked against the ranges of the REST contract."""

import re
from collections.abc import Sequence
from enum import Enum
from typing import Any, TypeVar

from strawberry import UNSET

from gallery_gateway.errors import BadUserInputError, RejectedParameterError
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.upstream.identity import ProjectIdentity, parse_global_id

# No range is documented for texts; these keep the URL below what servers take.
_MAX_TEXT_LENGTH = 500
_MAX_FEEDBACK_VALUES = 50

# Unicode's categories Cc (control) and Cs (surrogates). Nobody searches for one, and many databases
# answer a NUL with an error. Other invisible characters are text: joiners stand in Persian and in emoji, and
# U+2028 and U+2029, which separate lines and paragraphs, come along when a name is pasted.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


Value = TypeVar("Value")


def given(value: Value | None) -> Value | None:
    """None for an argument that was left out, which Strawberry marks as UNSET."""
    return None if value is UNSET else value


def check_range(argument: str, value: int, *, least: int, most: int | None = None) -> None:
    """Raises: BadUserInputError: outside of `least` to `most`, both included."""
    if value < least or (most is not None and value > most):
        bounds = f"from {least} to {most}" if most is not None else f"{least} or more"
        raise BadUserInputError(f"`{argument}` must be {bounds}, not {value}.", argument=argument)


def check_text(argument: str, value: str | None) -> None:
    """Raises: BadUserInputError: longer than the endpoint can be asked for, or with a control character."""
    if not value:
        return
    if len(value) > _MAX_TEXT_LENGTH:
        message = f"`{argument}` must be at most {_MAX_TEXT_LENGTH} characters, not {len(value)}."
        raise BadUserInputError(message, argument=argument)
    control = _CONTROL.search(value)
    if control is not None:
        message = f"`{argument}` must not hold control characters; U+{ord(control[0]):04X} is one."
        raise BadUserInputError(message, argument=argument)


def check_feedback(values: Sequence[str] | None) -> None:
    """Raises: BadUserInputError: too many values, or one that `check_text` refuses."""
    if values and len(values) > _MAX_FEEDBACK_VALUES:
        message = f"`feedback` must have at most {_MAX_FEEDBACK_VALUES} values, not {len(values)}."
        raise BadUserInputError(message, argument="feedback")
    for value in values or ():
        check_text("feedback", value)


def rejected_argument(error: RejectedParameterError, arguments: dict[str, str]) -> BadUserInputError:
    """The endpoint's refusal in the graph's words; `arguments` maps REST names to the field's."""
    argument = arguments.get(error.parameter or "")
    if argument is None:
        return BadUserInputError(str(error))
    return BadUserInputError(f"The gallery did not accept `{argument}`.", argument=argument)


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
