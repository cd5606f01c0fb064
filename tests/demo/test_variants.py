"""Each variant answers an open question of the REST contract in another way, and changes nothing else."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal

import httpx
import pytest

from gallery_gateway.demo.server import ContractVariant

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[httpx.Response]]
Serve = Callable[..., Ask]
# A project with as many has more that no request lists.
MOST_LISTED = 200
COUNTERS = ("total_images", "completed_images", "failed_images")


def counted(images: list[dict[str, Any]]) -> list[int]:
    """What the counters say of these images."""
    statuses = [image["status"] for image in images]
    return [len(statuses), statuses.count("completed"), statuses.count("failed")]


@pytest.mark.parametrize("counters", ["all", "matching", "listed"])
async def test_the_variant_decides_which_images_are_counted(
    serve: Serve, counters: Literal["all", "matching", "listed"]
) -> None:
    ask = serve(variant=ContractVariant(counters=counters))
    asked: dict[str, dict[str, Any]] = {
        "all": {},
        "matching": {"status": "completed"},
        "listed": {"status": "completed", "max_images_per_project": 2},
    }

    complete = (await ask(**{"per_page": 4, "max_images_per_project": 200} | asked[counters])).json()
    capped = (await ask(per_page=4, status="completed", max_images_per_project=2)).json()

    for project, shown in zip(complete["projects"], capped["projects"], strict=True):
        if len(project["images"]) == MOST_LISTED:
            continue
        assert [shown[name] for name in COUNTERS] == counted(project["images"])


async def test_without_signatures_links_have_no_query(serve: Serve) -> None:
    ask = serve(variant=ContractVariant(signs_links=False))

    body = (await ask(status="completed", per_page=1, max_images_per_project=1)).json()

    assert body["projects"][0]["images"][0]["output"]["full_size"].endswith("full_size.svg")


async def test_only_the_latest_version_of_an_image_is_listed_and_counted(serve: Serve) -> None:
    query = {"per_page": 4, "max_images_per_project": 200}
    every = (await serve()(**query)).json()["projects"]
    latest = (await serve(variant=ContractVariant(latest_versions_only=True))(**query)).json()["projects"]

    for project, shown in zip(every, latest, strict=True):
        if len(project["images"]) == MOST_LISTED:
            continue
        versions: dict[Any, int] = {}
        for image in project["images"]:
            place = image["job_id"], image["image_index"], image["group_index"]
            versions[place] = max(versions.get(place, 0), image["version"])
        kept = [i for i in project["images"] if versions[tuple(i.values())[:3]] == i["version"]]
        assert shown["images"] == kept
        assert [shown[name] for name in COUNTERS] == counted(kept)
        assert len(kept) < len(project["images"])


async def test_an_etag_is_confirmed_until_the_answer_changes(serve: Serve) -> None:
    ask = serve(variant=ContractVariant(sends_etags=True))
    etag = (await ask()).headers["etag"]
    headers = {"Authorization": "Bearer demo-ada-token", "If-None-Match": etag}

    same, other = await ask(headers=headers), await ask(headers=headers, page=2)

    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert other.status_code == 200
    assert other.headers["etag"] != etag


async def test_by_default_there_is_no_etag(ask: Ask) -> None:
    assert "etag" not in (await ask()).headers


@pytest.mark.parametrize("dates", ["offset", "local", "epoch"])
async def test_the_variant_decides_the_format_of_all_dates(
    serve: Serve, dates: Literal["offset", "local", "epoch"]
) -> None:
    query = {"order": "asc", "per_page": 1, "max_images_per_project": 1}
    [old] = (await serve()(**query)).json()["projects"]
    [new] = (await serve()(**query | {"order": "desc"})).json()["projects"]
    ask = serve(variant=ContractVariant(dates=dates))

    found = [(await ask(**query | {"order": order})).json()["projects"][0] for order in ("asc", "desc")]

    for before, after in zip((old, new), found, strict=True):
        for shown, sent in ((before, after), (before["images"][0], after["images"][0])):
            moment = datetime.fromisoformat(shown["created_at"])
            local = moment.replace(tzinfo=None).isoformat()
            in_utc = f"{local}+00:00"
            epoch = datetime.fromisoformat(in_utc).timestamp()
            assert sent["created_at"] == {"offset": in_utc, "local": local, "epoch": epoch}[dates]


async def test_larger_pages_than_the_maximum_are_cut_down(serve: Serve) -> None:
    ask = serve(variant=ContractVariant(max_per_page=5))

    smaller, larger = [(await ask(per_page=size)).json() for size in (4, 100)]

    assert (smaller["pagination"]["per_page"], len(smaller["projects"])) == (4, 4)
    assert (larger["pagination"]["per_page"], len(larger["projects"])) == (5, 5)
    assert larger["pagination"]["pages"] == -(-larger["pagination"]["total"] // 5)


async def test_the_total_may_count_projects_that_no_page_lists(serve: Serve) -> None:
    exact = (await serve()()).json()
    more = (await serve(variant=ContractVariant(unlisted_projects=3))()).json()

    assert more["pagination"]["total"] == exact["pagination"]["total"] + 3
    assert more["projects"] == exact["projects"]


async def test_large_ids_exceed_32_bits_and_identify_projects(serve: Serve) -> None:
    ask = serve(variant=ContractVariant(large_ids=True))
    [project] = (await ask(order="asc", per_page=1)).json()["projects"]

    [again] = (await ask(project_id=project["project_id"], order="asc")).json()["projects"]

    assert project["project_id"] > 2**32
    assert again == project
