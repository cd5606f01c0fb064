"""Makes up what became of an image: its output or its failure, and what people said of it."""

from dataclasses import dataclass
from random import Random

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOutcome:
    """Everything about an image that is known only after the work on it; None is not known.

    Args:
        output: the uuid of the picture; None when there is none.
        annotations: any JSON, as is `claim`.
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


NOTHING_YET = ImageOutcome()


def make_outcome(rng: Random, *, output: str) -> ImageOutcome:
    """A completed image with that output, or now and then a failure without."""
    seconds = round(rng.uniform(12, 45), 2)
    if rng.random() < 0.07:
        return ImageOutcome(error_message=rng.choice(_ERRORS), seconds=seconds)
    feedback = rng.choices(("like", "dislike", None), (3, 1, 6))[0]
    needs_review = rng.random() < 0.08
    return ImageOutcome(
        output=output,
        quality_score=None if rng.random() < 0.12 else round(rng.uniform(0.4, 1), 3),
        seconds=seconds,
        feedback=feedback,
        feedback_comment=rng.choice(_COMMENTS) if feedback and rng.random() < 0.4 else None,
        review_status=rng.choices(("approved", "in_review", None), (3, 1, 6))[0],
        annotations=_make_annotations(rng),
        claim=_make_claim(rng),
        needs_review=needs_review,
        review_reason=rng.choice(_REASONS) if needs_review else None,
    )


def _make_annotations(rng: Random) -> object:
    if rng.random() < 0.85:
        return None
    return [
        {"at": [rng.randint(0, 960), rng.randint(0, 1200)], "note": rng.choice(_COMMENTS)}
        for _ in range(rng.randint(0, 3))
    ]


def _make_claim(rng: Random) -> object:
    if rng.random() < 0.9:
        return None
    shapes: tuple[object, ...] = (
        {"by": "ben", "tools": {"brush": 12.5, "mask": None}, "open": True},
        ["hem", 2, None],
        "claimed",
        7,
        False,
    )
    return rng.choice(shapes)
