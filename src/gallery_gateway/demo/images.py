"""Generates the images of a project, and moves those of a live project through its run.

An image is a dict of the fields that the REST API sends, but with the uuids of its pictures instead of links.
"""

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any

from gallery_gateway.demo.projects import DemoProject, make_uuid

Image = dict[str, Any]

# The last image starts 210 seconds into the cycle and takes 45 seconds at the longest.
_FIRST_START_SECONDS, _LAST_START_SECONDS = 10, 210

_FILENAMES = (
    "front.jpg", "back.jpg", "side.jpg", "detail.jpg", "collar.png", "hem.png", "IMG_0412.JPG",
    "IMG_0413.JPG", "flat-lay.webp", "Größe-übersicht.png", "détail_manche.jpg", "scan 7.tif",
)  # fmt: skip
_MODELS = ("onmodel-v2", "onmodel-v3", "onmodel-v3-detail")
_POSES = ("standing", "walking", "seated", "three-quarter")
_BACKGROUNDS = ("studio grey", "warm sand", "street at noon", "white cyclorama")
_ERRORS = (
    "No garment found in the source image.",
    "The source image could not be read.",
    "Generation timed out after 3 attempts.",
)
_COMMENTS = (
    "Perfect, goes online today.",
    "Sleeve is too long, bitte kürzen.",
    "La couleur est fidèle au modèle ✓",
    "色がとてもきれいです",
    'Logo reads "ALTELIER", must be "ATELIER".',
)
_REASONS = ("Hands overlap the hem.", "Print is blurred at the seam.", None)
_CLAIMS = (
    {"by": "ben", "tools": {"brush": 12.5, "mask": None}, "open": True},
    ["hem", 2, None],
    "claimed",
    7,
    False,
)
# In the order of the REST contract; images of older projects lack the last four.
_FIELDS = (
    "job_id", "image_index", "group_index", "version", "original_filename", "download_filename", "inputs",
    "output", "input_description", "status", "quality_score", "processing_time", "error_message", "feedback",
    "feedback_comment", "created_at", "review_status", "review_annotations", "retouch_claim",
    "id", "model_used", "detail_needs_review", "detail_review_reason",
)  # fmt: skip
# The fields that processing sets, with their values before it.
_UNPROCESSED: Image = {
    "download_filename": None, "output": None, "status": "pending", "quality_score": None,
    "processing_time": None, "error_message": None, "feedback": None, "feedback_comment": None,
    "review_status": None, "review_annotations": None, "retouch_claim": None,
    "detail_needs_review": False, "detail_review_reason": None,
}  # fmt: skip


def make_images(seed: int, project: DemoProject) -> list[Image]:
    """Generate the processed images of a project's current run, in the order in which they are processed."""
    rng = Random(f"{seed}/{project.project_id}/{project.run}")
    first_id = _first_result_id(project)
    sources = islice(_make_sources(rng), project.size)
    return [_make_image(rng, project, first_id + number, source) for number, source in enumerate(sources)]


def images_at(images: list[Image], project: DemoProject, now: float) -> list[Image]:
    """Return the images as they are at `now`; the images of a settled project do not change."""
    if project.phase_seconds is None:
        return images
    first_start = project.created_seconds + _FIRST_START_SECONDS
    interval = (_LAST_START_SECONDS - _FIRST_START_SECONDS) / len(images)
    return [_image_after(image, now - first_start - n * interval) for n, image in enumerate(images)]


def _image_after(image: Image, seconds: float) -> Image:
    """Return the image as it is `seconds` after its processing starts."""
    if seconds < 0:
        return image | _UNPROCESSED
    if seconds < image["processing_time"]:
        return image | _UNPROCESSED | {"status": "processing"}
    return image


def _make_sources(rng: Random) -> Iterator[Image]:
    """Yield the identities, filenames and inputs of an endless series of images."""
    while True:
        job_id = f"job-{rng.getrandbits(48):012x}"
        for image_index, filename in enumerate(rng.sample(_FILENAMES, rng.randint(2, 6))):
            source = {
                "job_id": job_id,
                "image_index": image_index,
                "inputs": [make_uuid(rng) for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4)))],
                "original_filename": filename if rng.random() < 0.98 else None,
            }
            for group_index in range(rng.randint(1, 2)):
                for version in range(rng.choice((1, 1, 1, 2, 3))):
                    yield source | {"group_index": group_index, "version": version}


def _make_image(rng: Random, project: DemoProject, result_id: int, source: Image) -> Image:
    image = source | _make_result(rng)
    filename, version = image["original_filename"], image["version"]
    if image["output"] and filename:
        stem = f"{project.sku.replace(' ', '-')}_{filename.rpartition('.')[0]}"
        image["download_filename"] = f"{stem}_g{image['group_index']}_v{version}.jpg"
    image["input_description"] = _make_description(rng)
    image["model_used"] = rng.choice(_MODELS) if rng.random() < 0.9 else None
    # A live project queues all images of a run at once.
    age_seconds = 7 * image["image_index"] + 86_400 * version if project.phase_seconds is None else 0
    image["created_at"] = project.timestamp(age_seconds)
    image["id"] = result_id
    fields = _FIELDS if project.has_new_fields else _FIELDS[:-4]
    return {field: image[field] for field in fields}


def _make_result(rng: Random) -> Image:
    """Generate the fields that processing sets."""
    output = make_uuid(rng)
    seconds = round(rng.uniform(12, 45), 2)
    if rng.random() < 0.07:
        failure = {"status": "failed", "error_message": rng.choice(_ERRORS), "processing_time": seconds}
        return _UNPROCESSED | failure
    feedback = rng.choices(("like", "dislike", None), (3, 1, 6))[0]
    needs_review = rng.random() < 0.08
    return _UNPROCESSED | {
        "status": "completed",
        "output": output,
        "processing_time": seconds,
        "quality_score": None if rng.random() < 0.12 else round(rng.uniform(0.4, 1), 3),
        "feedback": feedback,
        "feedback_comment": rng.choice(_COMMENTS) if feedback and rng.random() < 0.4 else None,
        "review_status": rng.choices(("approved", "in_review", None), (3, 1, 6))[0],
        "review_annotations": None if rng.random() < 0.85 else _make_annotations(rng),
        "retouch_claim": None if rng.random() < 0.9 else rng.choice(_CLAIMS),
        "detail_needs_review": needs_review,
        "detail_review_reason": rng.choice(_REASONS) if needs_review else None,
    }


def _make_annotations(rng: Random) -> object:
    return [
        {"at": [rng.randint(0, 960), rng.randint(0, 1200)], "note": rng.choice(_COMMENTS)}
        for _ in range(rng.randint(0, 3))
    ]


def _make_description(rng: Random) -> object:
    if rng.random() < 0.15:
        return None
    return {
        "background": rng.choice(_BACKGROUNDS),
        "model": {"pose": rng.choice(_POSES), "height_cm": rng.randint(165, 190)},
        "crop": [0, 0, rng.randint(800, 960), rng.randint(1000, 1200)],
        "keep_logo": rng.random() < 0.5,
    }


def _first_result_id(project: DemoProject) -> int:
    """Return an id within 31 bits; ranges of different projects and of successive runs do not overlap."""
    if project.phase_seconds is None:
        return project.project_id * 1_000
    return 1_000_000_000 + (project.run * 1_000 + project.project_id) % 1_000_000 * 1_000
