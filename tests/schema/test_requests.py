"""Arguments out of their range are refused before any upstream call, and the message says the range."""

from typing import Any

import pytest
from graphql import GraphQLEnumType, GraphQLObjectType, GraphQLScalarType

from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.upstream.identity import image_global_id, project_global_id
from tests.fakes import FakeUpstream, parameters_of

LONG = "x" * 501
MANY = "[" + ", ".join(f'"{number}"' for number in range(51)) + "]"


@pytest.mark.parametrize(
    ("field", "argument", "said"),
    [
        ("gallery(page: 0)", "page", "1 or more, not 0"),
        ("gallery(perPage: 0)", "perPage", "from 1 to 100, not 0"),
        ("gallery(perPage: 101)", "perPage", "from 1 to 100, not 101"),
        ("gallery(maxImagesPerProject: 0)", "maxImagesPerProject", "from 1 to 200, not 0"),
        ("gallery(maxImagesPerProject: 201)", "maxImagesPerProject", "from 1 to 200, not 201"),
        (f'gallery(search: "{LONG}")', "search", "at most 500 characters, not 501"),
        (f'gallery(status: "{LONG}")', "status", "at most 500 characters, not 501"),
        (f'gallery(feedback: ["{LONG}"])', "feedback", "at most 500 characters, not 501"),
        (f"gallery(feedback: {MANY})", "feedback", "at most 50 values, not 51"),
        ("project(projectId: 1, maxImages: 0)", "maxImages", "from 1 to 200, not 0"),
        ("project(projectId: 1, maxImages: 201)", "maxImages", "from 1 to 200, not 201"),
        ('node(id: "nonsense")', "id", "not the id of a Project"),
        (f'node(id: "{image_global_id("job", 0, 0, 0)}")', "id", "ask for its project"),
    ],
)
async def test_an_argument_out_of_range_is_refused_without_a_call(
    ask: Any, upstream: FakeUpstream, field: str, argument: str, said: str
) -> None:
    answer = await ask(f"{{ {field} {{ __typename }} }}")

    (error,) = answer["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": argument}
    assert said in error["message"]
    assert upstream.requests == []


async def test_the_first_images_are_none_or_more(ask: Any) -> None:
    answer = await ask("{ gallery { projects { images(first: -1) { id } } } }")

    assert answer["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT", "argument": "first"}


@pytest.mark.parametrize("limits", ["page: 1, perPage: 1", "perPage: 100, maxImagesPerProject: 200"])
async def test_the_ends_of_the_ranges_are_in_them(ask: Any, limits: str) -> None:
    answer = await ask(f"{{ gallery({limits}) {{ pagination {{ page }} }} }}")

    assert "errors" not in answer


async def test_a_node_is_the_project_of_its_id(ask: Any, upstream: FakeUpstream) -> None:
    answer = await ask(f'{{ node(id: "{project_global_id(7)}") {{ id ... on Project {{ projectId }} }} }}')

    assert answer["data"]["node"] == {"id": project_global_id(7), "projectId": 7}
    assert parameters_of(upstream.requests[0])["project_id"] == "7"


@pytest.mark.parametrize(
    ("detail", "field", "argument"),
    [
        ("per_page", "gallery", "perPage"),
        ("max_images_per_project", "gallery", "maxImagesPerProject"),
        ("max_images_per_project", "project(projectId: 7)", "maxImages"),
        ("project_id", f'node(id: "{project_global_id(7)}")', "id"),
        (None, "gallery", None),
        ("unheard_of", "gallery", None),
    ],
)
async def test_a_refusal_of_the_endpoint_names_the_graphs_own_argument(
    ask: Any, upstream: FakeUpstream, detail: str | None, field: str, argument: str | None
) -> None:
    refusal = {"field": detail, "message": "no", "position": "query"}
    upstream.answer(422, json={"error": "Invalid request", "detail": [refusal]})

    answer = await ask(f"{{ {field} {{ __typename }} }}")

    assert answer["errors"][0]["extensions"].get("argument") == argument


def test_everything_in_the_graph_has_a_description() -> None:
    ours = [
        graphql_type
        for name, graphql_type in executable(build_schema()).type_map.items()
        # Names with two underscores are introspection's own, and those of federation's @link.
        if "__" not in name and not isinstance(graphql_type, GraphQLScalarType) and name != "Query"
    ]

    bare = [t.name for t in ours if not t.description]
    for graphql_type in [*ours, executable(build_schema()).type_map["Query"]]:
        if isinstance(graphql_type, GraphQLObjectType):
            for name, field in graphql_type.fields.items():
                bare += [] if field.description else [f"{graphql_type.name}.{name}"]
                bare += [f"{name}({key})" for key, arg in field.args.items() if not arg.description]
        elif isinstance(graphql_type, GraphQLEnumType):
            bare += [key for key, value in graphql_type.values.items() if not value.description]

    assert bare == []
