"""The endpoint's answer as msgspec structs: an attribute for each REST field, under its REST name.

Two names differ, where the graph adds a derived value: `UpstreamImage.result_id` is REST's `id`, and `id` is
the global id on images and projects alike. Fields that "treat as yes" in the contract may be null or absent;
newer fields may be absent; unknown fields are ignored. JSON of no known shape stays as the bytes it
came in. Pages are shared between operations, so all of it is frozen.

Source: `GET /gallery/by-project`, response, in both known renderings of its documentation.
"""

from typing import ClassVar

from msgspec import Raw, Struct

from gallery_gateway.errors import UpstreamContractError
from gallery_gateway.structs import ProjectionSource
from gallery_gateway.upstream.identity import image_global_id, project_global_id

JSON_NULL = Raw(b"null")


class UpstreamImageFile(ProjectionSource, frozen=True, gc=False):
    """Links to one picture in two sizes; fetched without the token, maybe signed and expiring."""

    full_size: str | None = None
    thumbnail: str | None = None
    uuid: str | None = None


class UpstreamImage(ProjectionSource, frozen=True, gc=False, rename={"result_id": "id"}):
    """One generated image; the first four fields identify it."""

    derived: ClassVar = {"id": ("job_id", "image_index", "group_index", "version")}

    job_id: str
    image_index: int
    group_index: int
    version: int
    result_id: int | None = None
    original_filename: str | None = None
    download_filename: str | None = None
    inputs: list[UpstreamImageFile] = []  # noqa: RUF012  # msgspec makes a new list each time
    output: UpstreamImageFile | None = None
    input_description: Raw = JSON_NULL
    model_used: str | None = None
    detail_needs_review: bool | None = None
    detail_review_reason: str | None = None
    status: str | None = None
    quality_score: float | None = None
    processing_time: float | None = None
    error_message: str | None = None
    feedback: str | None = None
    feedback_comment: str | None = None
    created_at: str | None = None
    review_status: str | None = None
    review_annotations: Raw = JSON_NULL
    retouch_claim: Raw = JSON_NULL

    @property
    def id(self) -> str:
        try:
            return image_global_id(self.job_id, self.image_index, self.group_index, self.version)
        # A damaged answer is kept as it came, so the declared types are no promise.
        except TypeError as exc:
            raise UpstreamContractError("The gallery sent an image without what identifies it.") from exc


class UpstreamProject(ProjectionSource, frozen=True, gc=False):
    """One project with at most `max_images_per_project` of its images."""

    derived: ClassVar = {
        "id": ("project_id",),
        "pending_images": ("total_images", "completed_images", "failed_images"),
    }

    project_id: int
    images: list[UpstreamImage]
    project_name: str | None = None
    project_key: str | None = None
    created_at: str | None = None
    created_by: str | None = None
    total_images: int | None = None
    completed_images: int | None = None
    failed_images: int | None = None

    @property
    def id(self) -> str:
        try:
            return project_global_id(self.project_id)
        except TypeError as exc:
            raise UpstreamContractError("The gallery sent a project without its id.") from exc

    @property
    def pending_images(self) -> int | None:
        """Neither completed nor failed, never below 0; null unless all three counters are there."""
        total, completed, failed = self.total_images, self.completed_images, self.failed_images
        if type(total) is not int or type(completed) is not int or type(failed) is not int:
            return None
        return max(0, total - completed - failed)


class UpstreamPagination(ProjectionSource, frozen=True, gc=False):
    """Where a page stands; `total` counts projects."""

    page: int
    per_page: int
    total: int
    pages: int
    has_next: bool
    has_prev: bool


class Page(ProjectionSource, frozen=True, gc=False):
    """One answer of the endpoint."""

    pagination: UpstreamPagination
    projects: list[UpstreamProject]


class ErrorDetail(Struct, frozen=True, gc=False):
    """What the endpoint says of one parameter that it refused."""

    field: str | None = None


class InvalidRequest(Struct, frozen=True, gc=False):
    """The body of a 400 or 422, where it is JSON."""

    detail: list[ErrorDetail] = []
