"""What an image is: each field reads the attribute of the contract struct that bears its REST name."""

import strawberry
from msgspec import Raw
from strawberry import federation
from strawberry.scalars import JSON

from gallery_gateway.execution.plan import ATTRIBUTE
from gallery_gateway.schema.directives import LINK, PERSONAL, key, sized
from gallery_gateway.schema.scalars import json_or_none
from gallery_gateway.upstream import contract


@federation.type(description="A picture, as links to two sizes. The links may expire.", shareable=True)
class ImageFile:
    """`contract.ImageFile`."""

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
    def input_description(self, root: strawberry.Parent[contract.Image]) -> Raw | None:
        return json_or_none(root.input_description)

    @federation.field(
        graphql_type=JSON | None,
        metadata={ATTRIBUTE: "review_annotations"},
        tags=[PERSONAL],
        description="Remarks made in the review, in free form.",
    )
    def review_annotations(self, root: strawberry.Parent[contract.Image]) -> Raw | None:
        return json_or_none(root.review_annotations)

    @federation.field(
        graphql_type=JSON | None,
        metadata={ATTRIBUTE: "retouch_claim"},
        tags=[PERSONAL],
        description="Who is retouching the image, in free form.",
    )
    def retouch_claim(self, root: strawberry.Parent[contract.Image]) -> Raw | None:
        return json_or_none(root.retouch_claim)
