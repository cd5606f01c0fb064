"""An endpoint with a known list of projects, a clock that is stepped by hand, and what was asked of both."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import httpx

from gallery_gateway.clock import Clock
from gallery_gateway.gallery.request import GalleryRequest, query_string
from gallery_gateway.upstream.contract import Page
from gallery_gateway.upstream.decoding import parse_page
from tests.fakes import FakeUpstream, Handler, image_body, parameters_of, project_body

# 2026-01-01T12:00:00Z, in seconds since 1970.
NOON = 1_767_268_800.0


@dataclass
class ManualClock:
    """Stands still until it is stepped; both clocks run together."""

    seconds: float = 1_000.0

    @property
    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.seconds, wall=lambda: self.wall)

    @property
    def wall(self) -> float:
        return NOON + self.seconds - 1_000.0

    def step(self, seconds: float) -> None:
        self.seconds += seconds


def sized_projects(*sizes: int) -> list[dict[str, Any]]:
    """Projects 1, 2, 3 and so on, each with so many images."""
    return [
        project_body(number, *(image_body(index, job_id=f"job-{number}") for index in range(size)))
        for number, size in enumerate(sizes, start=1)
    ]


def page_of(projects: Sequence[dict[str, Any]], parameters: dict[str, str]) -> dict[str, Any]:
    """What the endpoint says if these are all the projects that there are."""
    page, per_page = int(parameters["page"]), int(parameters["per_page"])
    cap = int(parameters["max_images_per_project"])
    wanted = parameters.get("project_id")
    listed = [p for p in projects if wanted is None or str(p["project_id"]) == wanted]
    pages = -(-len(listed) // per_page)
    window = listed[(page - 1) * per_page : page * per_page]
    return {
        "pagination": {
            "page": page,
            "per_page": per_page,
            "total": len(listed),
            "pages": pages,
            "has_next": page < pages,
            "has_prev": page > 1,
        },
        "projects": [{**project, "images": project["images"][:cap]} for project in window],
    }


def listing(*sizes: int, **headers: str) -> Handler:
    """Answers every request out of `sized_projects`, with these headers (`_` for `-`)."""
    projects = sized_projects(*sizes)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: httpx.Response(200, json=page_of(projects, parameters_of(request)), headers=sent)


def parsed_page(projects: Sequence[dict[str, Any]], request: GalleryRequest) -> Page:
    return parse_page(json.dumps(page_of(projects, dict(parse_qsl(query_string(request))))).encode())


def caps(upstream: FakeUpstream) -> list[int]:
    """`max_images_per_project` of each upstream request, in their order."""
    return [int(parameters_of(request)["max_images_per_project"]) for request in upstream.requests]


def indexes(project: dict[str, Any], key: str = "images") -> list[int]:
    """The `imageIndex` of each image of a project in an answer."""
    return [image["imageIndex"] for image in project[key]]
