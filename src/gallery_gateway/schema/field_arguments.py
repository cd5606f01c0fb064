"""The arguments that root fields share, with what clients read of them."""

from typing import Annotated

import strawberry

from gallery_gateway.schema.types import ImageSort, Ownership, SortOrder

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
