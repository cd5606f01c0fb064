"""Bodies of the REST API: projects with finished images of about 1 KB, equal for equal signing times.

All images are finished and the links hold for a week, so that nothing but the time to live ends a page.
"""

import json
import random
from datetime import UTC, datetime
from typing import Any

_BUCKET = "https://on-model.s3.amazonaws.com"
_TOTAL = 200_000_000
_WEEK_SECONDS = 7 * 24 * 3600
_PROMPT = "studio shot, soft light"


def page_json(*, projects: int, images: int, page: int = 1, signed_at: datetime | None = None) -> bytes:
    """Return one body with `images` for each project: the first ones, if another body has more."""
    moment = (signed_at or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    listed = [_project(number, images, moment, random.Random(number)) for number in range(1, projects + 1)]
    pagination = {
        "page": page,
        "per_page": projects,
        "total": _TOTAL,
        "pages": -(-_TOTAL // projects),
        "has_next": True,
        "has_prev": False,
    }
    return json.dumps({"pagination": pagination, "projects": listed}).encode("ascii")


def _project(number: int, images: int, moment: str, chance: random.Random) -> dict[str, Any]:
    made = [_image(number, position, moment, chance) for position in range(images)]
    return {
        "project_id": 10_000 + number,
        "project_name": f"SKU {number:05d} linen shirt",
        "project_key": f"{chance.getrandbits(64):016x}",
        "created_at": "2026-11-02T09:30:00.123456",
        "created_by": "ada.lovelace",
        # The counters do not depend on the cap.
        "total_images": 60,
        "completed_images": 57,
        "failed_images": 3,
        "images": made,
    }


def _image(project: int, position: int, moment: str, chance: random.Random) -> dict[str, Any]:
    has_failed = position % 20 == 19
    folder = f"{_BUCKET}/{project:05d}/{position:03d}"
    return {
        "job_id": f"job-{project:05d}-{position // 4:04d}",
        "image_index": position,
        "group_index": position % 4,
        "version": 0,
        "original_filename": f"shirt_{project:05d}_{position:03d}.jpg",
        "download_filename": None if has_failed else f"shirt_{project:05d}_{position:03d}_on_model.png",
        "inputs": [_links(f"{folder}/in", moment, chance)],
        "output": None if has_failed else _links(f"{folder}/out", moment, chance),
        "input_description": {"prompt": _PROMPT, "seed": position} if position % 3 == 0 else None,
        "status": "failed" if has_failed else "completed",
        "quality_score": None if has_failed else round(chance.random(), 4),
        "processing_time": round(5 + 20 * chance.random(), 3),
        "error_message": "The garment could not be found." if has_failed else None,
        "feedback": "like" if position % 5 == 0 else None,
        "feedback_comment": None,
        "created_at": "2026-11-02T09:31:00.123456",
        "review_status": "approved" if position % 7 == 0 else None,
        "review_annotations": [{"x": 0.25, "y": 0.5, "note": "collar"}] if position % 10 == 0 else None,
        "retouch_claim": None,
    }


def _links(stem: str, moment: str, chance: random.Random) -> dict[str, str]:
    return {name: _link(f"{stem}/{name}.jpg", moment, chance) for name in ("full_size", "thumbnail")}


def _link(path: str, moment: str, chance: random.Random) -> str:
    signature = f"{chance.getrandbits(256):064x}"
    return f"{path}?X-Amz-Date={moment}&X-Amz-Expires={_WEEK_SECONDS}&X-Amz-Signature={signature}"
