"""No control character in a text reaches the endpoint: many databases answer a NUL with an error."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx
import pytest
from graphql import GraphQLField, get_named_type, is_object_type, is_required_argument
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gallery_gateway.errors import BadUserInputError
from gallery_gateway.execution.compiler import Compiler
from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.executor import Executor
from gallery_gateway.execution.persisted import GraphQLRequest
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import Accepts
from gallery_gateway.gallery.usage import Budget, OperationUsage
from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.schema.context import OperationContext
from gallery_gateway.schema.requests import check_text
from gallery_gateway.schema.roots import COMPILED_ROOTS
from gallery_gateway.upstream.identity import project_global_id
from tests.fakes import TOKEN, Client, FakeUpstream, build_gallery, document_limits, parameters_of

SCHEMA = executable(build_schema())
ROOT_FIELDS = SCHEMA.query_type.fields if SCHEMA.query_type else {}
CONTROLS = ["\x00", "\t", "\n", "\r", "\x1b", "\x1f", "\x7f", "\x80", "\x85", "\x9f"]
# Invisible, and yet what people write: joiners, directions, separators, a byte order mark, a noncharacter.
TEXTS = [
    "a b",
    "\u00a0",
    "\u00ad",
    "\u200c",
    "\u200d",
    "\u202e",
    "\u2028",
    "\u2029",
    "\ufeff",
    "\uffff",
    "👩‍🎨",
    "e\u0301",
]


class Argument(NamedTuple):
    """An argument of a root field that is a text, or a list of them."""

    field: str
    name: str
    declared: str

    def document(self, written: str, variables: str = "") -> str:
        """An operation with this argument, and with those that the field cannot do without."""
        others = [
            f"{name}: 7"
            for name, argument in ROOT_FIELDS[self.field].args.items()
            if name != self.name and is_required_argument(argument)
        ]
        given = ", ".join([f"{self.name}: {written}", *others])
        return f"query One{variables} {{ {self.field}({given}) {{ __typename }} }}"

    def document_with_variable(self) -> str:
        return self.document("$text", f"($text: {self.declared})")


def texts_of(fields: Mapping[str, GraphQLField]) -> list[Argument]:
    return [
        Argument(field, name, str(argument.type))
        for field, definition in fields.items()
        for name, argument in definition.args.items()
        if get_named_type(argument.type).name in {"String", "ID"}
    ]


ARGUMENTS = texts_of(ROOT_FIELDS)
COMPILED_ARGUMENTS = [argument for argument in ARGUMENTS if argument.field in COMPILED_ROOTS]


def test_every_text_is_an_argument_of_a_root_field() -> None:
    roots = {SCHEMA.query_type, SCHEMA.subscription_type}
    types = [t for t in SCHEMA.type_map.values() if is_object_type(t) and t not in roots]

    assert {argument.name for argument in ARGUMENTS} == {
        "after",
        "before",
        "feedback",
        "id",
        "ids",
        "search",
        "status",
    }
    assert [text for graphql_type in types for text in texts_of(graphql_type.fields)] == []


def test_the_arguments_of_a_subscription_are_those_of_the_query() -> None:
    assert SCHEMA.subscription_type

    for name, field in SCHEMA.subscription_type.fields.items():
        assert {key: str(argument.type) for key, argument in field.args.items()} == {
            key: str(argument.type) for key, argument in ROOT_FIELDS[name].args.items()
        }


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
@pytest.mark.parametrize("argument", ARGUMENTS, ids=lambda argument: f"{argument.field}-{argument.name}")
async def test_a_control_character_is_refused_without_a_call(
    ask: Any, upstream: FakeUpstream, argument: Argument, control: str
) -> None:
    text = f"silk{control}"
    variable = {"feedback": ["like", text], "ids": [text]}.get(argument.name, text)

    # GraphQL escapes these characters in a string as JSON does.
    in_place = await ask(argument.document(json.dumps(text)))
    in_variable = await ask(argument.document_with_variable(), {"text": variable})

    for answer in in_place, in_variable:
        (error,) = answer["errors"]
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": argument.name}
        assert control not in error["message"]
    assert upstream.requests == []


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
@pytest.mark.parametrize("key", ["id", "__typename"])
async def test_a_control_character_in_a_representation_is_refused_without_a_call(
    ask: Any, upstream: FakeUpstream, key: str, control: str
) -> None:
    representation = {"__typename": "Project", "id": project_global_id(7)}
    representation[key] += control
    document = "query One($all: [_Any!]!) { _entities(representations: $all) { __typename } }"

    answer = await ask(document, {"all": [representation]})

    (error,) = answer["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": "representations"}
    assert control not in error["message"]
    assert upstream.requests == []


@pytest.mark.parametrize("roots", [COMPILED_ROOTS, {}], ids=["compiled", "plain"])
@pytest.mark.parametrize("written", ["in place", "in a variable"])
@pytest.mark.parametrize(
    "argument", COMPILED_ARGUMENTS, ids=lambda argument: f"{argument.field}-{argument.name}"
)
async def test_both_ways_of_execution_refuse_it(roots: Any, argument: Argument, written: str) -> None:
    upstream = FakeUpstream()
    documents = Documents(SCHEMA, document_limits(), max_bytes=1_000_000)
    executor = Executor(SCHEMA, documents, Compiler(SCHEMA, roots))
    usage = OperationUsage(Budget(max_calls=20, max_images=100_000))
    loader = GalleryLoader(
        build_gallery(upstream), Caller(TOKEN, secret=b"s" * 32), usage, narrows=True, accepts=Accepts()
    )
    request = GraphQLRequest(query=argument.document('"silk\\u0000"'))
    if written == "in a variable":
        request = GraphQLRequest(query=argument.document_with_variable(), variables={"text": "silk\x00"})

    operation = executor.prepare(request, request_id="r")
    answer = await executor.execute(operation, OperationContext(usage, loader), request_id="r")

    assert answer.codes == ("BAD_USER_INPUT",)
    assert upstream.requests == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20) | st.sampled_from(TEXTS)
)
async def test_any_other_text_is_searched_for_as_it_is(
    client: Client, upstream: FakeUpstream, text: str
) -> None:
    upstream.requests.clear()

    response = await client.post(
        "query One($text: String) { gallery(search: $text) { pagination { total } } }",
        {"text": text},
        headers={"cache-control": "no-cache"},
    )

    assert "errors" not in response.json()
    assert parameters_of(upstream.requests[0])["search"] == text


@given(st.text(max_size=20), st.characters(categories=["Cc", "Cs"]), st.text(max_size=20))
def test_a_lone_surrogate_is_refused_too_though_no_request_can_bring_one(
    before: str, control: str, after: str
) -> None:
    with pytest.raises(BadUserInputError, match=r"U\+[0-9A-F]{4} is one"):
        check_text("search", before + control + after)


async def test_no_request_brings_a_lone_surrogate(client: Client, upstream: FakeUpstream) -> None:
    document = "query One($text: String) { gallery(search: $text) { __typename } }"
    head = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    escaped = json.dumps({"query": document, "variables": {"text": "\ud800"}}).encode()
    in_place = json.dumps({"query": '{ gallery(search: "\\ud800") { __typename } }'}).encode()
    raw = escaped.replace(b"\\ud800", b"\xed\xa0\x80")

    answers = [await client.http.post("/graphql", content=c, headers=head) for c in (escaped, in_place, raw)]

    assert [codes_of(answer) for answer in answers] == [
        ["BAD_REQUEST"],
        ["GRAPHQL_PARSE_FAILED"],
        ["BAD_REQUEST"],
    ]
    assert upstream.requests == []


def codes_of(response: httpx.Response) -> list[str]:
    return [error["extensions"]["code"] for error in response.json()["errors"]]
