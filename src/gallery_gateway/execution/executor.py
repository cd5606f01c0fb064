"""Runs one operation and says what came of it."""

from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from graphql import ExecutionResult, GraphQLError, GraphQLSchema, execute

from gallery_gateway.execution.documents import DocumentError, Documents, is_query
from gallery_gateway.execution.reporting import report


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLRequest:
    """What a client asked for: a document, and which of its operations with which variables."""

    query: str
    operation_name: str | None = None
    variables: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A GraphQL response; without `data` it is a request error, and nothing was run."""

    response: dict[str, Any]

    @property
    def is_request_error(self) -> bool:
        return "data" not in self.response

    @property
    def has_errors(self) -> bool:
        return "errors" in self.response


class Executor:
    """Runs operations on a schema, by graphql-core alone."""

    def __init__(self, schema: GraphQLSchema, documents: Documents) -> None:
        self._schema = schema
        self._documents = documents

    def is_query(self, request: GraphQLRequest) -> bool:
        """Whether the request names a query; anything that is no operation at all counts as one."""
        try:
            prepared = self._documents.prepare(request.query)
            return is_query(prepared.operation(request.operation_name))
        except DocumentError:
            return True

    async def execute(self, request: GraphQLRequest, context: object, *, request_id: str) -> Answer:
        """Never raises for what a client or the endpoint did wrong: that is in the answer."""
        try:
            prepared = self._documents.prepare(request.query)
            prepared.operation(request.operation_name)
        except DocumentError as exc:
            return _answer(ExecutionResult(errors=exc.errors), request_id=request_id)
        result = execute(
            self._schema,
            prepared.document,
            context_value=context,
            variable_values=request.variables,
            operation_name=request.operation_name,
        )
        if isawaitable(result):
            result = await result
        return _answer(result, request_id=request_id)


def _answer(result: ExecutionResult, *, request_id: str) -> Answer:
    errors: list[GraphQLError] = result.errors or []
    response: dict[str, Any] = {}
    # An error without a path was raised before any field ran (GraphQL specification, 7.1.2).
    if result.data is not None or all(error.path for error in errors):
        response["data"] = result.data
    if errors:
        response["errors"] = [report(error, request_id=request_id) for error in errors]
    return Answer(response)
