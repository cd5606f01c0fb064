"""No interleaving of callers ever shows one the data of another: a long random walk over the gallery."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import msgspec
import pytest

from gallery_gateway.clock import Clock
from gallery_gateway.errors import GatewayError
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import Accepts, FieldNeeds
from gallery_gateway.gallery.request import GalleryRequest, SortBy
from gallery_gateway.gallery.usage import Budget, OperationUsage
from gallery_gateway.upstream.contract import Page, UpstreamProject
from tests.fakes import build_gallery, image_body, page_body, project_body

CALLERS = [Caller(f"made-up-token-{number}", secret=b"s" * 32) for number in range(5)]
TOTAL_PROJECTS = 12


class OwnersEndpoint(httpx.AsyncBaseTransport):
    """Signs every project and image with the token that asked; slow, failing and refusing at random."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.calls = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        for _ in range(self._chance.randrange(6)):
            await asyncio.sleep(0)
        status = self._chance.choices([200, 503, 401, 304], weights=[90, 5, 2, 3])[0]
        if status != 200:
            return httpx.Response(status)
        owner = request.headers["authorization"].removeprefix("Bearer ")
        etag = {"etag": '"same"'} if self._chance.random() < 0.3 else {}
        return httpx.Response(200, content=_body(request, owner), headers=etag)


def _body(request: httpx.Request, owner: str) -> bytes:
    asked = request.url.params
    per_page, page, cap = (int(asked[name]) for name in ("per_page", "page", "max_images_per_project"))
    first, last = (page - 1) * per_page, min(page * per_page, TOTAL_PROJECTS)
    pages = -(-TOTAL_PROJECTS // per_page)
    numbers = [int(asked["project_id"])] if "project_id" in asked else range(first, last)
    images = [image_body(index, job_id=owner, inputs=[]) for index in range(min(cap, 3))]
    place = {"page": page, "per_page": per_page, "has_next": page < pages, "has_prev": page > 1}
    body = page_body(**place, total=TOTAL_PROJECTS, pages=pages)
    body["projects"] = [project_body(number, *images, created_by=owner) for number in numbers]
    return msgspec.json.encode(body)


class Walk:
    """Operations of several callers that begin, end, are cancelled and grow old in any order."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._now = 0.0
        self._clock = Clock(monotonic=lambda: self._now, wall=lambda: self._now)
        self.endpoint = OwnersEndpoint(self._chance)
        self.gallery = build_gallery(
            self.endpoint,
            clock=self._clock,
            ttl_seconds=30,
            cache_max_bytes=3_000_000,
            caller_max_bytes=1_000_000,
            stale_while_revalidate_seconds=20,
            stale_if_error_seconds=300,
        )
        self._running: set[asyncio.Task[None]] = set()
        self.seen: Counter[tuple[str, str]] = Counter()
        self.bugs: list[BaseException] = []

    async def take(self, steps: int) -> None:
        for _ in range(steps):
            await self._step()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _step(self) -> None:
        match self._chance.choices(["ask", "cancel", "wait", "clock"], weights=[500, 50, 445, 5])[0]:
            case "ask" if len(self._running) < 30:
                task = asyncio.create_task(self._operation(self._chance.choice(CALLERS)))
                self._running.add(task)
                task.add_done_callback(self._end)
            case "cancel" if self._running:
                self._chance.choice(sorted(self._running, key=id)).cancel()
            case "clock":
                self._now += self._chance.choice([0.1, 5.0, 40.0])
            case _:
                await asyncio.sleep(0)

    async def _operation(self, caller: Caller) -> None:
        usage = OperationUsage(Budget(max_calls=20, max_images=20_000))
        skips = self._chance.random() < 0.05
        loader = GalleryLoader(self.gallery, caller, usage, narrows=True, accepts=Accepts(fresh=not skips))
        fields = [self._field(loader) for _ in range(self._chance.randrange(1, 4))]
        for found in await asyncio.gather(*fields):
            for project in found:
                self.seen[caller.authorization, f"Bearer {project.created_by}"] += 1
                for image in project.images:
                    self.seen[caller.authorization, f"Bearer {image.job_id}"] += 1

    async def _field(self, loader: GalleryLoader) -> list[UpstreamProject]:
        chance = self._chance
        needs = FieldNeeds(chance.choice([0, 1, 2, None]), needs_links=chance.random() < 0.5)
        sort_by: SortBy = chance.choice(("original_filename", "quality_score"))
        with suppress(GatewayError):
            if chance.random() < 0.4:
                request = GalleryRequest(project_id=chance.randrange(TOTAL_PROJECTS), sort_by=sort_by)
                project = (await loader.project(request, needs)).value
                return [project] if project else []
            per_page = chance.choice([2, 4, 12])
            request = GalleryRequest(page=chance.randrange(1, 3), per_page=per_page, sort_by=sort_by)
            page: Page = (await loader.page(request, needs)).value
            return page.projects
        return []

    def _end(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (bug := task.exception()):
            self.bugs.append(bug)


@pytest.fixture
async def walk(pytestconfig: pytest.Config) -> AsyncIterator[Walk]:
    walk = Walk(seed=pytestconfig.getoption("isolation_seed"))
    yield walk
    await walk.gallery.aclose()


async def test_no_interleaving_shows_a_caller_what_belongs_to_another(
    walk: Walk, pytestconfig: pytest.Config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger="gallery_gateway")
    steps: int = pytestconfig.getoption("isolation_steps")

    await walk.take(steps)

    assert walk.bugs == []
    assert {(asked, owner) for asked, owner in walk.seen if asked != owner} == set()
    # It was a walk worth taking: all callers saw much, most of it without a call.
    assert len(walk.seen) == len(CALLERS)
    assert walk.endpoint.calls < steps / 2
