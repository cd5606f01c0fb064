"""The object types: each field reads the attribute of the contract struct that bears its REST name."""

from enum import Enum
from typing import Annotated, Any

import strawberry
from graphql import GraphQLResolveInfo
from strawberry import UNSET, federation

from gallery_gateway.execution.plan import ATTRIBUTE, LIMITED_BY
from gallery_gateway.schema.arguments import check_range, given
from gallery_gateway.schema.directives import PERSONAL, key, sized
from gallery_gateway.schema.images import Image
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
    """`contract.Project`."""

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


@federation.type(description="One page of projects.", shareable=True)
class Gallery:
    """`contract.Page`."""

    pagination: Pagination = strawberry.field(description="Where this page stands.")
    projects: list[Project] = strawberry.field(description="The projects of this page.")
