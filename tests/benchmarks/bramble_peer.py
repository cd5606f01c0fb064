"""A peer: `python -m tests.benchmarks.bramble_peer --port N --upstream-url URL [--hot]`.

The same graph as `plain.py` in Bramble, a Python library with a parser in Rust. Its decorators are those of
Strawberry, but a resolver takes its parent by type. `pip install -e '.[benchmark]'` installs it.
"""

# mypy: ignore-errors
# Bramble 0.3 has no types that mypy understands.

from dataclasses import fields
from typing import Any

import bramble
from bramble.adapters.starlette import GraphQL
from fastapi import FastAPI, Request
from starlette.routing import Route

from tests.benchmarks.plain import Endpoint, given, serve
from tests.benchmarks.plain_types import ImageSort, Ownership, SortOrder, global_id, image_id

JSON = Any

for kind in (SortOrder, ImageSort, Ownership):
    bramble.enum(kind)


@bramble.type
class Pagination:
    page: int
    per_page: int
    total: int
    pages: int
    has_next: bool
    has_prev: bool


@bramble.type
class ImageFile:
    full_size: str | None
    thumbnail: str | None
    uuid: str | None

    @classmethod
    def build(cls, body: dict[str, Any]) -> "ImageFile":
        return cls(full_size=body["full_size"], thumbnail=body["thumbnail"], uuid=body.get("uuid"))


@bramble.type
class Image:
    id: bramble.ID
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
            id=bramble.ID(image_id(body)),
            result_id=body.get("id"),
            inputs=[ImageFile.build(file) for file in body["inputs"]],
            output=ImageFile.build(body["output"]) if body["output"] else None,
            **{name: body.get(name) for name in _IMAGE_FIELDS},
        )


_IMAGE_FIELDS = [
    field.name for field in fields(Image) if field.name not in {"id", "result_id", "inputs", "output"}
]


@bramble.type
class Project:
    id: bramble.ID
    project_id: int
    project_name: str | None
    project_key: str | None
    created_at: str | None
    created_by: str | None
    total_images: int | None
    completed_images: int | None
    failed_images: int | None
    pending_images: int | None
    all_images: bramble.Private[list[Image]]

    @bramble.field
    def images(parent: bramble.Parent["Project"], first: int | None = None) -> list[Image]:  # noqa: N805
        return parent.all_images if first is None else parent.all_images[:first]

    @classmethod
    def build(cls, body: dict[str, Any]) -> "Project":
        total, completed, failed = body["total_images"], body["completed_images"], body["failed_images"]
        return cls(
            id=bramble.ID(global_id(f"Project:{body['project_id']}")),
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


@bramble.type
class Gallery:
    pagination: Pagination
    projects: list[Project]

    @classmethod
    def build(cls, body: dict[str, Any]) -> "Gallery":
        return cls(
            pagination=Pagination(**body["pagination"]),
            projects=[Project.build(project) for project in body["projects"]],
        )


@bramble.type
class Query:
    @bramble.field
    async def gallery(  # noqa: PLR0917  # Bramble passes arguments by name
        info: bramble.Info,  # noqa: N805
        page: int = 1,
        per_page: int = 20,
        order: SortOrder = SortOrder.DESC,
        project_id: int | None = None,
        status: str | None = None,
        feedback: list[str] | None = None,
        sort_by: ImageSort = ImageSort.ORIGINAL_FILENAME,
        ownership: Ownership | None = None,
        max_images_per_project: int = 50,
        search: str | None = None,
    ) -> Gallery | None:
        arguments = given(
            page,
            per_page,
            order,
            project_id,
            status,
            feedback,
            sort_by,
            ownership,
            max_images_per_project,
            search,
        )
        request: Request = info.context["request"]
        return await request.app.state.endpoint.gallery(request.headers["authorization"], arguments)


def create_app(upstream_url: str, *, hot: bool) -> FastAPI:
    app = FastAPI()
    app.state.endpoint = Endpoint(upstream_url, Gallery.build, hot=hot)
    app.router.routes.append(Route("/graphql", GraphQL(bramble.Schema(query=Query)), methods=["POST"]))
    return app


if __name__ == "__main__":
    serve(create_app, __doc__)
