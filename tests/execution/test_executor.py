"""Running an operation: data, request errors, and each kind of field error as the client sees it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from graphql import GraphQLResolveInfo, build_schema

from gallery_gateway.errors import (
    BadUserInputError,
    ForbiddenError,
    GatewayError,
    OverloadedError,
    RateLimitedError,
    RejectedParameterError,
    RequestError,
    UnauthenticatedError,
    UpstreamContractError,
    UpstreamNotFoundError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gallery_gateway.execution.compiler import Compiler
from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.executor import Executor, GraphQLResponse
from gallery_gateway.execution.limits import TooManyImagesError
from gallery_gateway.execution.persisted import GraphQLRequest
from tests.fakes import document_limits
from tests.logging_to import Written

SDL = """
type Query {
  value: Int
  text: String
  number: Float
  sure: Int!
  list: [Int!]
  kind: Kind
  me: Query
  surely: Query!
  add(to: Int! = 1): Int
}
type Mutation { value: Int }
enum Kind { A }
"""

SECRET = "secret detail of upstream"


def executor(**resolvers: Callable[..., Any]) -> Executor:
    schema = build_schema(SDL)
    assert schema.query_type
    for name, resolver in resolvers.items():
        schema.query_type.fields[name].resolve = resolver
    documents = Documents(schema, document_limits(), max_bytes=10_000)
    return Executor(schema, documents, Compiler(schema, {}))


def giving(value: object) -> Callable[..., object]:
    return lambda _source, _info: value


def raising(error: Exception) -> Callable[..., object]:
    def resolve(_source: object, _info: GraphQLResolveInfo[Any]) -> object:
        raise error

    return resolve


async def run(executor: Executor, query: str, **request: Any) -> GraphQLResponse:
    operation = executor.prepare(GraphQLRequest(query=query, **request), request_id="r1")
    return await executor.execute(operation, None, request_id="r1")


def response_of(answer: GraphQLResponse) -> Any:
    return json.loads(answer.body)


async def errors_of(executor: Executor, query: str, **request: Any) -> Any:
    return response_of(await run(executor, query, **request))["errors"]


async def test_an_operation_is_answered_with_its_data() -> None:
    answer = await run(executor(value=giving(5)), "{ value }")

    assert response_of(answer) == {"data": {"value": 5}}


async def test_a_resolver_may_be_a_coroutine() -> None:
    async def resolve(_source: object, _info: GraphQLResolveInfo[Any]) -> int:
        return 5

    answer = await run(executor(value=resolve), "{ value }")

    assert response_of(answer) == {"data": {"value": 5}}


async def test_resolvers_are_given_the_context() -> None:
    running = executor(value=lambda _source, info: info.context)

    operation = running.prepare(GraphQLRequest(query="{ value }"), request_id="r1")
    answer = await running.execute(operation, 5, request_id="r1")

    assert response_of(answer) == {"data": {"value": 5}}


async def test_the_named_operation_is_run() -> None:
    query = "query A { a: value } query B { b: value }"

    answer = await run(executor(value=giving(5)), query, operation_name="B")

    assert response_of(answer) == {"data": {"b": 5}}


async def test_variables_are_used() -> None:
    running = executor(add=lambda _source, _info, to: to + 1)

    answer = await run(running, "query($to: Int!) { add(to: $to) }", variables={"to": 4})

    assert response_of(answer) == {"data": {"add": 5}}


@pytest.mark.parametrize(
    ("query", "request_members", "code"),
    [
        ("{", {}, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("{ value }", {"operation_name": "A"}, "BAD_REQUEST"),
        ("query A { value } query B { value }", {}, "BAD_REQUEST"),
        ("query($to: Int!) { add(to: $to) }", {}, "BAD_USER_INPUT"),
        ("query($to: Int!) { add(to: $to) }", {"variables": {"to": None}}, "BAD_USER_INPUT"),
        ("query($to: Int!) { add(to: $to) }", {"variables": {"to": "4"}}, "BAD_USER_INPUT"),
        ("query($to: Int!) { add(to: $to) }", {"variables": {"to": 10**400}}, "BAD_USER_INPUT"),
    ],
)
async def test_a_request_that_cannot_be_run_is_a_request_error(
    query: str, request_members: dict[str, Any], code: str
) -> None:
    answer = await run(executor(value=giving(5)), query, **request_members)

    assert answer.is_request_error
    assert [error["extensions"]["code"] for error in response_of(answer)["errors"]] == [code]


async def test_a_null_that_reaches_the_top_is_no_request_error() -> None:
    answer = await run(executor(sure=raising(ForbiddenError("no"))), "{ sure }")

    assert not answer.is_request_error
    assert response_of(answer)["data"] is None


async def test_an_answer_without_errors_says_nothing_of_them() -> None:
    answer = await run(executor(value=giving(None)), "{ value }")

    assert not answer.has_errors
    assert "errors" not in response_of(answer)


@pytest.mark.parametrize(
    ("query", "is_mutation"),
    [
        ("{ value }", False),
        ("mutation { value }", True),
        ("mutation { nothing }", True),
        ("subscription { value }", False),
        ("mutation {", False),
        ("{ nothing }", False),
        ("", False),
    ],
)
def test_a_mutation_is_known_as_one_even_if_it_is_refused(query: str, is_mutation: bool) -> None:
    assert executor().prepare(GraphQLRequest(query=query), request_id="r1").is_mutation is is_mutation


@pytest.mark.parametrize("field", ["value", "nothing"])
@pytest.mark.parametrize("name", ["A", "B", "C", None])
def test_the_operation_that_is_named_decides_whether_it_is_a_mutation(name: str | None, field: str) -> None:
    request = GraphQLRequest(query=f"query A {{ value }} mutation B {{ {field} }}", operation_name=name)

    assert executor().prepare(request, request_id="r1").is_mutation is (name == "B")


EXPECTED: list[tuple[GatewayError, dict[str, object]]] = [
    (RequestError("told"), {"code": "BAD_REQUEST"}),
    (BadUserInputError("told", argument="page"), {"code": "BAD_USER_INPUT", "argument": "page"}),
    (BadUserInputError("told"), {"code": "BAD_USER_INPUT"}),
    (RejectedParameterError("told", parameter="per_page"), {"code": "BAD_USER_INPUT"}),
    (UnauthenticatedError("told"), {"code": "UNAUTHENTICATED"}),
    (ForbiddenError("told"), {"code": "FORBIDDEN"}),
    (RateLimitedError("told"), {"code": "RATE_LIMITED"}),
    (RateLimitedError("told", retry_after_seconds=0), {"code": "RATE_LIMITED", "retryAfter": 0}),
    (OverloadedError("told", retry_after_seconds=2), {"code": "OVERLOADED", "retryAfter": 2}),
    (UpstreamTimeoutError("told"), {"code": "UPSTREAM_TIMEOUT"}),
    (UpstreamUnavailableError("told"), {"code": "UPSTREAM_UNAVAILABLE"}),
    (UpstreamContractError("told"), {"code": "UPSTREAM_CONTRACT"}),
    (UpstreamNotFoundError("told"), {"code": "UPSTREAM_CONTRACT"}),
]


@pytest.mark.parametrize(("error", "extensions"), EXPECTED)
async def test_an_expected_error_is_told_with_its_code(
    error: GatewayError, extensions: dict[str, object]
) -> None:
    errors = await errors_of(executor(value=raising(error)), "{ value }")

    assert errors == [
        {
            "message": "told",
            "path": ["value"],
            "locations": [{"line": 1, "column": 3}],
            "extensions": extensions,
        }
    ]


def test_every_error_of_the_gateway_is_in_the_table_above() -> None:
    kinds = [GatewayError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())

    # These are about a request, and never those of a field.
    of_requests = {*RequestError.__subclasses__(), TooManyImagesError}
    assert {type(error) for error, _ in EXPECTED} == set(kinds) - {GatewayError} - of_requests


@pytest.mark.parametrize(("error", "extensions"), EXPECTED)
async def test_an_expected_error_is_left_to_the_line_of_the_operation(
    logged: Written, error: GatewayError, extensions: dict[str, object]
) -> None:
    # Raised and caught once before, as in a loader, so that it has a traceback to show.
    await run(executor(value=raising(error)), "{ value }")

    answer = await run(executor(value=raising(error)), "{ value }")

    assert answer.codes == (extensions["code"],)
    assert logged.getvalue() == ""


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize(
    "bug",
    [
        ZeroDivisionError(SECRET),
        KeyError(SECRET),
        RuntimeError(SECRET),
        TypeError(SECRET),
        ValueError(SECRET),
        RecursionError(SECRET),
    ],
    ids=lambda bug: type(bug).__name__,
)
async def test_a_bug_is_masked_with_the_request_id(bug: Exception) -> None:
    errors = await errors_of(executor(value=raising(bug)), "{ value }")

    assert errors == [
        {
            "message": "Something went wrong in the gateway.",
            "path": ["value"],
            "locations": [{"line": 1, "column": 3}],
            "extensions": {"code": "INTERNAL_SERVER_ERROR", "requestId": "r1"},
        }
    ]


async def test_a_bug_is_logged_whole_under_the_request_id(logged: Written) -> None:
    await run(executor(value=raising(ZeroDivisionError(SECRET))), "{ value }")

    first, *traceback = logged.getvalue().splitlines()
    assert first.endswith("error operation.bug request_id=r1")
    assert traceback[0] == "Traceback (most recent call last):"
    assert traceback[-1] == f"ZeroDivisionError: {SECRET}"


MISFITS = [
    ("{ value }", {"value": "text"}),
    ("{ value }", {"value": 2**31}),
    ("{ value }", {"value": 1.5}),
    ("{ value }", {"value": 10**400}),
    ("{ number }", {"number": SECRET}),
    ("{ number }", {"number": 10**400}),
    ("{ number }", {"number": float("inf")}),
    ("{ text }", {"text": {"a": SECRET}}),
    ("{ text }", {"text": [SECRET]}),
    ("{ kind }", {"kind": SECRET}),
    ("{ list }", {"list": SECRET}),
    ("{ list }", {"list": 5}),
    ("{ list }", {"list": {"a": SECRET}}),
    ("{ list }", {"list": [1, None]}),
    ("{ list }", {"list": [1, SECRET]}),
    ("{ sure }", {"sure": None}),
    ("{ me { sure } }", {"me": {}, "sure": None}),
    ("{ surely { value } }", {"surely": None}),
]


@pytest.mark.parametrize(("query", "values"), MISFITS)
async def test_a_value_that_does_not_fit_its_field_is_upstreams_fault(
    query: str, values: dict[str, object]
) -> None:
    resolvers = {name: giving(value) for name, value in values.items()}

    (error,) = await errors_of(executor(**resolvers), query)

    assert error["message"] == "The gallery API sent a value that does not fit this field."
    assert error["extensions"] == {"code": "UPSTREAM_CONTRACT"}


@pytest.mark.parametrize(("query", "values"), MISFITS)
async def test_a_value_that_does_not_fit_is_left_to_the_line_of_the_operation(
    logged: Written, query: str, values: dict[str, object]
) -> None:
    resolvers = {name: giving(value) for name, value in values.items()}

    answer = await run(executor(**resolvers), query)

    assert answer.codes == ("UPSTREAM_CONTRACT",)
    assert logged.getvalue() == ""


async def test_a_failed_field_leaves_the_rest() -> None:
    running = executor(value=raising(ForbiddenError("no")), text=giving("kept"))

    answer = await run(running, "{ value text }")

    assert response_of(answer)["data"] == {"value": None, "text": "kept"}


@pytest.mark.parametrize("numbers", [(21, 40), (40, 21)])
async def test_too_many_images_refuse_the_whole_operation_with_the_largest_count(
    numbers: tuple[int, int],
) -> None:
    first, last = (TooManyImagesError(number, max_images=20) for number in numbers)
    running = executor(value=raising(first), number=raising(last), text=giving("kept"))

    answer = await run(running, "{ value text number }")

    assert answer.is_request_error
    (error,) = response_of(answer)["errors"]
    assert response_of(answer) == {"errors": [error]}
    assert error["message"].startswith("The response would hold 40 images; the limit is 20.")
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}


FILTER = "query($of: Filter, $n: Int) { any(of: $of, n: $n) }"
MAX_VALUES = 10_000
# Variables that hold exactly so many values.
VALUES: list[Callable[[int], dict[str, Any]]] = [
    lambda number: {"of": {"a": ["x"] * (number - 2)}},
    lambda number: {"of": {"a": ["x"] * (number - 3)}, "n": 1},
    lambda number: {"of": {"b": [["x"] * 2, ["x"] * (number - 6)]}},
    lambda number: {"of": {"c": {"c": {"a": ["x"] * (number - 4)}}}},
]


@pytest.mark.parametrize("variables", VALUES)
async def test_variables_may_hold_as_many_values_as_the_limit_and_no_more(
    variables: Callable[[int], dict[str, Any]],
) -> None:
    schema = build_schema(
        "input Filter { a: [String] b: [[String]] c: Filter } type Query { any(of: Filter, n: Int): Int }"
    )
    running = Executor(schema, Documents(schema, document_limits()), Compiler(schema, {}))

    at_limit, above = [
        await run(running, FILTER, variables=variables(number)) for number in (MAX_VALUES, MAX_VALUES + 1)
    ]

    assert not at_limit.has_errors
    assert above.is_request_error
    assert above.codes == ("BAD_USER_INPUT",)
    assert f"more than {MAX_VALUES} values" in response_of(above)["errors"][0]["message"]


async def test_each_error_has_the_path_of_its_own_alias() -> None:
    errors = await errors_of(executor(value=raising(ForbiddenError("no"))), "{ a: value b: value }")

    assert [error["path"] for error in errors] == [["a"], ["b"]]


async def test_what_a_client_did_wrong_is_told_in_full() -> None:
    (error,) = await errors_of(executor(), "{ nothing }")

    assert error["message"] == "Cannot query field 'nothing' on type 'Query'."
    assert error["locations"] == [{"line": 1, "column": 3}]
