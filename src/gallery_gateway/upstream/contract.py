"""The responses of the REST API as msgspec structs, with an attribute for each field under its REST name.

Two names differ, because the graph adds a derived value: `UpstreamImage.result_id` is REST's `id`, while `id`
is the global id of an image or a project. Fields that the contract says to "treat as yes" may be null or
absent, newer fields may be absent, and unknown fields are ignored. JSON of unknown shape stays as bytes.
Operations share pages, so everything is frozen.

Source: `GET /gallery/by-project`, response, in both known renderings of its documentation.
"""

from typing import ClassVar

from msgspec import Raw, Struct

from gallery_gateway.structs import AliasedSource
from gallery_gateway.upstream.identity import id_of_image, id_of_project
from gallery_gateway.upstream.links import first_expiry

PATH = "/gallery/by-project"
"""Of the resource, below the base URL of the REST API."""

# The largest `per_page` and `max_images_per_project`.
MAX_PER_PAGE = 100
MAX_IMAGES = 200

JSON_NULL = Raw(b"null")


class UpstreamImageFile(AliasedSource, frozen=True, gc=False):
    """Links to one picture in two sizes; they need no token, and may be signed and expire."""

    derived: ClassVar = {"expires_at": ("full_size", "thumbnail")}

    full_size: str | None = None
    thumbnail: str | None = None
    uuid: str | None = None

    @property
    def expires_at(self) -> str | None:
        """When the first link expires, in UTC (RFC 3339); `None` if no link says so."""
        return first_expiry(self.full_size, self.thumbnail)


class UpstreamImage(AliasedSource, frozen=True, gc=False, rename={"result_id": "id"}):
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

    # A page has a thousand images, so their ids take no detour.
    id = property(id_of_image)


class UpstreamProject(AliasedSource, frozen=True, gc=False):
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

    id = property(id_of_project)

    @property
    def pending_images(self) -> int | None:
        """Images neither completed nor failed, at least 0; `None` unless all three counters are known."""
        total, completed, failed = self.total_images, self.completed_images, self.failed_images
        if type(total) is not int or type(completed) is not int or type(failed) is not int:
            return None
        return max(0, total - completed - failed)


class UpstreamPagination(AliasedSource, frozen=True, gc=False):
    """Position of a page; `total` counts projects."""

    page: int
    per_page: int
    total: int
    pages: int
    has_next: bool
    has_prev: bool


class Page(AliasedSource, frozen=True, gc=False):
    """One page of projects."""

    pagination: UpstreamPagination
    projects: list[UpstreamProject]


class ErrorDetail(Struct, frozen=True, gc=False):
    """What the REST API says about one rejected parameter."""

    field: str | None = None


class InvalidRequest(Struct, frozen=True, gc=False):
    """The body of a 400 or 422, if it is JSON."""

    detail: list[ErrorDetail] = []
