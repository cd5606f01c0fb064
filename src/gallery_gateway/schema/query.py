"""The root fields of the graph and their arguments."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import strawberry
from strawberry import UNSET

from gallery_gateway.errors import RejectedParameterError
from gallery_gateway.execution.selection import selection_of
from gallery_gateway.schema import connection
from gallery_gateway.schema.connection import connection_request, load_connection
from gallery_gateway.schema.context import Info
from gallery_gateway.schema.needs import count_images, gallery_needs, project_needs
from gallery_gateway.schema.requests import gallery_request, node_request, project_request, rejected_argument
from gallery_gateway.schema.types import (
    CONNECTION_SIZE,
    UPSTREAM_CALL,
    Gallery,
    ImageSort,
    Node,
    Ownership,
    Project,
    ProjectConnection,
    SortOrder,
    sized,
)
from gallery_gateway.upstream import contract

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

ProjectIdFilter = Annotated[int | None, strawberry.argument(description="Only the project with this number.")]
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
_CONNECTION_ARGUMENTS = {**_GALLERY_ARGUMENTS, "page": "after", "per_page": "first"}
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
        directives=[UPSTREAM_CALL, sized(20, by="perPage", of="projects")],
    )
    async def gallery(
        self,
        info: Info,
        page: PageArgument = 1,
        per_page: PerPageArgument = 20,
        order: OrderArgument = SortOrder.DESC,
        project_id: ProjectIdFilter = UNSET,
        status: StatusArgument = UNSET,
        feedback: FeedbackArgument = UNSET,
        sort_by: SortByArgument = ImageSort.ORIGINAL_FILENAME,
        ownership: OwnershipArgument = UNSET,
        max_images_per_project: MaxImagesArgument = 50,
        search: SearchArgument = UNSET,
    ) -> contract.Page:
        request = gallery_request(
            page=page,
            per_page=per_page,
            order=order,
            project_id=project_id,
            status=status,
            feedback=feedback,
            sort_by=sort_by,
            ownership=ownership,
            max_images_per_project=max_images_per_project,
            search=search,
        )
        needs, limits = gallery_needs(selection_of(info.resolve_info, "Gallery"))
        with _refusals_translated(_GALLERY_ARGUMENTS):
            found = await info.context.load(info.key, lambda loaders: loaders.page(request, needs))
        info.context.count_images(info.key, count_images(found.value.projects, limits))
        return found.value

    @strawberry.field(
        graphql_type=ProjectConnection | None,
        description=(
            "The projects by cursors (Relay's Cursor Connections Specification): forward with `first` and"
            " `after`, backward with `last` and `before`. A walk finds each project once, also while others"
            " come and go; `gallery` has page numbers."
        ),
        directives=[UPSTREAM_CALL, CONNECTION_SIZE],
    )
    async def projects(
        self,
        info: Info,
        first: FirstArgument = UNSET,
        after: AfterArgument = UNSET,
        last: LastArgument = UNSET,
        before: BeforeArgument = UNSET,
        order: OrderArgument = SortOrder.DESC,
        project_id: ProjectIdFilter = UNSET,
        status: StatusArgument = UNSET,
        feedback: FeedbackArgument = UNSET,
        sort_by: SortByArgument = ImageSort.ORIGINAL_FILENAME,
        ownership: OwnershipArgument = UNSET,
        max_images_per_project: MaxImagesArgument = 50,
        search: SearchArgument = UNSET,
    ) -> connection.ConnectionSource:
        request = connection_request(
            first=first,
            after=after,
            last=last,
            before=before,
            order=order,
            project_id=project_id,
            status=status,
            feedback=feedback,
            sort_by=sort_by,
            ownership=ownership,
            max_images_per_project=max_images_per_project,
            search=search,
        )
        selection = selection_of(info.resolve_info, "ProjectConnection")
        with _refusals_translated(_CONNECTION_ARGUMENTS):
            found = await info.context.load(
                info.key, lambda loaders: load_connection(loaders, request, selection)
            )
        info.context.count_images(info.key, found.images)
        return found.value

    @strawberry.field(
        graphql_type=Project | None,
        description="One project; null if there is none of this number that the caller may see.",
        directives=[UPSTREAM_CALL],
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
    ) -> contract.UpstreamProject | None:
        request = project_request(
            project_id=project_id,
            order=order,
            status=status,
            feedback=feedback,
            sort_by=sort_by,
            max_images=max_images,
        )
        needs, limits = project_needs(selection_of(info.resolve_info, "Project"))
        with _refusals_translated(_PROJECT_ARGUMENTS):
            found = await info.context.load(info.key, lambda loaders: loaders.project(request, needs))
        info.context.count_images(info.key, count_images([found.value], limits))
        return found.value

    @strawberry.field(
        graphql_type=Node | None,
        description="The object with this id; null if there is none that the caller may see.",
        directives=[UPSTREAM_CALL],
    )
    async def node(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The `id` of a Project.")],
    ) -> contract.UpstreamProject | None:
        request = node_request(id)
        needs, limits = project_needs(selection_of(info.resolve_info, "Project"))
        with _refusals_translated({"project_id": "id"}):
            found = await info.context.load(info.key, lambda loaders: loaders.project(request, needs))
        info.context.count_images(info.key, count_images([found.value], limits))
        return found.value


@contextmanager
def _refusals_translated(arguments: dict[str, str]) -> Iterator[None]:
    try:
        yield
    except RejectedParameterError as exc:
        raise rejected_argument(exc, arguments) from exc
