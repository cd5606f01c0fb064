"""Lets live projects be made over and over: pending, then processing, then completed or failed."""

from dataclasses import replace

from gallery_gateway.demo.images import DemoImage
from gallery_gateway.demo.outcomes import NOTHING_YET
from gallery_gateway.demo.projects import DemoProject

CYCLE_SECONDS = 360
# The last image begins 210 seconds into the cycle and takes at most 45: the rest is calm.
_FIRST_BEGINS_SECONDS, _LAST_BEGINS_SECONDS = 10, 210


def project_at(project: DemoProject, now: float) -> tuple[DemoProject, int]:
    """The project as it is at a moment, and the number of its run.

    A live project is begun anew in each cycle, with other images: its age is that of the run.
    """
    if project.phase_seconds is None:
        return project, 0
    run = int((now - project.phase_seconds) // CYCLE_SECONDS)
    return replace(project, created_seconds=run * CYCLE_SECONDS + project.phase_seconds), run


def images_at(images: tuple[DemoImage, ...], project: DemoProject, now: float) -> tuple[DemoImage, ...]:
    """The images as they are at a moment; those of a settled project stay what they are."""
    if project.phase_seconds is None:
        return images
    elapsed = now - project.created_seconds
    between = (_LAST_BEGINS_SECONDS - _FIRST_BEGINS_SECONDS) / len(images)
    return tuple(
        _image_after(image, elapsed - _FIRST_BEGINS_SECONDS - ordinal * between)
        for ordinal, image in enumerate(images)
    )


def _image_after(image: DemoImage, seconds: float) -> DemoImage:
    if seconds < 0:
        return replace(image, status="pending", outcome=NOTHING_YET)
    if seconds < (image.outcome.seconds or 0):
        return replace(image, status="processing", outcome=NOTHING_YET)
    return image
