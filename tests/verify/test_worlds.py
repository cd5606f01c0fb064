"""Every probe in a world where its answer holds, and in one where it differs, with what follows."""

import asyncio
import gzip
from dataclasses import dataclass, field
from typing import Any

import pytest

from gallery_gateway.demo.server import ContractVariant
from gallery_gateway.verify import promises
from gallery_gateway.verify.command import PROBES
from gallery_gateway.verify.probe import Probe, Results, Verdict, run_probes
from gallery_gateway.verify.reachability import right_token
from gallery_gateway.verify.report import Report
from gallery_gateway.verify.session import Token
from tests.fakes import image_body, page_body, project_body
from tests.upstream.sockets import always, http_response
from tests.verify.opening import DEMO_TOKENS, in_turn, json_response
from tests.verify.worlds import (
    Body,
    Query,
    World,
    asking,
    each_image,
    each_page,
    each_project,
    holding,
    numbered,
    raw,
    removed,
    slow,
    stand_in,
    unreachable,
    where,
    without,
)

PAGE = json_response(page_body(project_body(1, image_body())))
LIMITED = http_response(b"", "Retry-After: 0", status="429 Too Many Requests")
LONG_AGO = "Thu, 01 Jan 1998 00:00:00 GMT"
REFUSED = {Token.OURS: DEMO_TOKENS[Token.OURS], Token.OTHER: "made-up-token-of-nobody"}


@dataclass(frozen=True)
class Row:
    """The worlds of a probe besides the stand-in, where all answers hold.

    Args:
        differs: worlds where the answer is another one, by how the evidence begins there.
        status: the exit status there.
        setting: recommended there.
        holds: worlds where the answer holds too, by how the evidence begins there.
    """

    differs: dict[str, World]
    status: int = 1
    setting: str | None = None
    holds: dict[str, World] = field(default_factory=dict)


def variant(statuses: dict[int, int] | None = None, **answers: Any) -> World:
    return stand_in(ContractVariant(signs_links=False, **answers), statuses=statuses)


def linked(link: str) -> World:
    """An API with one link."""
    output = {"full_size": link, "thumbnail": None}
    return raw(always(json_response(page_body(project_body(1, image_body(inputs=[], output=output))))))


def reversed_projects(body: Body) -> None:
    body["projects"].reverse()


def reversed_at_times(body: Body, number: int) -> None:
    if number % 2:
        body["projects"].reverse()


def without_identity(image: Body) -> None:
    image.update(job_id="same", image_index=0, group_index=0, version=0)


def later_versions_only(project: Body) -> None:
    project["images"] = [image for image in project["images"] if image["version"]]


def unsigned(image: Body) -> None:
    for file in filter(None, [*image["inputs"], image["output"]]):
        file.update({name: link and link.partition("?")[0] for name, link in file.items()})


def first_three_projects(body: Body) -> None:
    del body["projects"][3:]


def without_first_project(body: Body) -> None:
    del body["projects"][:1]


def without_searched_ids(query: Query) -> Query:
    is_id = query.get("search", [""])[-1].isdigit()
    return {**query, "search": ["no such project"]} if is_id else query


def timed(body: Body, number: int) -> None:
    for project in body["projects"]:
        for image in project["images"]:
            image["processing_time"] = number


def without_empty_projects(body: Body) -> None:
    body["projects"] = [project for project in body["projects"] if project["images"]]


def clamped(query: Query) -> Query:
    """Replace what is out of bounds."""
    return {name: ["100"] if values == ["101"] else values for name, values in query.items()}


def at_least_three_images(query: Query) -> Query:
    cap = max(3, int(query.get("max_images_per_project", ["50"])[-1]))
    return {**query, "max_images_per_project": [str(cap)]}


def last_value_only(query: Query) -> Query:
    return {name: values[-1:] for name, values in query.items()}


def refusing(name: str) -> World:
    """An API that refuses a parameter."""
    return stand_in(ask=lambda query: {**query, "page": ["0"]} if name in query else query)


def at_most_page_75(query: Query) -> Query:
    """Answer pages past the end with the last page."""
    return {**query, "page": [str(min(75, int(query.get("page", ["1"])[-1])))]}


TABLE: dict[str, Row] = {
    "reachability.dns": Row(
        {"the name of the API has no address": unreachable(f"http://{'x' * 64}.example")}, status=2
    ),
    "reachability.tcp": Row({"the API accepts no connection": unreachable("http://127.0.0.1:1")}, status=2),
    "reachability.tls": Row({"plain HTTP": raw(always(PAGE), host="0.0.0.0")}, status=0),  # noqa: S104
    "reachability.clock": Row({" s apart": raw(always(json_response({}, f"Date: {LONG_AGO}")))}, status=0),
    "reachability.keep_alive": Row(
        {"a new connection": raw(always(json_response({}, "Connection: close"), then_close=True))}, status=0
    ),
    "reachability.compression": Row(
        {"compressed although": raw(always(http_response(gzip.compress(b"{}"), "Content-Encoding: gzip")))},
        status=0,
    ),
    "reachability.latency": Row(
        {"median ": slow(seconds=9)}, setting="UPSTREAM_FIRST_BYTE_TIMEOUT_SECONDS=30"
    ),
    "reachability.bytes": Row(
        {
            "20,": raw(
                always(json_response(page_body(project_body(1, image_body(error_message="x" * 20_000)))))
            )
        },
        status=0,
        setting="OPERATION_MAX_IMAGES=5000",
    ),
    "authentication.no_token": Row({"403 with no body: FORBIDDEN": stand_in(statuses={401: 403})}),
    "authentication.wrong_token": Row({"403 with no body: FORBIDDEN": stand_in(statuses={401: 403})}),
    "authentication.right_token": Row(
        {"401 with no body": stand_in(tokens={Token.OURS: "made-up-token-of-nobody"})}, status=2
    ),
    "authentication.other_token": Row({"401 with no body": stand_in(tokens=REFUSED)}, status=0),
    "links.open": Row(
        {"HEAD without a token: 403": stand_in(ContractVariant(), edit=each_image(unsigned))},
        holds={"HEAD without a token: 200": stand_in(ContractVariant())},
    ),
    "links.signing": Row(
        {"1 signed in another form": linked("https://pictures.example/1?sig=a")},
        setting="STALE_IF_ERROR_SECONDS=60",
        holds={"unsigned": variant()},
    ),
    "links.lifetime": Row(
        {"the first link expires in -": linked("https://pictures.example/1?Expires=9")},
        status=0,
        holds={"no link says when it expires": variant()},
    ),
    "caching.validators": Row(
        {"200 for the same page": raw(always(json_response(page_body(), 'ETag: "1"')))},
        status=0,
        holds={"304 on If-None-Match": variant(sends_etags=True)},
    ),
    "caching.freshness": Row(
        {"no-store": raw(always(json_response(page_body(), "Cache-Control: no-store")))}, status=0
    ),
    "caching.callers": Row(
        {"public; Vary does not": raw(always(json_response(page_body(), "Cache-Control: public")))}
    ),
    "caching.rate_limits": Row(
        {"1 of 2 calls got 429": raw(in_turn(LIMITED, PAGE))}, setting="UPSTREAM_MAX_CONNECTIONS=10"
    ),
    "fields.required": Row(
        {
            "images.job_id missing in 52 of 52": stand_in(edit=each_image(removed("job_id"))),
            "project_id missing in 13 of 13": stand_in(edit=each_project(removed("project_id"))),
            "pagination.total missing in 1 of 1": stand_in(
                edit=each_page(lambda body: body["pagination"].pop("total"))
            ),
        }
    ),
    "fields.optional": Row(
        {
            "45 of 46 fields; never: created_by": stand_in(edit=each_project(removed("created_by"))),
            "45 of 46 fields; never: images.download_filename": stand_in(
                edit=each_image(removed("download_filename"))
            ),
        },
        status=0,
        holds={
            "46 of 46 fields; not always: images.detail_needs_review in 48 of 52, ": stand_in(),
            "; always null: images.feedback": stand_in(edit=each_image(holding("feedback", None))),
        },
    ),
    "fields.types": Row(
        {
            "images.status: integer in 52 of 52": stand_in(edit=each_image(holding("status", 7))),
            "images.inputs: null in 52 of 52": stand_in(edit=each_image(holding("inputs", None))),
            "images.version: string in 52 of 52": stand_in(edit=each_image(holding("version", "1"))),
        }
    ),
    "fields.unknown": Row(
        {
            "images: string in 52 of 52": stand_in(edit=each_image(holding("added", "made-up-token"))),
            "the page: array in 1 of 1": stand_in(edit=each_page(holding("more", [1]))),
        },
        status=0,
    ),
    "fields.identity": Row(
        {
            "0 projects and 48 images listed again": stand_in(
                edit=each_image(
                    lambda image: image.update(job_id="a", image_index=0, group_index=0, version=0)
                )
            ),
            "9 projects and ": stand_in(edit=each_project(holding("project_id", 1))),
        }
    ),
    "fields.dates": Row(
        {
            "65 numbers": variant(dates="epoch"),
            "13 of another format": stand_in(edit=each_project(holding("created_at", "2.1.2026"))),
        },
        holds={
            "65 ISO 8601 with an offset": variant(dates="offset"),
            "65 ISO 8601 without an offset": variant(dates="local"),
        },
    ),
    "fields.ids": Row({"images.id in 36, project_id in 13": variant(large_ids=True)}, status=0),
    "fields.versions": Row(
        {"later versions are listed without": variant(latest_versions_only=True)},
        status=0,
        # The sampled pages are too small for the earlier ones.
        holds={
            " images with several versions": stand_in(
                edit=where("max_images_per_project", "4", each_project(later_versions_only))
            )
        },
    ),
    "lists.order": Row(
        {"three calls list 4 projects in different orders": stand_in(edit=numbered(reversed_at_times))}
    ),
    "lists.repeat": Row(
        {"always another: projects.images.processing_time": stand_in(edit=numbered(timed))}, status=0
    ),
    "lists.numbers": Row(
        {
            "not as the page and the total say: has_next": stand_in(
                edit=each_page(lambda body: body["pagination"].update(has_next=True))
            )
        }
    ),
    "lists.total": Row({"300: the last page holds 1 of 4, and the next one 0": variant(unlisted_projects=3)}),
    "lists.past_end": Row(
        {
            "a list of 1 project": stand_in(ask=at_most_page_75),
            "400 with a JSON object": stand_in(
                ContractVariant(past_end_is_404=True, signs_links=False), statuses={404: 400}
            ),
        },
        holds={"404 with a JSON object": variant(past_end_is_404=True)},
    ),
    "lists.unknown_project": Row(
        {
            "a list of 20 projects": stand_in(ask=without("project_id")),
            "500 with a JSON object": stand_in(
                ContractVariant(unknown_is_404=True, signs_links=False), statuses={404: 500}
            ),
        },
        holds={"404 with a JSON object": variant(unknown_is_404=True)},
    ),
    "lists.page_size": Row(
        {
            "requested 100: 50 of 100 projects, `per_page` is 50": variant(max_per_page=50),
            "requested 100: 3 of 100 projects, `per_page` is 100": stand_in(
                edit=where("per_page", "100", each_page(first_three_projects))
            ),
        }
    ),
    "lists.windows": Row(
        {
            "12 projects in another order": stand_in(
                edit=where("per_page", "100", each_page(reversed_projects))
            )
        }
    ),
    "parameters.bounds": Row(
        {
            "not refused: per_page: 200 with a JSON object": stand_in(ask=clamped),
            "refused, with another body for ": stand_in(refusal={"error": "no"}),
        },
        status=0,
        holds={"3 refused with 400": variant(invalid_status=400)},
    ),
    "parameters.order": Row(
        {
            "refused: 422": refusing("order"),
            "`asc` and `desc` begin with the same 4 projects": stand_in(ask=without("order")),
            "`asc` does not begin with the last": stand_in(
                edit=where("order", "asc", each_page(without_first_project))
            ),
        }
    ),
    "parameters.project_id": Row(
        {"refused: 422": refusing("project_id"), "20 projects listed": stand_in(ask=without("project_id"))}
    ),
    "parameters.status": Row(
        {
            "refused: 422": refusing("status"),
            "48 of 64 images have another one, for 4 values": stand_in(ask=without("status")),
            "no images for ": stand_in(ask=asking("status", "no such status")),
        }
    ),
    "parameters.feedback": Row(
        {
            "refused: 422": refusing("feedback"),
            "have another one, for 1 value": stand_in(ask=without("feedback")),
            "no images for 1 of 1 value": stand_in(ask=asking("feedback", "no such feedback")),
        }
    ),
    "parameters.feedback_repeated": Row(
        {"repeated: one value; separated by a comma: no images": stand_in(ask=last_value_only)},
    ),
    "parameters.sort_by": Row(
        {"refused: 422": refusing("sort_by"), "not sorted in ": stand_in(ask=without("sort_by"))}
    ),
    "parameters.ownership": Row(
        {
            "refused: 422": refusing("ownership"),
            "297 mine and 297 shared of 297": stand_in(ask=without("ownership")),
        }
    ),
    "parameters.cap": Row(
        {
            "more or other images at a cap of 1, 2": stand_in(ask=at_least_three_images),
            "more or other images at a cap of 1": stand_in(
                edit=where("max_images_per_project", "1", each_image(holding("version", 77)))
            ),
        },
        setting="NARROWING=false",
    ),
    "parameters.cap_counters": Row(
        {"others at a cap of 1 than at 4: ": variant(counters="listed")}, setting="NARROWING=false"
    ),
    "parameters.filter_counters": Row({"others under `status`: ": variant(counters="matching")}, status=0),
    "parameters.filter_projects": Row(
        {": fewer projects": stand_in(edit=where("status", None, each_page(without_empty_projects)))},
        holds={"image are listed": stand_in(), "image are left out": variant(lists_empty_projects=False)},
    ),
    "parameters.search": Row(
        {
            "refused: 422": refusing("search"),
            "ignored by id, key": stand_in(ask=without("search")),
            "found by key, name; not found by id": stand_in(ask=without_searched_ids),
        }
    ),
    "promises.narrowed": Row(
        {"other values in projects.completed_images": variant(counters="listed")}, setting="NARROWING=false"
    ),
    "promises.merged": Row(
        {
            "other values in projects.project_name": stand_in(
                edit=where("project_id", None, each_project(holding("project_name", "other")))
            )
        }
    ),
    "promises.sliced": Row(
        {
            "other values in ": stand_in(
                edit=where("per_page", "2", each_project(holding("project_name", "other")))
            )
        }
    ),
    "promises.cursors": Row(
        {
            "6 projects in another order": stand_in(
                edit=where("max_images_per_project", "2", each_page(reversed_projects))
            )
        }
    ),
    "promises.wrong_token": Row({"4 projects": stand_in(is_cached=True)}),
    "promises.other_token": Row({"3 projects, 3 of them seen by both; other": stand_in(is_cached=True)}),
}


@pytest.fixture(scope="module")
def in_the_stand_in() -> tuple[Results, int]:
    """What all probes find in the stand-in, and their calls."""

    async def run() -> tuple[Results, int]:
        results: Results = {}
        async with stand_in(ContractVariant(), with_links=False)() as opened:
            await run_probes(PROBES, opened, results, progress=lambda _probe: None)
        return results, opened.calls

    return asyncio.run(run())


def test_every_probe_has_a_row() -> None:
    assert TABLE.keys() == {probe.id for probe in PROBES}


def test_all_that_can_be_seen_holds_in_the_stand_in_within_60_calls(
    in_the_stand_in: tuple[Results, int],
) -> None:
    results, calls = in_the_stand_in

    found = {probe.id: finding.verdict for probe, finding in results.items()}

    assert {name for name, verdict in found.items() if verdict is not Verdict.HOLDS} == {"links.open"}
    assert calls <= 60


PROBE_OF = {probe.id: probe for probe in PROBES}


@pytest.mark.parametrize(
    ("name", "evidence", "world"),
    [
        pytest.param(name, evidence, world, id=f"{name}-{evidence}")
        for name, row in TABLE.items()
        for evidence, world in row.differs.items()
    ],
)
async def test_a_difference_says_what_it_means_and_decides_the_exit_status(
    name: str, evidence: str, world: World
) -> None:
    report = await report_of(PROBE_OF[name], world)

    row, finding = TABLE[name], report.results[PROBE_OF[name]]
    assert finding.verdict is Verdict.DIFFERS
    assert evidence in finding.evidence
    assert report.status == row.status
    assert report.settings == ([f"GALLERY_GATEWAY_{row.setting}"] if row.setting else [])
    assert " ".join(PROBE_OF[name].meaning.split()) in " ".join(report.as_text().split())


@pytest.mark.parametrize(
    ("name", "evidence", "world"),
    [
        pytest.param(name, evidence, world, id=f"{name}-{evidence}")
        for name, row in TABLE.items()
        for evidence, world in row.holds.items()
    ],
)
async def test_another_answer_that_the_contract_allows_holds(name: str, evidence: str, world: World) -> None:
    report = await report_of(PROBE_OF[name], world)

    finding = report.results[PROBE_OF[name]]
    assert finding.verdict is Verdict.HOLDS
    assert evidence in finding.evidence
    assert report.status == 0
    assert report.settings == []


async def report_of(probe: Probe, world: World) -> Report:
    """The report of a run with this probe and the token's own."""
    results: Results = {}
    probes = list(dict.fromkeys([right_token, probe]))
    async with world() as opened:
        await run_probes(probes, opened, results, progress=lambda _probe: None)
    has_page = results[right_token].verdict is Verdict.HOLDS
    return Report(
        probes, results, has_page=has_page, is_interrupted=False, incomplete=opened.ended, calls=opened.calls
    )


@pytest.mark.parametrize(
    "world",
    [
        variant(counters="listed"),
        variant(max_per_page=3),
        stand_in(edit=numbered(timed)),
        stand_in(edit=numbered(reversed_at_times)),
        stand_in(edit=each_image(removed("job_id"))),
        stand_in(ask=lambda _query: {"per_page": ["4"], "max_images_per_project": ["4"]}),
        stand_in(statuses={422: 500}),
    ],
    ids=["counters", "size", "values", "order", "identity", "parameters", "errors"],
)
async def test_60_calls_are_enough_where_much_differs(world: World) -> None:
    results: Results = {}

    async with world() as opened:
        await run_probes(PROBES, opened, results, progress=lambda _probe: None)

    assert (len(results), opened.ended) == (len(PROBES), None)


async def test_the_gateways_promises_are_verified_with_any_settings() -> None:
    settings = {
        "max_document_tokens": 100,
        "operation_max_calls": 1,
        "operation_max_images": 1,
        "cache_ttl_seconds": 0,
        "allowed_hosts": "graph.example",
        "path_prefix": "/graph",
        "graphiql": False,
        "introspection": False,
    }
    results: Results = {}

    async with stand_in(settings=settings)() as opened:
        await run_probes(promises.PROBES, opened, results, progress=lambda _probe: None)

    assert {finding.verdict for finding in results.values()} == {Verdict.HOLDS}
