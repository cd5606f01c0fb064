"""The types of the graph: projects, images, pagination, scalars and directives."""

from typing import Annotated, Any

import strawberry
from graphql import GraphQLResolveInfo
from msgspec import Raw
from strawberry import UNSET, federation
from strawberry.federation.schema_directives import Cost, Key, ListSize
from strawberry.federation.types import FieldSet
from strawberry.scalars import JSON

from gallery_gateway.execution.plan import ATTRIBUTE, LIMITED_BY
from gallery_gateway.schema.requests import check_range, given
from gallery_gateway.upstream import contract
from gallery_gateway.upstream.contract import JSON_NULL


def json_or_none(value: Raw) -> Raw | None:
    """What GraphQL is to see: a JSON null has to be null before a scalar serializes it."""
    return None if bytes(value) == bytes(JSON_NULL) else value


PERSONAL = "personal"
"""Tag of what says something of a person: a contract may leave it out."""

LINK = "link"
"""Tag of links that open a picture to whoever has them."""

UPSTREAM_CALL = Cost(weight=10)
"""A field that costs a call of the endpoint; one that is only read weighs 1 or nothing."""

CONNECTION_SIZE = ListSize(
    assumed_size=20,
    slicing_arguments=["first", "last"],
    sized_fields=["edges", "nodes"],
    require_one_slicing_argument=False,
)
"""A connection: so many edges and nodes as are asked for."""


def key(fields: str, *, is_resolvable: bool = True) -> Key:
    return Key(fields=FieldSet(fields), resolvable=UNSET if is_resolvable else False)


def sized(assumed: int, *, by: str | None = None, of: str | None = None) -> ListSize:
    """How long a list is: as its argument `by` says, else `assumed`.

    With `of`, not this field is the list but the one of that name below it.
    """
    return ListSize(
        assumed_size=assumed,
        slicing_arguments=[by] if by else UNSET,
        sized_fields=[of] if of else UNSET,
        require_one_slicing_argument=False,
    )


@federation.type(description="A picture, as links to two sizes. The links may expire.", shareable=True)
class ImageFile:
    """`contract.UpstreamImageFile`."""

    full_size: str | None = federation.field(
        description="URL of the picture in full size; fetch it without the access token.", tags=[LINK]
    )
    thumbnail: str | None = federation.field(
        description="URL of a small version; fetch it without the access token.", tags=[LINK]
    )
    uuid: str | None = strawberry.field(description="The id of the stored file, where known.")


@federation.type(
    description="One generated image.",
    keys=[
        key("id", is_resolvable=False),
        key("jobId imageIndex groupIndex version", is_resolvable=False),
    ],
)
class Image:
    """`contract.UpstreamImage`."""

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
        description="The source pictures that the image was generated from.", directives=[sized(10)]
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
    feedback_comment: str | None = federation.field(
        description="The user's own words on it.", tags=[PERSONAL]
    )
    created_at: str | None = strawberry.field(
        description="When the image was created, in the REST API's own format."
    )
    review_status: str | None = strawberry.field(description="Where the image's review stands. An open list.")

    @strawberry.field(
        graphql_type=JSON | None,
        metadata={ATTRIBUTE: "input_description"},
        description="What the generation was asked for, in free form.",
    )
    def input_description(self, root: strawberry.Parent[contract.UpstreamImage]) -> Raw | None:
        return json_or_none(root.input_description)

    @federation.field(
        graphql_type=JSON | None,
        metadata={ATTRIBUTE: "review_annotations"},
        tags=[PERSONAL],
        description="Remarks made in the review, in free form.",
    )
    def review_annotations(self, root: strawberry.Parent[contract.UpstreamImage]) -> Raw | None:
        return json_or_none(root.review_annotations)

    @federation.field(
        graphql_type=JSON | None,
        metadata={ATTRIBUTE: "retouch_claim"},
        tags=[PERSONAL],
        description="Who is retouching the image, in free form.",
    )
    def retouch_claim(self, root: strawberry.Parent[contract.UpstreamImage]) -> Raw | None:
        return json_or_none(root.retouch_claim)


@strawberry.interface(description="An object that can be fetched again by its id.")
class Node:
    """The interface of all objects that `Query.node` finds."""

    id: strawberry.ID = strawberry.field(description="Opaque and globally unique.")


@federation.type(description="Where a page stands in the list of all projects.", shareable=True)
class Pagination:
    """`contract.Pagination`."""

    page: int = strawberry.field(description="The number of this page, from 1.")
    per_page: int = strawberry.field(description="How many projects a page holds at most.")
    total: int = strawberry.field(description="How many projects there are in all.")
    pages: int = strawberry.field(description="How many pages there are in all.")
    has_next: bool = strawberry.field(description="Whether a page follows.")
    has_prev: bool = strawberry.field(description="Whether a page comes before.")


@federation.type(description="A project and its images.", keys=[key("id"), key("projectId")])
class Project(Node):
    """`contract.UpstreamProject`."""

    project_id: int = strawberry.field(description="The number of the project in the REST API.")
    project_name: str | None = strawberry.field(description="The name that people gave it.")
    project_key: str | None = strawberry.field(
        description="The text that other endpoints of the REST API call `project_id`."
    )
    created_at: str | None = strawberry.field(
        description="When the project was created, in the REST API's own format."
    )
    created_by: str | None = federation.field(description="The user who created it.", tags=[PERSONAL])
    total_images: int | None = strawberry.field(description="How many images it has.")
    completed_images: int | None = strawberry.field(description="How many are completed.")
    failed_images: int | None = strawberry.field(description="How many have failed.")
    pending_images: int | None = strawberry.field(
        description="How many are still to come: total less completed less failed."
    )

    @strawberry.field(
        graphql_type=list[Image],
        metadata={ATTRIBUTE: "images", LIMITED_BY: "first"},
        directives=[sized(50, by="first")],
        description="The images that were asked for in the field above, in its order.",
    )
    def images(
        self,
        root: strawberry.Parent[contract.UpstreamProject],
        first: Annotated[
            int | None,
            strawberry.argument(description="At most so many of them; all if left out."),
        ] = UNSET,
    ) -> list[contract.UpstreamImage] | None:
        limit = given(first)
        if limit is None or root.images is None:
            return root.images
        check_range("first", limit, least=0)
        return root.images[:limit]

    @classmethod
    def is_type_of(cls, value: Any, _info: GraphQLResolveInfo[Any]) -> bool:
        return isinstance(value, contract.UpstreamProject)


@federation.type(description="One page of projects.", shareable=True)
class Gallery:
    """`contract.Page`."""

    pagination: Pagination = strawberry.field(description="Where this page stands.")
    projects: list[Project] = strawberry.field(description="The projects of this page.")


@federation.type(description="A project, and where it stands.", shareable=True)
class ProjectEdge:
    """`connection.ProjectEdge`."""

    cursor: str = strawberry.field(
        description="Where the project stands: for `after` and `before`, with the same filters and order."
    )
    node: Project = strawberry.field(description="The project.")


@federation.type(description="What lies before and behind the edges.", shareable=True)
class PageInfo:
    """`connection.PageInfo`."""

    has_next_page: bool = strawberry.field(description="Whether projects follow.")
    has_previous_page: bool = strawberry.field(description="Whether projects come before.")
    start_cursor: str | None = strawberry.field(
        description="The cursor of the first edge; null if there is none."
    )
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last edge; null if there is none."
    )


@federation.type(
    description="Some projects out of a list, by cursors that hold while the list changes.", shareable=True
)
class ProjectConnection:
    """`connection.ProjectConnection`."""

    edges: list[ProjectEdge] = strawberry.field(description="The projects, each with its cursor.")
    nodes: list[Project] = strawberry.field(description="The projects without their cursors.")
    page_info: PageInfo = strawberry.field(description="What lies before and behind.")
    total_count: int = strawberry.field(description="How many projects the whole list has.")
