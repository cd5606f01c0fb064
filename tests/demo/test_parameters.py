"""Invalid requests, and the answers to the open questions of the REST contract."""

import time
from collections.abc import Awaitable, Callable

import httpx
import pytest

from gallery_gateway.demo.server import ContractVariant

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[httpx.Response]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("page", "0"),
        ("page", "one"),
        ("page", ""),
        ("page", "1.0"),
        ("page", "1_0"),
        ("page", "٣"),
        ("page", "9" * 5_000),
        ("per_page", "0"),
        ("per_page", "101"),
        ("order", "DESC"),
        ("order", ""),
        ("project_id", "null"),
        ("status", ""),
        ("feedback", ""),
        ("sort_by", "created_at"),
        ("ownership", "all"),
        ("max_images_per_project", "0"),
        ("max_images_per_project", "201"),
        ("search", ""),
    ],
)
async def test_an_invalid_value_is_reported_with_its_field(ask: Ask, field: str, value: str) -> None:
    answer = await ask(**{field: value})

    body = answer.json()
    assert answer.status_code == 422
    assert body["error"] == "Invalid request"
    assert [(problem["field"], problem["position"]) for problem in body["detail"]] == [(field, "query")]


async def test_an_error_message_names_the_bound(ask: Ask) -> None:
    body = (await ask(per_page=101)).json()

    assert body["detail"][0]["message"] == "Must be at most 100."


async def test_all_errors_are_reported_at_once(ask: Ask) -> None:
    body = (await ask(page=0, order="up", search="")).json()

    assert [problem["field"] for problem in body["detail"]] == ["page", "order", "search"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("per_page", 1), ("per_page", 100), ("max_images_per_project", 1), ("page", 1)],
)
async def test_a_bound_itself_is_valid(ask: Ask, field: str, value: int) -> None:
    assert (await ask(**{field: value})).status_code == 200


async def test_unknown_parameters_are_ignored(ask: Ask) -> None:
    assert (await ask(colour="red")).content == (await ask()).content


@pytest.mark.parametrize("path", ["/", "/gallery", "/gallery/by-project/", "/pictures/1"])
async def test_any_other_path_is_a_404_in_json(ask: Ask, path: str) -> None:
    answer = await ask(path=path)

    assert answer.status_code == 404
    assert answer.json() == {"error": "Not found"}


async def test_a_response_waits_for_the_delay(serve: Callable[..., Ask]) -> None:
    ask = serve(delay_seconds=0.05)
    began = time.monotonic()

    await ask(None)

    assert time.monotonic() - began >= 0.05


@pytest.mark.parametrize("status", [400, 422])
async def test_the_variant_decides_the_status_of_an_invalid_request(
    serve: Callable[..., Ask], status: int
) -> None:
    ask = serve(variant=ContractVariant(invalid_status=status))

    assert (await ask(page=0)).status_code == status


@pytest.mark.parametrize(("is_404", "status"), [(False, 200), (True, 404)])
async def test_the_variant_decides_the_status_of_an_unknown_project(
    serve: Callable[..., Ask], is_404: bool, status: int
) -> None:
    answer = await serve(variant=ContractVariant(unknown_is_404=is_404))(project_id=1)

    assert answer.status_code == status
    assert answer.json().get("projects", []) == []


async def test_a_visible_project_that_other_parameters_exclude_is_no_404(
    serve: Callable[..., Ask],
) -> None:
    ask = serve(variant=ContractVariant(unknown_is_404=True))
    mine = (await ask(ownership="mine")).json()["projects"][0]["project_id"]

    answer = await ask(project_id=mine, ownership="shared")

    assert answer.status_code == 200
    assert answer.json()["projects"] == []


@pytest.mark.parametrize(("is_404", "status"), [(False, 200), (True, 404)])
async def test_the_variant_decides_the_status_of_a_page_past_the_end(
    serve: Callable[..., Ask], is_404: bool, status: int
) -> None:
    answer = await serve(variant=ContractVariant(past_end_is_404=is_404))(page=1_000)

    assert answer.status_code == status
    assert answer.json().get("projects", []) == []


async def test_the_first_page_is_never_past_the_end(serve: Callable[..., Ask]) -> None:
    ask = serve(variant=ContractVariant(past_end_is_404=True))

    assert (await ask(search="no such thing")).status_code == 200


@pytest.mark.parametrize("narrowing", [{"status": "pending"}, {"feedback": "dislike"}])
async def test_the_variant_decides_whether_projects_without_a_match_are_listed(
    serve: Callable[..., Ask], narrowing: dict[str, str]
) -> None:
    all_of_them = (await serve()()).json()["pagination"]["total"]

    kept = (await serve()(**narrowing)).json()
    dropped = (await serve(variant=ContractVariant(lists_empty_projects=False))(**narrowing)).json()

    assert kept["pagination"]["total"] == all_of_them
    assert 0 < dropped["pagination"]["total"] < all_of_them
    assert all(project["images"] for project in dropped["projects"])


async def test_empty_projects_are_listed_when_nothing_filters_images(
    serve: Callable[..., Ask],
) -> None:
    ask = serve(variant=ContractVariant(lists_empty_projects=False))

    assert (await ask()).json() == (await serve()()).json()
