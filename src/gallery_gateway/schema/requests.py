"""From a root field's arguments to the canonical request, checked against the ranges of the REST contract.

The signatures of the request functions are the arguments of the root fields.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, TypeVar

import strawberry
from strawberry import UNSET

from gallery_gateway.errors import BadUserInputError, RejectedParameterError
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.upstream.identity import ProjectIdentity, parse_global_id

# The contract gives no range for texts. These keep the URL below what servers accept.
_MAX_TEXT_LENGTH = 500
_MAX_FEEDBACK_VALUES = 50

# Unicode's categories Cc (control) and Cs (surrogates). No search needs them, and many databases answer a NUL
# with an error. Other invisible characters are allowed: joiners occur in Persian and in emoji, and pasted
# names may hold U+2028 and U+2029.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

MAX_PER_PAGE = 100
MAX_IMAGES = 200


def _member(value: str, *, description: str) -> Any:
    # Strawberry's own enum_value is typed as what it is, not as the value that the member will have.
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="The direction of sorting.")
class SortOrder(Enum):
    """REST's `order`."""

    ASC = _member("asc", description="Ascending.")
    DESC = _member("desc", description="Descending.")


@strawberry.enum(description="What the images of a project are sorted by.")
class ImageSort(Enum):
    """REST's `sort_by`."""

    ORIGINAL_FILENAME = _member(
        "original_filename", description="The name of the file that the image was made from."
    )
    QUALITY_SCORE = _member("quality_score", description="The quality score.")


@strawberry.enum(description="Whose items are listed.")
class Ownership(Enum):
    """REST's `ownership`."""

    MINE = _member("mine", description="The caller's own.")
    SHARED = _member("shared", description="Those that members of the caller's group share.")


PageArgument = Annotated[int, strawberry.argument(description="The page to get, from 1.")]
PerPageArgument = Annotated[
    int, strawberry.argument(description="How many projects a page holds, from 1 to 100.")
]
OrderArgument = Annotated[SortOrder, strawberry.argument(description="The direction of sorting.")]
StatusArgument = Annotated[str | None, strawberry.argument(description="Only images with this status.")]
FeedbackArgument = Annotated[
    list[str] | None, strawberry.argument(description="Only images with one of these feedbacks.")
]
SortByArgument = Annotated[ImageSort, strawberry.argument(description="What images are sorted by.")]
MaxImagesArgument = Annotated[
    int, strawberry.argument(description="How many images of a project to get, from 1 to 200.")
]

ProjectIdArgument = Annotated[
    int | None, strawberry.argument(description="Only the project with this number.")
]
OwnershipArgument = Annotated[
    Ownership | None, strawberry.argument(description="Only the caller's own, or only shared ones.")
]
SearchArgument = Annotated[
    str | None, strawberry.argument(description="Only projects with this in name, key or id.")
]
FirstArgument = Annotated[
    int | None,
    strawberry.argument(
        description="So many projects behind `after`, or from the start, from 1 to 100; 20 if left out."
    ),
]
AfterArgument = Annotated[
    str | None, strawberry.argument(description="The cursor of the project that they come behind.")
]
LastArgument = Annotated[
    int | None,
    strawberry.argument(
        description="So many projects before `before`, or up to the end, from 1 to 100; not with `first`."
    ),
]
BeforeArgument = Annotated[
    str | None,
    strawberry.argument(description="The cursor of the project that they come before; not with `after`."),
]
NumberArgument = Annotated[int, strawberry.argument(description="The number of the project in the REST API.")]
IdArgument = Annotated[strawberry.ID, strawberry.argument(description="The `id` of a Project.")]

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


def rejected_argument(error: RejectedParameterError, arguments: Mapping[str, str]) -> BadUserInputError:
    """The endpoint's refusal in the graph's words; `arguments` maps REST names to the field's."""
    argument = arguments.get(error.parameter or "")
    if argument is None:
        return BadUserInputError(str(error))
    return BadUserInputError(f"The gallery did not accept `{argument}`.", argument=argument)


def gallery_request(
    *,
    page: PageArgument = 1,
    per_page: PerPageArgument = 20,
    order: OrderArgument = SortOrder.DESC,
    project_id: ProjectIdArgument = UNSET,
    status: StatusArgument = UNSET,
    feedback: FeedbackArgument = UNSET,
    sort_by: SortByArgument = ImageSort.ORIGINAL_FILENAME,
    ownership: OwnershipArgument = UNSET,
    max_images_per_project: MaxImagesArgument = 50,
    search: SearchArgument = UNSET,
) -> GalleryRequest:
    """Raises: BadUserInputError: an argument is out of its range."""
    check_range("page", page, least=1)
    check_range("perPage", per_page, least=1, most=MAX_PER_PAGE)
    check_range("maxImagesPerProject", max_images_per_project, least=1, most=MAX_IMAGES)
    check_text("search", given(search))
    return GalleryRequest(
        page=page,
        per_page=per_page,
        project_id=given(project_id),
        max_images_per_project=max_images_per_project,
        ownership=ownership.value if ownership else None,
        search=given(search),
        **_image_filters(order, sort_by, status, feedback),
    )


def project_request(
    *,
    project_id: NumberArgument,
    order: OrderArgument = SortOrder.DESC,
    status: StatusArgument = UNSET,
    feedback: FeedbackArgument = UNSET,
    sort_by: SortByArgument = ImageSort.ORIGINAL_FILENAME,
    max_images: MaxImagesArgument = 50,
) -> GalleryRequest:
    """Raises: BadUserInputError: an argument is out of its range."""
    check_range("maxImages", max_images, least=1, most=MAX_IMAGES)
    return GalleryRequest(
        project_id=project_id,
        max_images_per_project=max_images,
        **_image_filters(order, sort_by, status, feedback),
    )


def node_request(*, id: IdArgument) -> GalleryRequest:  # the name of the argument in the graph
    """Raises: BadUserInputError: `id` is not the id of a project."""
    try:
        identity = parse_global_id(id)
    except ValueError as exc:
        raise BadUserInputError("`id` is not the id of a Project.", argument="id") from exc
    if not isinstance(identity, ProjectIdentity):
        message = "An Image cannot be fetched by its id; ask for its project."
        raise BadUserInputError(message, argument="id")
    return GalleryRequest(project_id=identity.project_id)


def _image_filters(
    order: Enum, sort_by: Enum, status: str | None, feedback: Sequence[str] | None
) -> dict[str, Any]:
    check_text("status", given(status))
    check_feedback(given(feedback))
    return {
        "order": order.value,
        "sort_by": sort_by.value,
        "status": given(status),
        "feedback": tuple(feedback or ()),
    }
