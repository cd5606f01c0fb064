"""The object types of the graph, each with the REST struct that it is projected from."""

import typing
from collections.abc import Sequence
from typing import Annotated, Any

import strawberry
from graphql import GraphQLResolveInfo
from msgspec import Raw
from strawberry import UNSET, federation
from strawberry.federation.schema_directives import Cost, Key, ListSize
from strawberry.federation.types import FieldSet
from strawberry.scalars import JSON
from strawberry.schema_directive import Location

from gallery_gateway.errors import UpstreamContractError
from gallery_gateway.execution.plan import ATTRIBUTE, LIMITED_BY, NEVER_NULL
from gallery_gateway.schema.requests import check_range
from gallery_gateway.schema.scalars import BigInt
from gallery_gateway.upstream import contract
from gallery_gateway.upstream.contract import JSON_NULL

PERSONAL = "personal"
"""Tag of personal data; a federation contract may leave it out."""

LINK = "link"
"""Tag of links that open a picture without a token."""

UPSTREAM_CALL = Cost(weight=10)
"""Cost of a root field, which may need an upstream call; other fields have GraphQL's default cost."""


def key(fields: str, *, is_resolvable: bool = True) -> Key:
    return Key(fields=FieldSet(fields), resolvable=UNSET if is_resolvable else False)


def sized(assumed: int | None, *, by: Sequence[str] = (), of: Sequence[str] = ()) -> ListSize:
    """Return the size of a list: an argument of `by`, else `assumed`; `of` names lists below this field.

    If an argument has a default, that is the assumed size, and Cosmo's composer refuses a second one.
    """
    return ListSize(
        assumed_size=UNSET if assumed is None else assumed,
        slicing_arguments=list(by) or UNSET,
        sized_fields=list(of) or UNSET,
        require_one_slicing_argument=False,
    )


def _field(description: str, **options: Any) -> Any:
    return federation.field(description=description, **options)


def _json(attribute: str, description: str, **options: Any) -> Any:
    """Return a field of any JSON, which stays in the bytes that it came in."""

    def resolve(root: strawberry.Parent[contract.UpstreamImage]) -> Raw | None:
        value: Raw = getattr(root, attribute)
        # A null has to be None before the scalar serializes it.
        return None if bytes(value) == bytes(JSON_NULL) else value

    return federation.field(
        resolver=resolve,
        graphql_type=JSON | None,
        metadata={ATTRIBUTE: attribute},
        description=description,
        **options,
    )


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="semanticNonNull",
    description="Null only where `errors` has an error for the field: clients may generate non-null types.",
)
class SemanticNonNull:
    """A directive that tools of clients know."""

    levels: list[int] | None = UNSET


def _projects(attribute: str, kind: Any, description: str) -> Any:
    """Return a field of one or more projects; a damaged one is null, with an error that says so."""
    level = 1 if typing.get_origin(kind) is list else 0

    def resolve(root: strawberry.Parent[Any]) -> Any:
        value = getattr(root, attribute)
        return list(map(_undamaged, value)) if isinstance(value, list) else _undamaged(value)

    return federation.field(
        resolver=resolve,
        graphql_type=kind,
        metadata={ATTRIBUTE: attribute, NEVER_NULL: True},
        directives=[SemanticNonNull(levels=[level])],
        description=description,
    )


def _undamaged(project: object) -> object:
    """Return the project, or an error that graphql-core reports at its place."""
    return UpstreamContractError("The gallery API sent a damaged project.") if project is None else project


@federation.type(
    description="Links to a picture in two sizes. Links may expire: ask for them again at `expiresAt`.",
    shareable=True,
)
class ImageFile:
    """`contract.UpstreamImageFile`."""

    full_size: str | None = _field("URL of the full-size picture. Fetch it without the token.", tags=[LINK])
    thumbnail: str | None = _field("URL of a small version. Fetch it without the token.", tags=[LINK])
    uuid: str | None = _field("Id of the stored file, if known.")
    expires_at: str | None = _field(
        "When the first of the links expires, such as `2026-05-01T10:00:00Z`; null if they do not say so."
    )


@federation.type(
    description="A generated image.",
    keys=[key("id", is_resolvable=False), key("jobId imageIndex groupIndex version", is_resolvable=False)],
)
class Image:
    """`contract.UpstreamImage`."""

    id: strawberry.ID = _field("Opaque, globally unique id.")
    result_id: BigInt | None = _field("Number of the result in the REST API, if known.")
    job_id: str = _field("Id of the job that generated the image.")
    image_index: int = _field("Position in the job, from 0.")
    group_index: int = _field("Number of the variation, from 0.")
    version: int = _field("Number of regenerations and retouches.")
    original_filename: str | None = _field("Name of the source file; not unique across jobs.")
    download_filename: str | None = _field("File name to suggest for a download.")
    inputs: list[ImageFile] = _field("Source pictures of the image.", directives=[sized(10)])
    output: ImageFile | None = _field("The generated picture; null until it exists.")
    model_used: str | None = _field("Model that generated the image, if known.")
    detail_needs_review: bool | None = _field("Whether a person should review a detail of the image.")
    detail_review_reason: str | None = _field("Why a detail should be reviewed.")
    status: str | None = _field("`pending`, `processing`, `completed`, `failed`, or another value.")
    quality_score: float | None = _field("Quality score, on an undocumented scale.")
    processing_time: float | None = _field("Duration of the generation, in an undocumented unit.")
    error_message: str | None = _field("Why the generation failed; null if it did not.")
    feedback: str | None = _field("Feedback of the user, such as `like`; any value may occur.")
    feedback_comment: str | None = _field("Comment of the user on the image.", tags=[PERSONAL])
    created_at: str | None = _field(
        "Creation time, in the format of the REST API; without an offset, the time zone is unknown."
    )
    review_status: str | None = _field("Status of the review; any value may occur.")

    input_description = _json("input_description", "Instructions for the generation; any JSON.")
    review_annotations = _json("review_annotations", "Remarks of the review; any JSON.", tags=[PERSONAL])
    retouch_claim = _json("retouch_claim", "Who is retouching the image; any JSON.", tags=[PERSONAL])


@strawberry.interface(description="An object that `Query.node` and `Query.nodes` can fetch by its id.")
class Node:
    """Relay's interface of objects with a global id."""

    id: strawberry.ID = _field("Opaque, globally unique id.")


@federation.type(description="The position of a page in the list of all projects.", shareable=True)
class Pagination:
    """`contract.UpstreamPagination`."""

    page: int = _field("Number of the page, from 1.")
    per_page: int = _field("Maximum number of projects per page.")
    total: int = _field("Number of projects on all pages.")
    pages: int = _field("Number of pages.")
    has_next: bool = _field("Whether there is a next page.")
    has_prev: bool = _field("Whether there is a previous page.")


@federation.type(description="A project and its images.", keys=[key("id"), key("projectId")])
class Project(Node):
    """`contract.UpstreamProject`."""

    project_id: BigInt = _field("Number of the project in the REST API.")
    project_name: str | None = _field("Name of the project.")
    project_key: str | None = _field("Text id of the project, `project_id` elsewhere in the REST API.")
    created_at: str | None = _field(
        "Creation time, in the format of the REST API; without an offset, the time zone is unknown."
    )
    created_by: str | None = _field("User who created the project.", tags=[PERSONAL])
    total_images: int | None = _field("Number of images.")
    completed_images: int | None = _field("Number of completed images.")
    failed_images: int | None = _field("Number of failed images.")
    pending_images: int | None = _field("Images neither completed nor failed; null if unknown.")

    @strawberry.field(
        graphql_type=list[Image],
        metadata={ATTRIBUTE: "images", LIMITED_BY: "first"},
        directives=[sized(50, by=["first"])],
        description=(
            "Images of the project, with the filters, sort order and maximum of the root field: at most"
            " 200, without paging. If a project has more, other filters and sort orders list others."
        ),
    )
    def images(
        self,
        root: strawberry.Parent[contract.UpstreamProject],
        first: Annotated[
            int | None,
            strawberry.argument(description="Maximum number of images; by default all."),
        ] = UNSET,
    ) -> list[contract.UpstreamImage] | None:
        if first is None or first is UNSET or root.images is None:
            return root.images
        check_range("first", first, minimum=0)
        return root.images[:first]

    @classmethod
    def is_type_of(cls, value: Any, _info: GraphQLResolveInfo[Any]) -> bool:
        return isinstance(value, contract.UpstreamProject)


@federation.type(name="Gallery", description="A page of projects.", shareable=True)
class GalleryPage:
    """`contract.Page`."""

    pagination: Pagination = _field("Position of the page.")
    projects = _projects("projects", list[Project | None], "Projects of the page; null where one is damaged.")


@federation.type(description="A project and its cursor.", shareable=True)
class ProjectEdge:
    """`connection.EdgeSource`."""

    cursor: str = _field("Cursor for `after` and `before`, with the same filters and order.")
    node = _projects("node", Project | None, "The project; null if it is damaged.")


@federation.type(description="What is before and after the edges.", shareable=True)
class PageInfo:
    """`connection.PageInfoSource`."""

    has_next_page: bool = _field(
        "Whether there may be projects after the edges; false if there are no edges."
    )
    has_previous_page: bool = _field(
        "Whether there may be projects before the edges; false if there are no edges."
    )
    start_cursor: str | None = _field("Cursor of the first edge; null if there are no edges.")
    end_cursor: str | None = _field("Cursor of the last edge; null if there are no edges.")


@federation.type(
    description=(
        "Consecutive projects of a list. While projects are added and removed, a walk by cursors finds each"
        " of the others once, or ends in an error."
    ),
    shareable=True,
)
class ProjectConnection:
    """`connection.ConnectionSource`."""

    edges: list[ProjectEdge] = _field("Projects with their cursors.")
    nodes = _projects("nodes", list[Project | None], "Projects without cursors; null where one is damaged.")
    page_info: PageInfo = _field("What is before and after the edges.")
    total_count: int = _field("Number of projects in the complete list, as the REST API counts them.")
