"""The root fields: from GraphQL arguments to a canonical request, and its page."""

from collections.abc import Awaitable
from typing import Annotated, TypeVar

import strawberry
from strawberry import UNSET

from gallery_gateway.errors import BadUserInputError, RejectedParameterError
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.schema.arguments import (
    check_feedback,
    check_range,
    check_text,
    given,
    rejected_argument,
)
from gallery_gateway.schema.context import OperationContext
from gallery_gateway.schema.types import Gallery, ImageSort, Node, Ownership, Project, SortOrder
from gallery_gateway.upstream import contract
from gallery_gateway.upstream.identity import ProjectIdentity, parse_global_id

Info = strawberry.Info[OperationContext, None]
Value = TypeVar("Value")

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

_MAX_PER_PAGE = 100
_MAX_IMAGES = 200

_GALLERY_ARGUMENTS = {
    "page": "page",
    "per_page": "perPage",
    "order": "order",
    "project_id": "projectId",
    "status": "status",
    "feedback": "feedback",
    "sort_by": "sortBy",
    "ownership": "ownership",
    "max_images_per_project": "maxImagesPerProject",
    "search": "search",
}
_PROJECT_ARGUMENTS = {
    "project_id": "projectId",
    "order": "order",
    "status": "status",
    "feedback": "feedback",
    "sort_by": "sortBy",
    "max_images_per_project": "maxImages",
}


@strawberry.type
class Query:
    """The root of the graph."""

    @strawberry.field(
        graphql_type=Gallery | None,
        description="A page of projects with their images, as the caller may see them.",
    )
    async def gallery(
        self,
        info: Info,
        page: PageArgument = 1,
        per_page: PerPageArgument = 20,
        order: OrderArgument = SortOrder.DESC,
        project_id: Annotated[
            int | None, strawberry.argument(description="Only the project with this number.")
        ] = UNSET,
        status: StatusArgument = UNSET,
        feedback: FeedbackArgument = UNSET,
        sort_by: SortByArgument = ImageSort.ORIGINAL_FILENAME,
        ownership: Annotated[
            Ownership | None,
            strawberry.argument(description="Only the caller's own, or only shared ones."),
        ] = UNSET,
        max_images_per_project: MaxImagesArgument = 50,
        search: Annotated[
            str | None,
            strawberry.argument(description="Only projects with this in name, key or id."),
        ] = UNSET,
    ) -> contract.Page:
        check_range("page", page, least=1)
        check_range("perPage", per_page, least=1, most=_MAX_PER_PAGE)
        check_range("maxImagesPerProject", max_images_per_project, least=1, most=_MAX_IMAGES)
        check_text("status", status)
        check_text("search", search)
        check_feedback(feedback)
        request = GalleryRequest(
            page=page,
            per_page=per_page,
            order=order.value,
            project_id=given(project_id),
            status=status,
            feedback=tuple(feedback or ()),
            sort_by=sort_by.value,
            ownership=ownership.value if ownership else None,
            max_images_per_project=max_images_per_project,
            search=search,
        )
        return await _translated(info.context.loaders.page(request), _GALLERY_ARGUMENTS)

    @strawberry.field(
        graphql_type=Project | None,
        description="One project; null if there is none of this number that the caller may see.",
    )
    async def project(
        self,
        info: Info,
        project_id: Annotated[
            int, strawberry.argument(description="The number of the project in the REST API.")
        ],
        order: OrderArgument = SortOrder.DESC,
        status: StatusArgument = UNSET,
        feedback: FeedbackArgument = UNSET,
        sort_by: SortByArgument = ImageSort.ORIGINAL_FILENAME,
        max_images: MaxImagesArgument = 50,
    ) -> contract.Project | None:
        check_range("maxImages", max_images, least=1, most=_MAX_IMAGES)
        check_text("status", status)
        check_feedback(feedback)
        request = GalleryRequest(
            project_id=project_id,
            order=order.value,
            status=status,
            feedback=tuple(feedback or ()),
            sort_by=sort_by.value,
            max_images_per_project=max_images,
        )
        return await _translated(info.context.loaders.project(request), _PROJECT_ARGUMENTS)

    @strawberry.field(
        graphql_type=Node | None,
        description="The object with this id; null if there is none that the caller may see.",
    )
    async def node(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The `id` of a Project.")],
    ) -> contract.Project | None:
        try:
            identity = parse_global_id(id)
        except ValueError as exc:
            raise BadUserInputError("`id` is not the id of a Project.", argument="id") from exc
        if not isinstance(identity, ProjectIdentity):
            message = "An Image cannot be fetched by its id; ask for its project."
            raise BadUserInputError(message, argument="id")
        request = GalleryRequest(project_id=identity.project_id)
        return await _translated(info.context.loaders.project(request), {"project_id": "id"})


async def _translated(loading: Awaitable[Value], arguments: dict[str, str]) -> Value:
    try:
        return await loading
    except RejectedParameterError as exc:
        raise rejected_argument(exc, arguments) from exc
