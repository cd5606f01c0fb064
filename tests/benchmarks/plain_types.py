"""The graph in plain Strawberry: dataclasses that are built from `response.json()`."""

import base64
from enum import Enum
from typing import Any

import strawberry
from strawberry.scalars import JSON


@strawberry.enum
class SortOrder(Enum):
    ASC = "asc"
    DESC = "desc"


@strawberry.enum
class ImageSort(Enum):
    ORIGINAL_FILENAME = "original_filename"
    QUALITY_SCORE = "quality_score"


@strawberry.enum
class Ownership(Enum):
    MINE = "mine"
    SHARED = "shared"


@strawberry.type
class Pagination:
    page: int
    per_page: int
    total: int
    pages: int
    has_next: bool
    has_prev: bool


@strawberry.type
class ImageFile:
    full_size: str | None
    thumbnail: str | None
    uuid: str | None

    @classmethod
    def build(cls, body: dict[str, Any]) -> "ImageFile":
        return cls(full_size=body["full_size"], thumbnail=body["thumbnail"], uuid=body.get("uuid"))


@strawberry.type
class Image:
    id: strawberry.ID
    result_id: int | None
    job_id: str
    image_index: int
    group_index: int
    version: int
    original_filename: str | None
    download_filename: str | None
    inputs: list[ImageFile]
    output: ImageFile | None
    input_description: JSON | None
    model_used: str | None
    detail_needs_review: bool | None
    detail_review_reason: str | None
    status: str | None
    quality_score: float | None
    processing_time: float | None
    error_message: str | None
    feedback: str | None
    feedback_comment: str | None
    created_at: str | None
    review_status: str | None
    review_annotations: JSON | None
    retouch_claim: JSON | None

    @classmethod
    def build(cls, body: dict[str, Any]) -> "Image":
        return cls(
            id=strawberry.ID(image_id(body)),
            result_id=body.get("id"),
            job_id=body["job_id"],
            image_index=body["image_index"],
            group_index=body["group_index"],
            version=body["version"],
            original_filename=body["original_filename"],
            download_filename=body["download_filename"],
            inputs=[ImageFile.build(file) for file in body["inputs"]],
            output=ImageFile.build(body["output"]) if body["output"] else None,
            input_description=body["input_description"],
            model_used=body.get("model_used"),
            detail_needs_review=body.get("detail_needs_review"),
            detail_review_reason=body.get("detail_review_reason"),
            status=body["status"],
            quality_score=body["quality_score"],
            processing_time=body["processing_time"],
            error_message=body["error_message"],
            feedback=body["feedback"],
            feedback_comment=body["feedback_comment"],
            created_at=body["created_at"],
            review_status=body["review_status"],
            review_annotations=body["review_annotations"],
            retouch_claim=body["retouch_claim"],
        )


@strawberry.type
class Project:
    id: strawberry.ID
    project_id: int
    project_name: str | None
    project_key: str | None
    created_at: str | None
    created_by: str | None
    total_images: int | None
    completed_images: int | None
    failed_images: int | None
    pending_images: int | None
    all_images: strawberry.Private[list[Image]]

    @strawberry.field
    def images(self, first: int | None = None) -> list[Image]:
        return self.all_images if first is None else self.all_images[:first]

    @classmethod
    def build(cls, body: dict[str, Any]) -> "Project":
        total, completed, failed = body["total_images"], body["completed_images"], body["failed_images"]
        return cls(
            id=strawberry.ID(global_id(f"Project:{body['project_id']}")),
            project_id=body["project_id"],
            project_name=body["project_name"],
            project_key=body["project_key"],
            created_at=body["created_at"],
            created_by=body["created_by"],
            total_images=total,
            completed_images=completed,
            failed_images=failed,
            pending_images=max(0, total - completed - failed),
            all_images=[Image.build(image) for image in body["images"]],
        )


@strawberry.type
class Gallery:
    pagination: Pagination
    projects: list[Project]

    @classmethod
    def build(cls, body: dict[str, Any]) -> "Gallery":
        return cls(
            pagination=Pagination(**body["pagination"]),
            projects=[Project.build(project) for project in body["projects"]],
        )


def image_id(body: dict[str, Any]) -> str:
    """Return the id as the gateway spells it, so that the responses can be compared."""
    position = f"Image:{body['image_index']}:{body['group_index']}:{body['version']}"
    return global_id(f"{position}{' ' * (-(len(position) + 1) % 3)}:{body['job_id']}")


def global_id(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode("ascii")
