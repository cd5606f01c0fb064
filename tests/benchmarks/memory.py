"""Measures the memory of a full cache: `python -m tests.benchmarks.memory`.

Many callers ask for many distinct pages of the demo's kind; what the process grows by is compared with the
budget that the cache was given.
"""

import argparse
import asyncio
import gc
import json
from dataclasses import dataclass
from pathlib import Path

import httpx

from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.lookup import LoadKey
from gallery_gateway.gallery.request import GalleryRequest
from tests.fakes import build_gallery, image_body, page_body, project_body

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Weight:
    """The growth of the process, the budget, and the size that the cache reports."""

    grown_bytes: int
    budget_bytes: int
    counted_bytes: int

    @property
    def ratio(self) -> float:
        return self.grown_bytes / self.budget_bytes


async def weigh(*, requests: int, callers: int, budget_bytes: int, projects: int, images: int) -> Weight:
    link = "https://pictures.example/" + "x" * 180 + "?X-Amz-Date=20261123T150000Z&X-Amz-Expires=900"
    files = {"full_size": link, "thumbnail": link}
    body = page_body(
        *(
            project_body(
                number,
                *(image_body(i, inputs=[files], output=files, job_id=f"job-{i}") for i in range(images)),
            )
            for number in range(projects)
        )
    )
    text = json.dumps(body)

    def answer(_request: httpx.Request) -> httpx.Response:
        # Encoded for each response, so that no two share a body.
        return httpx.Response(200, content=text.encode())

    transport = httpx.MockTransport(answer)
    # The first request loads code that stays; it does not count.
    await _gallery(0, transport).fetch(Caller("first", secret=b"s" * 32), _key(GalleryRequest()))
    gallery = _gallery(budget_bytes, transport)
    gc.collect()
    before = rss_bytes()
    for number in range(requests):
        caller = Caller(f"token-{number % callers}", secret=b"s" * 32)
        await gallery.fetch(caller, _key(GalleryRequest(page=1 + number // callers)))
    gc.collect()
    counted = int(gallery.cache.size_bytes)
    return Weight(rss_bytes() - before, budget_bytes, counted)


def _gallery(budget_bytes: int, transport: httpx.AsyncBaseTransport) -> Gallery:
    return build_gallery(
        transport, ttl_seconds=86_400, cache_max_bytes=budget_bytes, caller_max_bytes=budget_bytes
    )


def _key(request: GalleryRequest) -> LoadKey:
    return LoadKey(request, needs_links=False, is_project=False)


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--callers", type=int, default=10_000)
    parser.add_argument("--budget-mebibytes", type=int, default=128)
    parser.add_argument("--projects", type=int, default=2)
    parser.add_argument("--images", type=int, default=4)
    chosen = parser.parse_args()
    weight = asyncio.run(
        weigh(
            requests=chosen.requests,
            callers=chosen.callers,
            budget_bytes=chosen.budget_mebibytes * MEBIBYTE,
            projects=chosen.projects,
            images=chosen.images,
        )
    )
    print(
        f"{chosen.requests} requests by {chosen.callers} callers:"
        f" {weight.grown_bytes / MEBIBYTE:.1f} MiB for a budget of {chosen.budget_mebibytes} MiB"
        f" ({weight.ratio:.2f}), {weight.counted_bytes / MEBIBYTE:.1f} MiB of it counted"
    )


if __name__ == "__main__":
    main()
