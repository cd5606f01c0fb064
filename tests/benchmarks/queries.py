"""The queries: three operations of growing size, and the bytes of their HTTP requests."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["uncached", "hot"]

STATES: tuple[State, ...] = ("uncached", "hot")

# Tokens have the same length, so that a prepared request fits each of them.
TOKEN_LENGTH = 40

_TOTALS = "projects { projectName totalImages }"
_THUMBNAILS = (
    "projects { projectName images { id status originalFilename qualityScore feedback createdAt version"
    " output { thumbnail } } }"
)
_FILE = "{ fullSize thumbnail uuid }"
EVERYTHING = (
    "pagination { page perPage total pages hasNext hasPrev } projects { id projectId projectName projectKey"
    " createdAt createdBy totalImages completedImages failedImages pendingImages images { id resultId jobId"
    f" imageIndex groupIndex version originalFilename downloadFilename inputs {_FILE} output {_FILE}"
    " inputDescription modelUsed detailNeedsReview detailReviewReason status qualityScore processingTime"
    " errorMessage feedback feedbackComment createdAt reviewStatus reviewAnnotations retouchClaim } }"
)


@dataclass(frozen=True, slots=True)
class Goal:
    """The ratio to the requests per second of plain Strawberry."""

    least: int
    aim: int


@dataclass(frozen=True, slots=True)
class Query:
    """One operation.

    Args:
        max_images: `maxImagesPerProject`; None = not given, so that narrowing has to find it.
        goals: by state; none = the gateway alone is measured.
    """

    name: str
    about: str
    selection: str
    max_images: int | None
    goals: dict[State, Goal] = field(hash=False)

    @property
    def is_compared(self) -> bool:
        return bool(self.goals)

    def body(self, *, with_variables: bool, operation_name: str | None = None) -> str:
        """Return the JSON of a POST request, with another operation name if one is given."""
        name = operation_name or self.name
        operation: dict[str, Any] = {"operationName": name}
        if self.max_images is None:
            document = f"query {name} {{ gallery {{ {self.selection} }} }}"
        elif with_variables:
            document = (
                f"query {name}($most: Int!) {{ gallery(maxImagesPerProject: $most) {{ {self.selection} }} }}"
            )
            operation["variables"] = {"most": self.max_images}
        else:
            document = (
                f"query {name} {{ gallery(maxImagesPerProject: {self.max_images}) {{ {self.selection} }} }}"
            )
        return json.dumps({"query": document, **operation})


QUERIES = (
    Query(
        "Q1",
        "20 projects, names and totals",
        _TOTALS,
        max_images=1,
        goals={"uncached": Goal(12, 27), "hot": Goal(50, 80)},
    ),
    Query(
        "Q1n",
        "the same without `maxImagesPerProject`: narrowing has to find it",
        _TOTALS,
        max_images=None,
        goals={},
    ),
    Query(
        "Q2",
        "20 projects of 12 images, 8 fields with `output { thumbnail }`",
        _THUMBNAILS,
        max_images=12,
        goals={"uncached": Goal(12, 18), "hot": Goal(150, 240)},
    ),
    Query(
        "Q3",
        "20 projects of 50 images, all fields",
        EVERYTHING,
        max_images=50,
        goals={"uncached": Goal(9, 12), "hot": Goal(100, 170)},
    ),
)


def compared(queries: Iterable[Query] = QUERIES) -> list[Query]:
    return [query for query in queries if query.is_compared]


def token(label: str, number: int = 0) -> str:
    """Return the token of a made-up caller, unique by label and number."""
    return f"{label}-{number:0{TOKEN_LENGTH - len(label) - 1}d}"


def request(path: str, body: str, bearer: str) -> bytes:
    """Return a complete HTTP request for a keep-alive connection."""
    head = [
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        "user-agent: benchmark",
        "accept: application/json",
        "content-type: application/json",
        f"authorization: Bearer {bearer}",
        f"content-length: {len(body)}",
    ]
    return "\r\n".join([*head, "", body]).encode("ascii")
