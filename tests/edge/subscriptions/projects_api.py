"""A REST API over a list that a test changes, with faults by name, whose calls are counted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.fakes import FakeUpstream, image_body, parameters_of, project_body
from tests.gallery.endpoints import page_of

COUNTS = "subscription { gallery { projects { projectName completedImages pendingImages } } }"


def project(number: int = 7, *, pending: int = 1, images: int = 3, **fields: Any) -> dict[str, Any]:
    """Return a project whose last images are unfinished."""
    done = images - pending
    made = [image_body(index) for index in range(done)]
    made += [image_body(index, status="processing", output=None) for index in range(done, images)]
    return project_body(number, *made, completed_images=done, **fields)


def _raising(error: Exception) -> Callable[[], httpx.Response]:
    def fail() -> httpx.Response:
        raise error

    return fail


async def _hang() -> httpx.Response:
    await asyncio.sleep(20)
    raise httpx.ReadTimeout("silent")


FAULTS: dict[str, Callable[[], httpx.Response | Awaitable[httpx.Response]]] = {
    "down": _raising(httpx.ConnectError("refused")),
    "cut": _raising(httpx.ReadError("reset")),
    "hanging": _hang,
    "429": lambda: httpx.Response(429),
    "500": lambda: httpx.Response(500),
    "503": lambda: httpx.Response(503),
}


class ProjectsAPI:
    """The list of projects, and what the REST API does instead of showing it.

    Attributes:
        projects: of the caller.
        fault: what each request is answered with; `None` for the list.
        headers: of each response that shows the list.
        called_at: when each request came, in the loop's seconds.
    """

    def __init__(self, *projects: dict[str, Any], seconds: float = 0.0) -> None:
        self.projects = list(projects)
        self.fault: Callable[[], httpx.Response | Awaitable[httpx.Response]] | None = None
        self.headers: dict[str, str] = {}
        self.called_at: list[float] = []
        self.upstream = FakeUpstream()
        self.upstream.handler = self.answer
        self._seconds = seconds

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.called_at.append(asyncio.get_running_loop().time())
        if self._seconds:
            await asyncio.sleep(self._seconds)
        if self.fault is None:
            body = page_of(self.projects, parameters_of(request))
            return httpx.Response(200, json=body, headers=self.headers)
        response = self.fault()
        return response if isinstance(response, httpx.Response) else await response
