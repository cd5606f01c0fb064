"""The three operations, and the bytes of the requests that carry them, as a reverse proxy passes them on."""

import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Varying = Literal["page", "caller", "document", "headers", "nothing", "mix"]
"""What differs between one request and the next: `headers` do in all kinds except `nothing`."""

# Every page has seven digits, so that all requests and responses of one query are equally long.
FIRST_PAGE = 1_000_000

MIX_CALLERS, MIX_PAGES = 200, 50
MIX_SHARES = {"Q1": 0.70, "Q2": 0.25, "Q3": 0.05}

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
class Query:
    """One operation; its page, number of projects and number of images are variables."""

    name: str
    about: str
    selection: str
    projects: int
    max_images: int

    def body(self) -> str:
        """Return the JSON of a POST request, with gaps for `fill`."""
        name = f"{self.name}_%(document)06d"
        document = (
            f"query {name}($page: Int!, $perPage: Int!, $maxImages: Int!) {{"
            f" gallery(page: $page, perPage: $perPage, maxImagesPerProject: $maxImages) {{"
            f" {self.selection} }} }}"
        )
        variables = {"page": "PAGE", "perPage": self.projects, "maxImages": self.max_images}
        body = {"operationName": name, "query": document, "variables": variables}
        return json.dumps(body).replace('"PAGE"', "%(page)07d")


QUERIES = {
    query.name: query
    for query in (
        Query("Q1", "20 projects, names and totals", "projects { projectName totalImages }", 20, 1),
        Query(
            "Q2",
            "20 projects of 12 images, 8 fields with `output { thumbnail }`",
            _THUMBNAILS,
            20,
            12,
        ),
        Query("Q3", "20 projects of 50 images, all fields", EVERYTHING, 20, 50),
    )
}


def named(name: str) -> Query:
    """Return a query by its name; `3x7` is Q2 with 3 projects of 7 images."""
    if name in QUERIES:
        return QUERIES[name]
    projects, images = map(int, name.split("x"))
    return Query(f"Q{name}", f"{projects} projects of {images} images", _THUMBNAILS, projects, images)


# What nginx or Envoy add, and what clients send anyway.
_HEAD = (
    "POST /graphql HTTP/1.1\r\n"
    "host: gallery.example\r\n"
    "x-request-id: %(request)032x\r\n"
    "x-real-ip: 203.0.%(high)d.%(low)d\r\n"
    "x-forwarded-for: 203.0.%(high)d.%(low)d\r\n"
    "x-forwarded-proto: https\r\n"
    "via: 1.1 edge\r\n"
    "traceparent: 00-%(request)032x-%(request)016x-01\r\n"
    "user-agent: benchmark\r\n"
    "accept: application/graphql-response+json, application/json\r\n"
    "accept-language: en\r\n"
    "content-type: application/json\r\n"
    "authorization: Bearer TOKEN-%(caller)08d\r\n"
    "content-length: LENGTH\r\n\r\n"
)


def template(query: Query, token: str) -> bytes:
    """Return an HTTP request that `fill` completes."""
    body = query.body().encode("ascii")
    length = len(body % {b"document": 0, b"page": FIRST_PAGE})
    return _HEAD.replace("LENGTH", str(length)).replace("TOKEN", token).encode("ascii") + body


def fill(request: bytes, *, number: int, page: int = 0, caller: int = 0, document: int = 0) -> bytes:
    """Complete a request; `number` makes its headers unlike those of all others."""
    return request % {
        b"request": number,
        b"high": number >> 8 & 0xFF,
        b"low": number & 0xFF,
        b"page": FIRST_PAGE + page,
        b"caller": caller,
        b"document": document,
    }


def requests(name: str, varying: Varying, token: str, *, first: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield names of queries and requests without end.

    Args:
        name: of the query; a mix has all of them.
        token: what the tokens of the made-up callers begin with.
        first: number of the first page, caller or document.
    """
    if varying == "mix":
        yield from _mix(token)
    request = template(named(name), token)
    if varying == "nothing":
        yield from itertools.repeat((name, fill(request, number=0)))
    for number in itertools.count(first):
        varied = {varying: number} if varying in {"page", "caller", "document"} else {}
        yield name, fill(request, number=number, **varied)


def _mix(token: str) -> Iterator[tuple[str, bytes]]:
    """Yield the same sequence for each server: the nth caller and the nth page are drawn 1/n as often."""
    templates = {name: template(query, token) for name, query in QUERIES.items()}
    chance = random.Random(16)
    names = chance.choices(list(MIX_SHARES), list(MIX_SHARES.values()), k=100_000)
    callers = chance.choices(range(MIX_CALLERS), _zipf(MIX_CALLERS), k=100_000)
    pages = chance.choices(range(MIX_PAGES), _zipf(MIX_PAGES), k=100_000)
    drawn = itertools.cycle(zip(names, callers, pages, strict=True))
    for number, (name, caller, page) in enumerate(drawn):
        yield name, fill(templates[name], number=number, page=page, caller=caller)


def _zipf(count: int) -> list[float]:
    return [1 / rank for rank in range(1, count + 1)]
