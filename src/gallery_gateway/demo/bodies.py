"""Renders a listing in the words of the REST contract."""

from collections.abc import Callable
from datetime import UTC, datetime

from gallery_gateway.demo.catalogue import ListedProject, Listing
from gallery_gateway.demo.images import DemoImage
from gallery_gateway.demo.parameters import Parameters, Problem
from gallery_gateway.demo.projects import DemoProject

Body = dict[str, object]
# From the path of a picture to its signed link.
Sign = Callable[[str], str]


def listing_body(listing: Listing, parameters: Parameters, sign: Sign) -> Body:
    pages = pages_of(listing, parameters)
    return {
        "pagination": {
            "page": parameters.page,
            "per_page": parameters.per_page,
            "total": listing.total,
            "pages": pages,
            "has_next": parameters.page < pages,
            "has_prev": parameters.page > 1,
        },
        "projects": [_project_body(listed, sign) for listed in listing.projects],
    }


def invalid_body(problems: tuple[Problem, ...]) -> Body:
    detail = [{"field": p.field, "message": p.message, "position": "query"} for p in problems]
    return {"error": "Invalid request", "detail": detail}


def pages_of(listing: Listing, parameters: Parameters) -> int:
    return -(-listing.total // parameters.per_page)


def _project_body(listed: ListedProject, sign: Sign) -> Body:
    project = listed.project
    statuses = [image.status for image in listed.images]
    return {
        "project_id": project.project_id,
        "project_name": project.name,
        "project_key": project.key,
        "created_at": _time(project.created_seconds, project),
        "created_by": project.owner.name,
        "total_images": len(statuses),
        "completed_images": statuses.count("completed"),
        "failed_images": statuses.count("failed"),
        "images": [_image_body(image, project, sign) for image in listed.listed],
    }


def _image_body(image: DemoImage, project: DemoProject, sign: Sign) -> Body:
    outcome = image.outcome
    body: Body = {
        **image.identity._asdict(),
        "original_filename": image.original_filename,
        "download_filename": _download_filename(image, project),
        "inputs": [_file_body("input", uuid, project, sign) for uuid in image.inputs],
        "output": outcome.output and _file_body("output", outcome.output, project, sign),
        "input_description": image.input_description,
        "status": image.status,
        "quality_score": outcome.quality_score,
        "processing_time": outcome.seconds,
        "error_message": outcome.error_message,
        "feedback": outcome.feedback,
        "feedback_comment": outcome.feedback_comment,
        "created_at": _time(image.created_seconds, project),
        "review_status": outcome.review_status,
        "review_annotations": outcome.annotations,
        "retouch_claim": outcome.claim,
    }
    return body | _newer_fields(image) if project.has_newer_fields else body


def _newer_fields(image: DemoImage) -> Body:
    return {
        "id": image.result_id,
        "model_used": image.model_used,
        "detail_needs_review": image.outcome.needs_review,
        "detail_review_reason": image.outcome.review_reason,
    }


def _file_body(role: str, uuid: str, project: DemoProject, sign: Sign) -> Body:
    """Sources of older projects have no thumbnail, and none of their files tells its uuid."""
    path = f"pictures/{project.project_id}/{role}/{uuid}"
    if not project.has_newer_fields:
        thumbnail = sign(f"{path}/thumbnail.svg") if role == "output" else None
        return {"full_size": sign(f"{path}/full_size.svg"), "thumbnail": thumbnail}
    return {
        "full_size": sign(f"{path}/full_size.svg"),
        "thumbnail": sign(f"{path}/thumbnail.svg"),
        "uuid": uuid,
    }


def _download_filename(image: DemoImage, project: DemoProject) -> str | None:
    if image.outcome.output is None or image.original_filename is None:
        return None
    stem = image.original_filename.rpartition(".")[0]
    _, _, group_index, version = image.identity
    return f"{project.sku.replace(' ', '-')}_{stem}_g{group_index}_v{version}.jpg"


def _time(seconds: float, project: DemoProject) -> str:
    """ISO 8601; older answers leave the zone out."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return (moment if project.has_newer_fields else moment.replace(tzinfo=None)).isoformat()
