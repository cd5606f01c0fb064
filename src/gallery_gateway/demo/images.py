"""Generates the images of a project and their results, and moves those of a live project through its run."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import NamedTuple

from gallery_gateway.demo.projects import DemoProject

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
_CLAIMS: tuple[object, ...] = (
    {"by": "ben", "tools": {"brush": 12.5, "mask": None}, "open": True},
    ["hem", 2, None],
    "claimed",
    7,
    False,
)


class Identity(NamedTuple):
    """The unique identity of an image, which also orders images that sort equal."""

    job_id: str
    image_index: int
    group_index: int
    version: int


# Identity, original filename and the uuids of the input pictures.
_Source = tuple[Identity, str | None, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResult:
    """The fields of an image that have a value only once it is processed.

    Args:
        output: the uuid of the output picture; `None` if the image failed.
        annotations: any JSON, like `claim`.
    """

    output: str | None = None
    error_message: str | None = None
    quality_score: float | None = None
    seconds: float | None = None
    feedback: str | None = None
    feedback_comment: str | None = None
    review_status: str | None = None
    annotations: object = None
    claim: object = None
    needs_review: bool = False
    review_reason: str | None = None


_NO_RESULT = ImageResult()


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoImage:
    """A generated image.

    Args:
        inputs: the uuids of its source pictures.
        input_description: any JSON.
        created_seconds: seconds since 1970.
    """

    identity: Identity
    result_id: int
    original_filename: str | None
    inputs: tuple[str, ...]
    input_description: object
    model_used: str | None
    created_seconds: float
    status: str
    result: ImageResult


def make_images(seed: int, project: DemoProject) -> tuple[DemoImage, ...]:
    """Generate the processed images of a project's current run, in the order in which they are processed."""
    rng = Random(f"{seed}/{project.project_id}/{project.run}")
    first_id = _first_result_id(project)
    sources = islice(_make_sources(rng), project.size)
    return tuple(
        _make_image(rng, project, first_id + number, source) for number, source in enumerate(sources)
    )


def images_at(images: tuple[DemoImage, ...], project: DemoProject, now: float) -> tuple[DemoImage, ...]:
    """Return the images as they are at `now`; the images of a settled project do not change."""
    if project.phase_seconds is None:
        return images
    first_start = project.created_seconds + _FIRST_START_SECONDS
    interval = (_LAST_START_SECONDS - _FIRST_START_SECONDS) / len(images)
    return tuple(_image_after(image, now - first_start - n * interval) for n, image in enumerate(images))


def _image_after(image: DemoImage, seconds: float) -> DemoImage:
    """Return the image as it is `seconds` after its processing starts."""
    if seconds < 0:
        return replace(image, status="pending", result=_NO_RESULT)
    if seconds < (image.result.seconds or 0):
        return replace(image, status="processing", result=_NO_RESULT)
    return image


def _make_sources(rng: Random) -> Iterator[_Source]:
    """Yield identity, filename and input uuids of an endless series of images."""
    while True:
        job_id = f"job-{rng.getrandbits(48):012x}"
        for image_index, filename in enumerate(rng.sample(_FILENAMES, rng.randint(2, 6))):
            inputs = tuple(_make_uuid(rng) for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))))
            original_filename = filename if rng.random() < 0.98 else None
            for group_index in range(rng.randint(1, 2)):
                for version in range(rng.choice((1, 1, 1, 2, 3))):
                    yield Identity(job_id, image_index, group_index, version), original_filename, inputs


def _make_image(rng: Random, project: DemoProject, result_id: int, source: _Source) -> DemoImage:
    identity, original_filename, inputs = source
    result = _make_result(rng)
    # A live project queues all images of a run at once.
    age_seconds = (
        0 if project.phase_seconds is not None else 7 * identity.image_index + 86_400 * identity.version
    )
    return DemoImage(
        identity=identity,
        result_id=result_id,
        original_filename=original_filename,
        inputs=inputs,
        input_description=_make_description(rng),
        model_used=rng.choice(_MODELS) if rng.random() < 0.9 else None,
        created_seconds=project.created_seconds + age_seconds,
        status="completed" if result.output else "failed",
        result=result,
    )


def _make_result(rng: Random) -> ImageResult:
    output = _make_uuid(rng)
    seconds = round(rng.uniform(12, 45), 2)
    if rng.random() < 0.07:
        return ImageResult(error_message=rng.choice(_ERRORS), seconds=seconds)
    feedback = rng.choices(("like", "dislike", None), (3, 1, 6))[0]
    needs_review = rng.random() < 0.08
    return ImageResult(
        output=output,
        quality_score=None if rng.random() < 0.12 else round(rng.uniform(0.4, 1), 3),
        seconds=seconds,
        feedback=feedback,
        feedback_comment=rng.choice(_COMMENTS) if feedback and rng.random() < 0.4 else None,
        review_status=rng.choices(("approved", "in_review", None), (3, 1, 6))[0],
        annotations=None if rng.random() < 0.85 else _make_annotations(rng),
        claim=None if rng.random() < 0.9 else rng.choice(_CLAIMS),
        needs_review=needs_review,
        review_reason=rng.choice(_REASONS) if needs_review else None,
    )


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


def _make_uuid(rng: Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _first_result_id(project: DemoProject) -> int:
    """Return an id within 31 bits; ranges of different projects and of successive runs do not overlap."""
    if project.phase_seconds is None:
        return project.project_id * 1_000
    return 1_000_000_000 + (project.run * 1_000 + project.project_id) % 1_000_000 * 1_000
