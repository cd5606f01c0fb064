"""From a root field's arguments to the canonical request, checked against the ranges of the REST contract.

The parameters of each request function are the arguments of its root field.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any

import strawberry
from strawberry import argument

from gallery_gateway.errors import BadUserInputError, RejectedParameterError
from gallery_gateway.gallery.pagination import Step
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.schema.cursors import decode_cursor, list_hash
from gallery_gateway.schema.scalars import BigInt
from gallery_gateway.upstream.contract import MAX_IMAGES, MAX_PER_PAGE
from gallery_gateway.upstream.identity import ProjectIdentity, parse_global_id

_DEFAULT_COUNT = 20
MAX_COUNT = 100

# The contract gives no range for texts. These keep the URL below what servers accept.
_MAX_TEXT_LENGTH = 500
_MAX_FEEDBACK_VALUES = 50

# Unicode's categories Cc (control) and Cs (surrogates). No search needs them, and many databases answer a NUL
# with an error. Other invisible characters are allowed: joiners occur in Persian and in emoji, and pasted
# names may hold U+2028 and U+2029.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _member(value: str, *, description: str) -> Any:
    # Strawberry's enum_value has the type of its definition, not of the member's value.
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="A sort direction.")
class SortOrder(Enum):
    """REST's `order`."""

    ASC = _member("asc", description="Ascending.")
    DESC = _member("desc", description="Descending.")


@strawberry.enum(description="A sort key for the images of a project.")
class ImageSort(Enum):
    """REST's `sort_by`."""

    ORIGINAL_FILENAME = _member("original_filename", description="Name of the source file.")
    QUALITY_SCORE = _member("quality_score", description="Quality score.")


@strawberry.enum(description="A filter by owner.")
class Ownership(Enum):
    """REST's `ownership`."""

    MINE = _member("mine", description="What the caller owns.")
    SHARED = _member("shared", description="What members of the caller's group share.")


PageArgument = Annotated[int, argument(description="Number of the page, from 1.")]
PerPageArgument = Annotated[int, argument(description="Projects per page, from 1 to 100.")]
OrderArgument = Annotated[
    SortOrder, argument(description="Sort direction; the sort key of the images is `sortBy`.")
]
StatusArgument = Annotated[
    str | None,
    argument(
        description=(
            "Only images with this status. Projects without one may still be listed, and counts may include"
            " other images."
        )
    ),
]
FeedbackArgument = Annotated[
    list[str] | None,
    argument(
        description="Only images with one of these values as `feedback`, 50 at most; otherwise like `status`."
    ),
]
SortByArgument = Annotated[ImageSort, argument(description="Sort key of the images.")]
MaxImagesArgument = Annotated[
    int,
    argument(
        description=(
            "Maximum number of images per project, from 1 to 200. The REST API cannot list further images."
        )
    ),
]
ProjectIdFilter = Annotated[BigInt | None, argument(description="Only the project with this number.")]
OwnershipArgument = Annotated[
    Ownership | None, argument(description="Only what the caller owns, or only what is shared.")
]
SearchArgument = Annotated[
    str | None,
    argument(
        description="Only projects with this text, of at most 500 characters, in their name, key or id."
    ),
]
FirstArgument = Annotated[
    int | None,
    argument(
        description="Maximum number of projects after `after` or from the start, 1 to 100; by default 20."
    ),
]
AfterArgument = Annotated[str | None, argument(description="Cursor of the project before the first one.")]
LastArgument = Annotated[
    int | None,
    argument(
        description="Maximum number of projects before `before` or at the end, 1 to 100; not with `first`."
    ),
]
BeforeArgument = Annotated[
    str | None, argument(description="Cursor of the project after the last one; not with `after`.")
]
ProjectIdArgument = Annotated[BigInt, argument(description="Number of the project in the REST API.")]
IdArgument = Annotated[strawberry.ID, argument(description="`id` of a Project.")]


def check_range(name: str, value: int, *, minimum: int, maximum: int | None = None) -> None:
    """Raises: BadUserInputError: `value` is less than `minimum` or more than `maximum`."""
    if value < minimum or (maximum is not None and value > maximum):
        bounds = f"from {minimum} to {maximum}" if maximum is not None else f"{minimum} or more"
        raise BadUserInputError(f"`{name}` must be {bounds}, not {value}.", argument=name)


def check_text(name: str, value: str | None) -> None:
    """Raises: BadUserInputError: `value` is too long, or holds a control character."""
    if not value:
        return
    if len(value) > _MAX_TEXT_LENGTH:
        message = f"`{name}` must be at most {_MAX_TEXT_LENGTH} characters, not {len(value)}."
        raise BadUserInputError(message, argument=name)
    control = _CONTROL.search(value)
    if control is not None:
        message = f"`{name}` must not hold control characters; U+{ord(control[0]):04X} is one."
        raise BadUserInputError(message, argument=name)


def rejected_argument(error: RejectedParameterError, arguments: Mapping[str, str]) -> BadUserInputError:
    """Return the REST API's rejection with `arguments` of the graph by REST parameter."""
    name = arguments.get(error.parameter or "")
    if name is None:
        return BadUserInputError(str(error))
    return BadUserInputError(f"The gallery API did not accept `{name}`.", argument=name)


def project_number(name: str, global_id: str) -> int:
    """Raises: BadUserInputError: the id, given in the argument `name`, is not that of a project."""
    try:
        identity = parse_global_id(global_id)
    except ValueError as exc:
        raise BadUserInputError(f"The value in `{name}` is not the id of a Project.", argument=name) from exc
    if not isinstance(identity, ProjectIdentity):
        message = "An Image cannot be fetched by its id; ask for its project."
        raise BadUserInputError(message, argument=name)
    return identity.project_id


def gallery_request(
    *,
    page: PageArgument = 1,
    per_page: PerPageArgument = 20,
    order: OrderArgument = SortOrder.DESC,
    project_id: ProjectIdFilter = None,
    status: StatusArgument = None,
    feedback: FeedbackArgument = None,
    sort_by: SortByArgument = ImageSort.ORIGINAL_FILENAME,
    ownership: OwnershipArgument = None,
    max_images_per_project: MaxImagesArgument = 50,
    search: SearchArgument = None,
) -> GalleryRequest:
    """Raises: BadUserInputError: an argument is out of its range."""
    check_range("page", page, minimum=1)
    check_range("perPage", per_page, minimum=1, maximum=MAX_PER_PAGE)
    check_range("maxImagesPerProject", max_images_per_project, minimum=1, maximum=MAX_IMAGES)
    check_text("search", search)
    return GalleryRequest(
        page=page,
        per_page=per_page,
        project_id=project_id,
        max_images_per_project=max_images_per_project,
        ownership=ownership.value if ownership else None,
        search=search,
        **_image_parameters(order, sort_by, status, feedback),
    )


def project_request(
    *,
    project_id: ProjectIdArgument,
    order: OrderArgument = SortOrder.DESC,
    status: StatusArgument = None,
    feedback: FeedbackArgument = None,
    sort_by: SortByArgument = ImageSort.ORIGINAL_FILENAME,
    max_images: MaxImagesArgument = 50,
) -> GalleryRequest:
    """Raises: BadUserInputError: an argument is out of its range."""
    check_range("maxImages", max_images, minimum=1, maximum=MAX_IMAGES)
    return GalleryRequest(
        project_id=project_id,
        max_images_per_project=max_images,
        **_image_parameters(order, sort_by, status, feedback),
    )


def node_request(*, id: IdArgument) -> GalleryRequest:  # the name of the argument
    """Raises: BadUserInputError: `id` is not the id of a project."""
    return GalleryRequest(project_id=project_number("id", id))


ConnectionRequest = tuple[GalleryRequest, Step]
"""A list, and a step in it; the page number and size of the request are not used."""


def connection_request(
    *,
    first: FirstArgument = None,
    after: AfterArgument = None,
    last: LastArgument = None,
    before: BeforeArgument = None,
    order: OrderArgument = SortOrder.DESC,
    project_id: ProjectIdFilter = None,
    status: StatusArgument = None,
    feedback: FeedbackArgument = None,
    sort_by: SortByArgument = ImageSort.ORIGINAL_FILENAME,
    ownership: OwnershipArgument = None,
    max_images_per_project: MaxImagesArgument = 50,
    search: SearchArgument = None,
) -> ConnectionRequest:
    """Raises: BadUserInputError: an argument is out of its range, or excludes another."""
    listed = gallery_request(
        per_page=1,
        order=order,
        project_id=project_id,
        status=status,
        feedback=feedback,
        sort_by=sort_by,
        ownership=ownership,
        max_images_per_project=max_images_per_project,
        search=search,
    )
    return listed, _step(listed, first, after, last, before)


def _step(
    listed: GalleryRequest, first: int | None, after: str | None, last: int | None, before: str | None
) -> Step:
    is_forward = last is None and before is None
    if not is_forward and (first is not None or after is not None):
        name, other = "last" if last is not None else "before", "first" if first is not None else "after"
        message = f"`{name}` does not go with `{other}`. Give `first` and `after`, or `last` and `before`."
        raise BadUserInputError(message, argument=name)
    count_name, count = ("first", first) if is_forward else ("last", last)
    cursor_name, cursor = ("after", after) if is_forward else ("before", before)
    count = _DEFAULT_COUNT if count is None else count
    check_range(count_name, count, minimum=1, maximum=MAX_COUNT)
    position = None if cursor is None else decode_cursor(cursor_name, cursor, list_hash(listed))
    return Step(count=count, is_forward=is_forward, cursor=position)


def _image_parameters(
    order: Enum, sort_by: Enum, status: str | None, feedback: Sequence[str] | None
) -> dict[str, Any]:
    check_text("status", status)
    if feedback and len(feedback) > _MAX_FEEDBACK_VALUES:
        message = f"`feedback` must have at most {_MAX_FEEDBACK_VALUES} values, not {len(feedback)}."
        raise BadUserInputError(message, argument="feedback")
    for value in feedback or ():
        check_text("feedback", value)
    return {
        "order": order.value,
        "sort_by": sort_by.value,
        "status": status,
        "feedback": tuple(feedback or ()),
    }
