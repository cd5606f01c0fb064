"""Runs one operation and reports its errors."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from inspect import isawaitable
from typing import Any

import msgspec
from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLFormattedError,
    GraphQLSchema,
    OperationType,
    execute,
    get_operation_ast,
)

from gallery_gateway.errors import GatewayError, OverloadedError, RequestError, UpstreamContractError
from gallery_gateway.execution.compiler import Compiler, ReplayableResponse
from gallery_gateway.execution.documents import Documents, PreparedDocument
from gallery_gateway.execution.limits import DocumentError, TooManyImagesError, with_code
from gallery_gateway.execution.persisted import GraphQLRequest, PersistedQueries, Sources
from gallery_gateway.telemetry.logs import log_event
from gallery_gateway.telemetry.records import COMPILED, PLAIN

_MISFIT = "The gallery sent a value that does not fit this field."

# The one sign that graphql-core 3.3 gives of a null where none may be: a TypeError of these words.
_NULL_VIOLATION = "Cannot return null for non-nullable field"


def report(error: GraphQLError, *, request_id: str) -> GraphQLFormattedError:
    """The error as the client sees it."""
    cause = error.original_error
    formatted = error.formatted
    if isinstance(cause, GatewayError):
        return formatted
    if not error.path:
        # What is wrong with the request, told by graphql-core or by us; variables get no code there.
        code = str((error.extensions or {}).get("code", "BAD_USER_INPUT"))
        formatted["extensions"] = {**(error.extensions or {}), "code": code}
    elif _is_misfit(cause):
        formatted["message"] = _MISFIT
        formatted["extensions"] = {"code": UpstreamContractError.code}
    else:
        formatted["message"] = "Something went wrong in the gateway."
        formatted["extensions"] = {"code": "INTERNAL_SERVER_ERROR", "requestId": request_id}
        log_event("operation.bug", level=logging.ERROR, error=cause or error, request_id=request_id)
    return formatted


def _is_misfit(cause: Exception | None) -> bool:
    """Whether graphql-core could not fit an upstream value into the type of its field."""
    return isinstance(cause, GraphQLError) or (
        isinstance(cause, TypeError) and str(cause).startswith(_NULL_VIOLATION)
    )


_SETTING = "GALLERY_GATEWAY_MAX_VARIABLE_VALUES"


def check_variables(variables: Mapping[str, Any], *, max_values: int) -> None:
    """Raises: DocumentError: there are more values in them, items and members counted, than may be."""
    number = len(variables)
    stack = [value for value in variables.values() if isinstance(value, dict | list)]
    while stack and number <= max_values:
        holder = stack.pop()
        number += len(holder)
        inner = holder.values() if isinstance(holder, dict) else holder
        stack.extend(value for value in inner if isinstance(value, dict | list))
    if number > max_values:
        message = f"The variables have more than {max_values} values in them ({_SETTING})."
        raise DocumentError(with_code(GraphQLError(message), "BAD_USER_INPUT"))


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLResponse:
    """A GraphQL response as JSON.

    Args:
        is_request_error: there is no `data` in it, because nothing was run.
        has_errors: there are `errors` in it.
        retry_after_seconds: nothing was answered, because there was too much to do; None otherwise.
        status: the HTTP status, where it is not the usual one.
        codes: of the errors, each once.
        operation: the name of the operation that was run; None if it has none, or if nothing was run.
        executor: which of the two made it, `compiled` or `plain`.
        kept: the same, to be given again without running anything; None if it is not kept.
    """

    body: bytes
    is_request_error: bool = False
    has_errors: bool = False
    retry_after_seconds: int | None = None
    status: int | None = None
    codes: tuple[str, ...] = ()
    operation: str | None = None
    executor: str = field(default=PLAIN, compare=False)
    kept: ReplayableResponse | None = field(default=None, compare=False)

    def with_extensions(self, extensions: dict[str, object]) -> bytes:
        """The response with `extensions` as its last member."""
        return b'%b,"extensions":%b}' % (self.body[:-1], msgspec.json.encode(extensions))


class Executor:
    """Runs operations: by their plans where they have any, else by graphql-core.

    Args:
        max_variable_values: in the variables of a request.
        suggestions: whether an error says what may have been meant.
        sources: where the documents come from that requests do not bring.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        documents: Documents,
        compiler: Compiler,
        *,
        max_variable_values: int,
        suggestions: bool = True,
        sources: Sources | None = None,
    ) -> None:
        self._schema = schema
        self._documents = documents
        self._compiler = compiler
        self._max_variable_values = max_variable_values
        self._suggests = suggestions
        self._sources = sources or PersistedQueries(None)

    async def resolve(self, request: GraphQLRequest) -> GraphQLRequest:
        """The request with its document, wherever that comes from.

        Raises:
            RequestError: there is none, or it is not to be run.
        """
        if request.document_id is not None or self._sources.is_closed:
            return await self._sources.resolve(request)
        return request

    def is_query(self, request: GraphQLRequest) -> bool:
        """Whether a request with a document names a query; anything that is no operation counts as one."""
        try:
            document = self._documents.prepare(request.query or "").document
        except DocumentError as exc:
            if exc.document is None:
                return True
            document = exc.document
        operation = get_operation_ast(document, request.operation_name)
        return operation is None or operation.operation is OperationType.QUERY

    async def execute(self, request: GraphQLRequest, context: object, *, request_id: str) -> GraphQLResponse:
        """Never raises for what a client or the endpoint did wrong: that is in the answer."""
        try:
            request = await self.resolve(request)
            prepared = self._documents.prepare(request.query or "")
            operation = prepared.operation(request.operation_name)
            if request.variables:
                check_variables(request.variables, max_values=self._max_variable_values)
        except DocumentError as exc:
            return _answer(ExecutionResult(errors=exc.errors), request_id=request_id)
        except RequestError as exc:
            error = GraphQLError(str(exc), extensions=exc.extensions)
            return replace(_answer(ExecutionResult(errors=[error]), request_id=request_id), status=exc.status)
        if request.registers:
            await self._sources.register(request)
        name = operation.name.value if operation.name else None
        written = await self._compiler.run(prepared, operation, request.variables, context)
        if written is not None:
            return GraphQLResponse(body=written.body, operation=name, executor=COMPILED, kept=written.kept)
        result = _refused_or(await self._execute_plainly(prepared, request, context))
        return _answer(result, request_id=request_id, operation=name)

    async def _execute_plainly(
        self, prepared: PreparedDocument, request: GraphQLRequest, context: object
    ) -> ExecutionResult:
        result = execute(
            self._schema,
            prepared.document,
            context_value=context,
            variable_values=request.variables,
            operation_name=request.operation_name,
            hide_suggestions=not self._suggests,
        )
        return await result if isawaitable(result) else result


def _refused_or(result: ExecutionResult) -> ExecutionResult:
    """Return the result, or the refusal of the operation as a whole if a root field had too many images."""
    causes = [error.original_error for error in result.errors or ()]
    refusals = [cause for cause in causes if isinstance(cause, TooManyImagesError)]
    if not refusals:
        return result
    # The field that was counted last has counted the others too.
    refusal = max(refusals, key=lambda error: error.number)
    return ExecutionResult(errors=[GraphQLError(str(refusal), extensions=refusal.extensions)])


def _answer(result: ExecutionResult, *, request_id: str, operation: str | None = None) -> GraphQLResponse:
    # In the document's order: graphql-core's is that in which root fields happened to fail.
    errors = sorted(result.errors or [], key=_position)
    response: dict[str, Any] = {}
    # An error without a path was raised before any field ran (GraphQL specification, 7.1.2).
    is_request_error = result.data is None and not all(error.path for error in errors)
    retry_after_seconds = _refused_for(result)
    # Without `data`: an answer with it would have to be a success (GraphQL over HTTP, 6.4.2).
    if not is_request_error and retry_after_seconds is None:
        response["data"] = result.data
    if errors:
        response["errors"] = [report(error, request_id=request_id) for error in errors]
    return GraphQLResponse(
        body=msgspec.json.encode(response),
        is_request_error=is_request_error,
        has_errors=bool(errors),
        retry_after_seconds=retry_after_seconds,
        codes=_codes(response.get("errors", [])),
        operation=operation,
    )


def _refused_for(result: ExecutionResult) -> int | None:
    """Seconds to wait, if there was too much to do for each of the fields; else None."""
    causes = [error.original_error for error in result.errors or []]
    told = [cause.retry_after_seconds for cause in causes if isinstance(cause, OverloadedError)]
    is_answered = any(value is not None for value in (result.data or {}).values())
    return None if is_answered or not told or len(told) < len(causes) else max(filter(None, told))


def _codes(errors: list[GraphQLFormattedError]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(error.get("extensions", {}).get("code", "")) for error in errors))


def _position(error: GraphQLError) -> tuple[int, ...]:
    return tuple(error.positions or ())
