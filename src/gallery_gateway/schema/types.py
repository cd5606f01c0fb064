"""The object types: each field reads the attribute of the contract struct that bears its REST name."""

from enum import Enum
from typing import Annotated, Any

import strawberry
from graphql import GraphQLResolveInfo
from msgspec import Raw
from strawberry import UNSET
from strawberry.scalars import JSON

from gallery_gateway.execution.plan import ATTRIBUTE, LIMITED_BY
from gallery_gateway.schema.arguments import check_range, given
from gallery_gateway.schema.scalars import json_or_none
from gallery_gateway.upstream import contract


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


@strawberry.interface(description="An object that can be fetched again by its id.")
class Node:
    """The interface of all objects that `Query.node` finds."""

    id: strawberry.ID = strawberry.field(description="Opaque and globally unique.")


@strawberry.type(description="Where a page stands in the list of all projects.")
class Pagination:
    """`contract.Pagination`."""

    page: int = strawberry.field(description="The number of this page, from 1.")
    per_page: int = strawberry.field(description="How many projects a page holds at most.")
    total: int = strawberry.field(description="How many projects there are in all.")
    pages: int = strawberry.field(description="How many pages there are in all.")
    has_next: bool = strawberry.field(description="Whether a page follows.")
    has_prev: bool = strawberry.field(description="Whether a page comes before.")


@strawberry.type(description="A picture, as links to two sizes. The links may expire.")
class ImageFile:
    """`contract.ImageFile`."""

    full_size: str | None = strawberry.field(
        description="URL of the picture in full size; fetch it without the access token."
    )
    thumbnail: str | None = strawberry.field(
        description="URL of a small version; fetch it without the access token."
    )
    uuid: str | None = strawberry.field(description="The id of the stored file, where known.")


@strawberry.type(description="One generated image.")
class Image:
    """`contract.Image`."""

    id: strawberry.ID = strawberry.field(
        description="Opaque and globally unique; made of job, position, variation and version."
    )
    result_id: int | None = strawberry.field(
        description="The number of this result in the REST API, where known."
    )
    job_id: str = strawberry.field(description="The job that generated the image.")
    image_index: int = strawberry.field(description="Position in the job, from 0.")
    group_index: int = strawberry.field(description="Which variation this is, from 0.")
    version: int = strawberry.field(description="Counts regenerations and retouches, from 0.")
    original_filename: str | None = strawberry.field(
        description="Name of the source file. Names repeat across jobs: use `id` as a key."
    )
    download_filename: str | None = strawberry.field(description="The file name to offer for a download.")
    inputs: list[ImageFile] = strawberry.field(
        description="The source pictures that the image was generated from."
    )
    output: ImageFile | None = strawberry.field(description="The generated picture; null until there is one.")
    model_used: str | None = strawberry.field(description="The model that generated the image, where known.")
    detail_needs_review: bool | None = strawberry.field(
        description="Whether a detail of the image should be looked at by a person."
    )
    detail_review_reason: str | None = strawberry.field(description="Why a detail should be looked at.")
    status: str | None = strawberry.field(
        description="Seen: `pending`, `processing`, `completed`, `failed`. An open list."
    )
    quality_score: float | None = strawberry.field(
        description="A score of the image's quality; its scale is not documented."
    )
    processing_time: float | None = strawberry.field(
        description="How long the generation took; its unit is not documented."
    )
    error_message: str | None = strawberry.field(description="Why the generation failed.")
    feedback: str | None = strawberry.field(
        description="What the user thought of the image, such as `like`. An open list."
    )
    feedback_comment: str | None = strawberry.field(description="The user's own words on it.")
    created_at: str | None = strawberry.field(
        description="When the image was created, in the REST API's own format."
    )
    review_status: str | None = strawberry.field(description="Where the image's review stands. An open list.")

    @strawberry.field(
        graphql_type=JSON | None,
        metadata={ATTRIBUTE: "input_description"},
        description="What the generation was asked for, in free form.",
    )
    def input_description(self, root: strawberry.Parent[contract.Image]) -> Raw | None:
        return json_or_none(root.input_description)

    @strawberry.field(
        graphql_type=JSON | None,
        metadata={ATTRIBUTE: "review_annotations"},
        description="Remarks made in the review, in free form.",
    )
    def review_annotations(self, root: strawberry.Parent[contract.Image]) -> Raw | None:
        return json_or_none(root.review_annotations)

    @strawberry.field(
        graphql_type=JSON | None,
        metadata={ATTRIBUTE: "retouch_claim"},
        description="Who is retouching the image, in free form.",
    )
    def retouch_claim(self, root: strawberry.Parent[contract.Image]) -> Raw | None:
        return json_or_none(root.retouch_claim)


@strawberry.type(description="A project and its images.")
class Project(Node):
    """`contract.Project`."""

    project_id: int = strawberry.field(description="The number of the project in the REST API.")
    project_name: str | None = strawberry.field(description="The name that people gave it.")
    project_key: str | None = strawberry.field(
        description="The text that other endpoints of the REST API call `project_id`."
    )
    created_at: str | None = strawberry.field(
        description="When the project was created, in the REST API's own format."
    )
    created_by: str | None = strawberry.field(description="The user who created it.")
    total_images: int | None = strawberry.field(description="How many images it has.")
    completed_images: int | None = strawberry.field(description="How many are completed.")
    failed_images: int | None = strawberry.field(description="How many have failed.")
    pending_images: int | None = strawberry.field(
        description="How many are still to come: total less completed less failed."
    )

    @strawberry.field(
        graphql_type=list[Image],
        metadata={ATTRIBUTE: "images", LIMITED_BY: "first"},
        description="The images that were asked for in the field above, in its order.",
    )
    def images(
        self,
        root: strawberry.Parent[contract.Project],
        first: Annotated[
            int | None,
            strawberry.argument(description="At most so many of them; all if left out."),
        ] = UNSET,
    ) -> list[contract.Image] | None:
        limit = given(first)
        if limit is None or root.images is None:
            return root.images
        check_range("first", limit, least=0)
        return root.images[:limit]

    @classmethod
    def is_type_of(cls, value: Any, _info: GraphQLResolveInfo[Any]) -> bool:
        return isinstance(value, contract.Project)


@strawberry.type(description="One page of projects.")
class Gallery:
    """`contract.Page`."""

    pagination: Pagination = strawberry.field(description="Where this page stands.")
    projects: list[Project] = strawberry.field(description="The projects of this page.")
