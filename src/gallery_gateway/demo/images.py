"""Makes up the images of one project, as they are when all work on them is done."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import NamedTuple

from gallery_gateway.demo.outcomes import ImageOutcome, make_outcome
from gallery_gateway.demo.projects import DemoProject

_FILENAMES = (
    "front.jpg", "back.jpg", "side.jpg", "detail.jpg", "collar.png", "hem.png", "IMG_0412.JPG",
    "IMG_0413.JPG", "flat-lay.webp", "Größe-übersicht.png", "détail_manche.jpg", "scan 7.tif",
)  # fmt: skip
_MODELS = ("onmodel-v2", "onmodel-v3", "onmodel-v3-detail")
_POSES = ("standing", "walking", "seated", "three-quarter")
_BACKGROUNDS = ("studio grey", "warm sand", "street at noon", "white cyclorama")


class Identity(NamedTuple):
    """What tells an image from all others, and in which order equal ones are listed."""

    job_id: str
    image_index: int
    group_index: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoImage:
    """A made-up image.

    Args:
        inputs: the uuids of its source pictures.
        input_description: free-form JSON, or None.
        created_seconds: since 1970.
    """

    identity: Identity
    result_id: int
    original_filename: str | None
    inputs: tuple[str, ...]
    input_description: object
    model_used: str | None
    created_seconds: float
    status: str
    outcome: ImageOutcome


def make_images(seed: int, project: DemoProject, run: int) -> tuple[DemoImage, ...]:
    """The images of one run of a project, in the order in which they are worked on."""
    rng = Random(f"{seed}/{project.project_id}/{run}")
    first_result_id = _first_result_id(project, run)
    positions = islice(_positions(rng), project.size)
    return tuple(
        _make_image(rng, position, first_result_id + ordinal, project)
        for ordinal, position in enumerate(positions)
    )


class _Position(NamedTuple):
    """Where an image stands in its job, and what it was made from."""

    identity: Identity
    original_filename: str | None
    inputs: tuple[str, ...]


def _positions(rng: Random) -> Iterator[_Position]:
    """Job after job without end: each of some source files, in variations, some retouched."""
    while True:
        job_id = f"job-{rng.getrandbits(48):012x}"
        for image_index, filename in enumerate(rng.sample(_FILENAMES, rng.randint(2, 6))):
            inputs = tuple(_make_uuid(rng) for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))))
            original_filename = filename if rng.random() < 0.98 else None
            for group_index in range(rng.randint(1, 2)):
                for version in range(rng.choice((1, 1, 1, 2, 3))):
                    identity = Identity(job_id, image_index, group_index, version)
                    yield _Position(identity, original_filename, inputs)


def _make_image(rng: Random, position: _Position, result_id: int, project: DemoProject) -> DemoImage:
    outcome = make_outcome(rng, output=_make_uuid(rng))
    return DemoImage(
        identity=position.identity,
        result_id=result_id,
        original_filename=position.original_filename,
        inputs=position.inputs,
        input_description=_make_description(rng),
        model_used=rng.choice(_MODELS) if rng.random() < 0.9 else None,
        created_seconds=project.created_seconds + _age_seconds(position, project),
        status="completed" if outcome.output else "failed",
        outcome=outcome,
    )


def _age_seconds(position: _Position, project: DemoProject) -> int:
    """How much younger than its project an image is; a live run queues all of its own at once."""
    if project.phase_seconds is not None:
        return 0
    _, image_index, _, version = position.identity
    return 7 * image_index + 86_400 * version


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


def _first_result_id(project: DemoProject, run: int) -> int:
    """Row numbers within 31 bits, never the same for two projects or two runs near in time."""
    if project.phase_seconds is None:
        return project.project_id * 1_000
    return 1_000_000_000 + (run * 1_000 + project.project_id) % 1_000_000 * 1_000
