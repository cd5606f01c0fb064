"""The connection: its arguments, its cursors, and what it costs."""

import base64
from typing import Any

import httpx
import pytest

from tests.fakes import Client, FakeUpstream, image_body, page_body, parameters_of, project_body
from tests.gallery.endpoints import caps, listing, page_of

EDGES = "edges { cursor node { projectId } }"
INFO = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"


async def projects(ask: Any, arguments: str = "", selection: str = f"{EDGES} {INFO}") -> Any:
    answer = await ask(f"{{ projects{arguments} {{ {selection} }} }}")
    assert "errors" not in answer, answer
    return answer["data"]["projects"]


async def refusal(ask: Any, arguments: str, selection: str = "totalCount") -> tuple[str, str]:
    """The argument that is refused, and the message."""
    answer = await ask(f"{{ projects({arguments}) {{ {selection} }} }}")
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    return error["extensions"]["argument"], error["message"]


def ids_in(connection: Any) -> list[int]:
    return [edge["node"]["projectId"] for edge in connection["edges"]]


@pytest.fixture
def cursor() -> Any:
    """The cursor of the first project, in a list with these filters."""

    async def cursor(ask: Any, arguments: str = "(first: 1)") -> str:
        return str((await projects(ask, arguments))["pageInfo"]["startCursor"])

    return cursor


@pytest.mark.parametrize(
    ("arguments", "argument", "said"),
    [
        ("first: 0", "first", "from 1 to 100, not 0"),
        ("first: 101", "first", "from 1 to 100, not 101"),
        ("last: 0", "last", "from 1 to 100, not 0"),
        ("last: 101", "last", "from 1 to 100, not 101"),
        ("first: 1, last: 1", "last", "does not go with `first`"),
        ('last: 1, after: "x"', "last", "does not go with `after`"),
        ('first: 1, before: "x"', "before", "does not go with `first`"),
        ('after: "x", before: "x"', "before", "does not go with `after`"),
        ('after: ""', "after", "not a cursor"),
        ('after: "nonsense"', "after", "not a cursor"),
        ('before: "ü"', "before", "not a cursor"),
        ("maxImagesPerProject: 0", "maxImagesPerProject", "from 1 to 200"),
    ],
)
async def test_arguments_that_cannot_be_are_refused_without_a_call(
    ask: Any, upstream: FakeUpstream, arguments: str, argument: str, said: str
) -> None:
    refused, message = await refusal(ask, arguments)

    assert refused == argument
    assert said in message
    assert upstream.requests == []


@pytest.mark.parametrize(
    "other",
    [
        'search: "x"',
        "order: ASC",
        'status: "failed"',
        'feedback: ["like"]',
        "ownership: MINE",
        "projectId: 7",
    ],
)
async def test_a_cursor_of_other_filters_is_refused(
    ask: Any, upstream: FakeUpstream, cursor: Any, other: str
) -> None:
    known = await cursor(ask)
    upstream.requests.clear()

    refused, message = await refusal(ask, f'after: "{known}", {other}')

    assert (refused, "another list" in message) == ("after", True)
    assert upstream.requests == []


async def test_a_cursor_that_was_changed_is_refused(ask: Any, cursor: Any) -> None:
    known = await cursor(ask)
    raw = bytearray(base64.urlsafe_b64decode(known + "=" * (-len(known) % 4)))
    changed = [known + "A", known[:-1], f" {known}", known + "="]
    for place in range(len(raw)):
        raw[place] ^= 1
        changed.append(base64.urlsafe_b64encode(raw).rstrip(b"=").decode())
        raw[place] ^= 1

    refused = [await refusal(ask, f'before: "{cursor}"') for cursor in changed]

    message = (
        "`before` is not a cursor of this graph, or is one of an earlier version. Start over without"
        " `before`, and then use a `cursor`, `startCursor` or `endCursor`."
    )
    assert refused == [("before", message)] * len(changed)


async def test_a_cursor_of_an_earlier_version_says_to_start_over(ask: Any, upstream: FakeUpstream) -> None:
    earlier = "AAAAEwAAAPAAAAAAAAAA3a0DfrnL4VPuB3I"

    refused, message = await refusal(ask, f'after: "{earlier}"')

    assert (refused, "Start over without `after`" in message) == ("after", True)
    assert upstream.requests == []


async def test_a_cursor_is_short_whatever_it_names(ask: Any, upstream: FakeUpstream) -> None:
    large = [project_body(2**62 + number) for number in range(9)]
    upstream.answer(json=page_body(*large, total=2**40))

    connection = await projects(ask, "(first: 9)", "edges { cursor }")

    assert {len(edge["cursor"]) for edge in connection["edges"]} == {68}


async def test_a_cursor_serves_whatever_is_selected_of_the_images(ask: Any, cursor: Any) -> None:
    known = await cursor(ask, "(first: 1, sortBy: QUALITY_SCORE, maxImagesPerProject: 3)")

    assert await projects(ask, f'(after: "{known}", first: 5)', "totalCount") == {"totalCount": 1}


@pytest.mark.parametrize(
    ("arguments", "found", "beside"),
    [
        ("", list(range(1, 21)), (False, True)),
        ("(first: 2)", [1, 2], (False, True)),
        ("(first: 45)", list(range(1, 46)), (False, False)),
        ("(last: 2)", [44, 45], (True, False)),
        ("(last: 100)", list(range(1, 46)), (False, False)),
        ("(first: null, last: null, after: null, before: null)", list(range(1, 21)), (False, True)),
    ],
)
async def test_an_end_of_the_list_is_shown_with_what_lies_beside_it(
    ask: Any, upstream: FakeUpstream, arguments: str, found: list[int], beside: tuple[bool, bool]
) -> None:
    upstream.handler = listing(*[0] * 45)

    connection = await projects(ask, arguments)

    assert ids_in(connection) == found
    assert connection["pageInfo"] == {
        "hasPreviousPage": beside[0],
        "hasNextPage": beside[1],
        "startCursor": connection["edges"][0]["cursor"],
        "endCursor": connection["edges"][-1]["cursor"],
    }


async def test_an_empty_list_has_no_edges_and_no_cursors(ask: Any, upstream: FakeUpstream) -> None:
    upstream.handler = listing()

    connection = await projects(ask, "(last: 3)", f"{EDGES} {INFO} nodes {{ id }} totalCount")

    assert connection == {
        "edges": [],
        "nodes": [],
        "totalCount": 0,
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
    }


async def test_nothing_follows_the_last_cursor(ask: Any, upstream: FakeUpstream) -> None:
    upstream.handler = listing(*[0] * 5)
    end = (await projects(ask, "(last: 1)"))["pageInfo"]["endCursor"]

    connection = await projects(ask, f'(after: "{end}")')

    assert connection["edges"] == []
    # Without a cursor, a client that went on in either direction would start over.
    assert connection["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": False,
        "startCursor": None,
        "endCursor": None,
    }


async def test_the_total_alone_costs_one_project_of_one_image(ask: Any, upstream: FakeUpstream) -> None:
    await projects(ask, "(first: 100, maxImagesPerProject: 200)", "totalCount")

    (sent,) = [parameters_of(request) for request in upstream.requests]
    assert (sent["page"], sent["per_page"], sent["max_images_per_project"]) == ("1", "1", "1")


@pytest.mark.parametrize(
    ("selection", "cap"),
    [
        ("edges { node { projectName } }", 1),
        ("edges { node { images(first: 3) { id } } } nodes { images(first: 4) { id } }", 4),
        ("nodes { images { id } }", 50),
        (f"totalCount {INFO}", 1),
    ],
)
async def test_no_more_images_are_asked_for_than_are_selected(
    ask: Any, upstream: FakeUpstream, selection: str, cap: int
) -> None:
    await projects(ask, "(first: 2)", selection)

    assert caps(upstream) == [cap]


async def test_aliases_and_a_page_of_the_same_projects_cost_one_call(
    ask: Any, upstream: FakeUpstream
) -> None:
    upstream.handler = listing(*[2] * 45)

    answer = await ask(
        "{ a: projects { totalCount } b: projects { nodes { images(first: 1) { id } } }"
        " c: projects(first: 10) { edges { cursor } } gallery { projects { images { id } } } }"
    )

    assert "errors" not in answer
    assert len(upstream.requests) == 1


async def test_a_known_page_answers_a_connection_within_it(ask: Any, upstream: FakeUpstream) -> None:
    upstream.handler = listing(*[2] * 45)
    await ask("{ gallery(perPage: 40) { projects { images { id } } } }")

    start = await projects(ask, "(first: 7)", f"{EDGES} {INFO} nodes {{ images {{ id }} }}")
    further = await projects(ask, f'(first: 7, after: "{start["pageInfo"]["endCursor"]}")')

    assert ids_in(further) == list(range(8, 15))
    assert len(upstream.requests) == 1


async def test_what_the_endpoint_refuses_is_told_by_the_argument_of_the_graph(
    ask: Any, upstream: FakeUpstream
) -> None:
    upstream.answer(422, json={"error": "Invalid request", "detail": [{"field": "per_page", "message": ""}]})

    assert (await refusal(ask, "first: 3"))[0] == "first"


async def test_without_a_token_nothing_is_asked(client: Client, upstream: FakeUpstream) -> None:
    answer = await client.ask("{ projects { totalCount } }", token=None)

    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("damage", "path"),
    [
        ({"projects": None}, ["projects"]),
        ({"projects": [None]}, ["projects", "edges", 0, "node"]),
        ({"pagination": {"total": "many"}}, ["projects", "totalCount"]),
        (
            {"projects": [{**project_body(), "project_id": "seven"}]},
            ["projects", "edges", 0, "node", "projectId"],
        ),
    ],
)
async def test_damage_is_told_where_it_is(
    ask: Any, upstream: FakeUpstream, damage: dict[str, Any], path: list[Any]
) -> None:
    upstream.answer(json={**page_body(project_body(7, image_body())), **damage})

    answer = await ask(f"{{ projects {{ totalCount {EDGES} {INFO} }} }}")

    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == (path, "UPSTREAM_CONTRACT")


async def test_a_list_without_a_total_is_walked_as_long_as_pages_are_full(
    ask: Any, upstream: FakeUpstream
) -> None:
    upstream.answer(json={**page_body(project_body(7), project_body(8)), "pagination": {}})

    full = await projects(ask, "(first: 2)")
    short = await projects(ask, "(first: 3)")

    assert full["pageInfo"]["hasNextPage"] is True
    assert short["pageInfo"]["hasNextPage"] is False


async def test_a_smaller_page_than_requested_does_not_end_the_list(ask: Any, upstream: FakeUpstream) -> None:
    everything = listing(*[0] * 137)

    def at_most_ten(request: httpx.Request) -> Any:
        parameters = httpx.QueryParams(request.url.query.decode())
        size = min(10, int(parameters["per_page"]))
        return everything(httpx.Request("GET", request.url.copy_set_param("per_page", size)))

    upstream.handler = at_most_ten

    connection = await projects(ask, "(first: 20)")
    following = await projects(ask, f'(first: 20, after: "{connection["pageInfo"]["endCursor"]}")')

    assert ids_in(connection) == list(range(1, 11))
    assert connection["pageInfo"]["hasNextPage"] is True
    assert ids_in(following)[:3] == [11, 12, 13]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("(first: 2)", {"total": 5, "has_next": True}),
        ("(last: 2)", {"total": 0, "has_next": True}),
        ("(last: 2)", {"total": None}),
        ("(last: 2)", {"total": 5, "has_next": True}),
    ],
)
async def test_numbers_that_do_not_say_where_the_list_goes_on_are_an_error_with_what_was_found(
    ask: Any, upstream: FakeUpstream, arguments: str, said: dict[str, Any]
) -> None:
    upstream.answer(json={**page_body(**said), "projects": []})

    answer = await ask(f"{{ projects{arguments} {{ {EDGES} }} }}")

    (error,) = answer["errors"]
    assert answer["data"] == {"projects": None}
    assert (error["path"], error["extensions"]["code"]) == (["projects"], "UPSTREAM_CONTRACT")
    assert "has 0 projects and says" in error["message"]
    assert "http" not in error["message"]


@pytest.mark.parametrize("total", [0, 1])
async def test_a_total_below_what_the_page_shows_is_an_error(
    ask: Any, upstream: FakeUpstream, total: int
) -> None:
    upstream.answer(json=page_body(total=total, has_next=True))

    answer = await ask("{ projects { totalCount } }")

    assert answer["errors"][0]["extensions"]["code"] == "UPSTREAM_CONTRACT"


async def test_the_total_is_at_least_what_was_seen(ask: Any, upstream: FakeUpstream) -> None:
    upstream.answer(json=page_body(*map(project_body, range(5)), total=3, has_next=True))

    assert (await projects(ask, "(first: 5)", "totalCount nodes { id }"))["totalCount"] == 5


@pytest.mark.parametrize("arguments", ["first: 2, after", "last: 2, before"])
async def test_a_cursor_whose_surroundings_are_gone_says_to_start_over(
    ask: Any, upstream: FakeUpstream, cursor: Any, arguments: str
) -> None:
    known = await cursor(ask)
    others = [project_body(number) for number in range(1000, 1040)]
    upstream.handler = lambda request: httpx.Response(200, json=page_of(others, parameters_of(request)))

    refused, message = await refusal(ask, f'{arguments}: "{known}"', EDGES)

    name = arguments.rsplit(maxsplit=1)[-1]
    assert (refused, f"Start over without `{name}`" in message) == (name, True)


@pytest.mark.parametrize("arguments", ["first: 4, after", "last: 4, before"])
async def test_a_project_that_a_page_lists_twice_is_shown_once(
    ask: Any, upstream: FakeUpstream, arguments: str
) -> None:
    upstream.handler = listing(*[0] * 3)
    middle = (await projects(ask, "(first: 3)"))["edges"][1]["cursor"]
    twice = [project_body(number) for number in (1, 1, 2, 2, 3, 3, 1)]
    upstream.handler = lambda request: httpx.Response(200, json=page_of(twice, parameters_of(request)))

    connection = await projects(ask, f'({arguments}: "{middle}")')

    assert ids_in(connection) == ([3] if "after" in arguments else [1])


async def test_a_list_that_changes_between_the_two_pages_of_a_step_is_an_error(
    ask: Any, upstream: FakeUpstream
) -> None:
    listed = [project_body(number) for number in range(1, 8)]

    def at_most_two(request: httpx.Request) -> httpx.Response:
        parameters = parameters_of(request)
        if (parameters["page"], parameters["per_page"]) == ("2", "2"):
            del listed[0]
        parameters["per_page"] = str(min(2, int(parameters["per_page"])))
        return httpx.Response(200, json=page_of(listed, parameters))

    upstream.handler = at_most_two
    end = (await projects(ask))["pageInfo"]["endCursor"]

    answer = await ask(f'{{ projects(after: "{end}") {{ {EDGES} }} }}')

    assert answer["errors"][0]["extensions"]["code"] == "UPSTREAM_CONTRACT"
