"""A REST API whose progress a test decides, and the events that a subscriber gets of it."""

import json
from collections import Counter
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from tests.fakes import OTHER_TOKEN, TOKEN, page_body, project_body

ADA, BEN = f"Bearer {TOKEN}", f"Bearer {OTHER_TOKEN}"


class ProgressAPI:
    """One project of each caller, of whose many images so many are completed.

    Attributes:
        names: the name of the project by `Authorization`; whoever has none is refused.
        completed: the number of its completed images.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.names = {ADA: "Ada's", BEN: "Ben's"}
        self.completed = Counter[str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        authorization = Request(scope).headers.get("authorization", "")
        if authorization not in self.names:
            await JSONResponse({}, 401)(scope, receive, send)
            return
        counters = {"total_images": 1_000, "completed_images": self.completed[authorization]}
        project = project_body(7, project_name=self.names[authorization], **counters)
        await JSONResponse(page_body(project))(scope, receive, send)


class Events:
    """The events of one subscription."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()

    async def next(self) -> Any:
        """Return the response in the next event; `None` if the stream is complete."""
        name = ""
        async for line in self._lines:
            field, _, value = line.partition(":")
            if field == "event":
                name = value.strip()
            elif field == "data":
                return None if name == "complete" else json.loads(value)
        pytest.fail("the stream ended without `complete`")

    async def heartbeat(self) -> None:
        """Wait for the next comment; an event before it is a failure."""
        async for line in self._lines:
            if line == ":":
                return
            assert line == ""
        pytest.fail("the stream ended without `complete`")
