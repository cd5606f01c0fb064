"""The probes in front of accounts with little, and of APIs that send anything."""

import json
import random

import pytest

from gallery_gateway.verify import fields, lists, parameters, promises
from gallery_gateway.verify.probe import Results, Verdict, run_probes
from gallery_gateway.verify.session import Token
from tests.canary import MARK
from tests.execution.generated import page_bytes
from tests.fakes import TOKEN, image_body, page_body, project_body
from tests.upstream.sockets import always, http_response, serving
from tests.verify.opening import session

PROBES = (*fields.PROBES, *lists.PROBES, *parameters.PROBES, *promises.PROBES)


async def findings(body: bytes, *, max_calls: int = 60) -> dict[str, str]:
    """What the probes find where every answer has this body: verdict and evidence."""
    results: Results = {}
    async with (
        serving(always(http_response(body))) as server,
        session(server.url, tokens={Token.OURS: TOKEN}, max_calls=max_calls) as opened,
    ):
        await run_probes(PROBES, opened, results, progress=lambda _probe: None)
    return {
        probe.id: "\n".join(
            [f"{finding.verdict}: {finding.evidence} {finding.local}".strip(), *finding.details]
        )
        for probe, finding in results.items()
    }


@pytest.mark.parametrize("pages", [0, 1])
async def test_an_account_without_projects_shows_nothing_wrong_but_what_it_shows(pages: int) -> None:
    body = page_body(total=0, per_page=4, pages=pages) | {"projects": []}

    found = await findings(json.dumps(body).encode())

    assert {name: seen for name, seen in found.items() if seen.startswith(Verdict.DIFFERS)} == {
        # The same answer, whatever is asked.
        "lists.page_size": "differs: requested 100: 0 of 0 projects, `per_page` is 4",
        "parameters.bounds": "differs: not refused: max_images_per_project: 200 with a JSON object,"
        " page: 200 with a JSON object, per_page: 200 with a JSON object",
    }
    reasons = {seen for seen in found.values() if seen.startswith(Verdict.NOT_SEEN)}
    assert "not seen: the account has no projects" in reasons


async def test_the_details_of_fields_count_each_field_of_the_contract_with_its_types() -> None:
    images = [image_body(0), image_body(1, status=None)]

    found = await findings(json.dumps(page_body(project_body(7, *images), per_page=4)).encode())

    assert found["fields.versions"] == "not seen: no sampled image has a second version"
    lines = found["fields.optional"].splitlines()[1:]
    assert "images.status: in 2 of 2: 1 null, 1 string" in lines
    assert "images.job_id: in 2 of 2: 2 string" in lines
    assert "images.model_used: in 0 of 2: nothing" in lines
    assert len(lines) == 46


async def test_nothing_is_seen_without_a_token() -> None:
    results: Results = {}

    async with session("http://127.0.0.1:1", tokens={}) as opened:
        await run_probes(PROBES, opened, results, progress=lambda _probe: None)

    assert {(finding.verdict, finding.evidence) for finding in results.values()} == {
        (Verdict.NOT_SEEN, "there is no access token")
    }


async def test_what_was_found_before_the_budget_is_spent_is_kept() -> None:
    body = json.dumps(page_body(project_body(7, image_body()))).encode()

    found = await findings(body, max_calls=3)

    assert found["fields.required"] == "holds: 1 project, 1 image"
    assert found["parameters.search"] == "not seen: the budget of 3 calls is spent"


@pytest.mark.parametrize("seed", range(12))
async def test_damaged_pages_make_no_probe_fail(seed: int) -> None:
    found = await findings(page_bytes(random.Random(seed), damages=6))

    assert {name: seen for name, seen in found.items() if "the probe itself failed" in seen} == {}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"pagination": 7, "projects": {"a": 1}},
        {"pagination": {"total": 10**30, "page": -1}, "projects": [None, 7, [], {"images": "all"}]},
        {"pagination": {"total": 9}, "projects": [{"project_id": [1], "images": [{"job_id": {}}, None]}] * 4},
    ],
)
async def test_odd_shapes_make_no_probe_fail(body: dict[str, object]) -> None:
    found = await findings(json.dumps(body).encode())

    assert {name: seen for name, seen in found.items() if "the probe itself failed" in seen} == {}


async def test_no_evidence_holds_a_value() -> None:
    marked = f"{MARK}-of-the-api"
    texts = (
        "job_id",
        "original_filename",
        "status",
        "feedback",
        "error_message",
        "created_at",
        "review_status",
    )
    files = {
        "full_size": f"https://pictures.example/{marked}?sig={marked}",
        "thumbnail": marked,
        "uuid": marked,
    }
    image = image_body(0, id=918_273_645, inputs=[files], output=files, **dict.fromkeys(texts, marked))
    images = [image, {**image, "image_index": 1, "feedback": f"{marked}-2", marked: marked}]
    names = dict.fromkeys(("project_name", "project_key", "created_by", "created_at"), marked)
    projects = [project_body(918_273_640 + n, *images, **names) for n in range(3)]
    body = page_body(*projects, per_page=4, total=3) | {marked: marked}

    found = await findings(json.dumps(body).encode())

    assert (
        found["fields.unknown"]
        == "differs: images: string in 3 of 6; the page: string in 1 of 1 (?, images.?)"
    )
    assert [seen for seen in found.values() if marked in seen or "9182736" in seen] == []
