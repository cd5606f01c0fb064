"""Runs one operation, and reports its errors."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from inspect import isawaitable
from typing import Any, NamedTuple

import msgspec
from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLFormattedError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    execute,
    get_operation_ast,
)

from gallery_gateway.errors import (
    BUG_CODE,
    BUG_MESSAGE,
    BadUserInputError,
    GatewayError,
    NoEventStreamError,
    OverloadedError,
    RequestError,
    UpstreamContractError,
)
from gallery_gateway.execution.compiler import Compiler
from gallery_gateway.execution.documents import Documents, PreparedDocument
from gallery_gateway.execution.limits import DocumentError, TooManyImagesError, with_code
from gallery_gateway.execution.persisted import DocumentSource, GraphQLRequest, PersistedQueries
from gallery_gateway.telemetry.logs import log_event
from gallery_gateway.telemetry.records import COMPILED, PLAIN, PLAN

# graphql-core 3.3 raises a TypeError with this message for a null in a non-null field: the only sign of it.
_NULL_VIOLATION = "Cannot return null for non-nullable field"
# So begins its message about a value that does not fit an argument of a field or directive.
_ARGUMENT_MISFIT = re.compile(r"Argument '(\w+)' ")

# Items of lists and members of objects included. The largest request body holds over 100,000 values, and
# graphql-core needs several microseconds to coerce each.
_MAX_VARIABLE_VALUES = 10_000
# `dict | list` would be made again for each value.
_CONTAINERS = (dict, list)


@dataclass(slots=True, kw_only=True)
class GraphQLResponse:
    """A GraphQL response as JSON.

    Args:
        is_request_error: the operation was not run, and the response has no `data`.
        is_mutation: the document was refused, and its operation is a mutation.
        has_errors: the response has `errors`.
        retry_after_seconds: every field was refused because the gateway is overloaded; else `None`.
        status: an HTTP status other than the usual one.
        codes: distinct codes of the errors.
        operation: name of the operation that was run, if it has one.
        executor: `compiled` or `plain`; `plan` if the operation was planned and not run.
        cached: the `CachedResponse` that repeats the response without running anything, or `None`.
    """

    body: bytes
    is_request_error: bool = False
    is_mutation: bool = False
    has_errors: bool = False
    retry_after_seconds: int | None = None
    status: int | None = None
    codes: tuple[str, ...] = ()
    operation: str | None = None
    executor: str = field(default=PLAIN, compare=False)
    cached: Any = field(default=None, compare=False)

    def with_extensions(self, extensions: dict[str, object]) -> bytes:
        """Return the body with `extensions` as its last member."""
        return b'%b,"extensions":%b}' % (self.body[:-1], msgspec.json.encode(extensions))


PlanOperation = Callable[..., Any]
"""Plans an operation of the schema: see `plan_operation` in `schema/planner.py`."""


class Operation(NamedTuple):
    """An operation of a prepared document, and the request that asked for it."""

    request: GraphQLRequest
    prepared: PreparedDocument
    definition: OperationDefinitionNode
    name: str | None

    @property
    def is_mutation(self) -> bool:
        return self.definition.operation is OperationType.MUTATION

    @property
    def is_subscription(self) -> bool:
        return self.definition.operation is OperationType.SUBSCRIPTION

    def reduced(self) -> "Operation":
        """Return the operation with only what a run needs of its request, which may be much larger."""
        sent = self.request.variables or {}
        names = [each.variable.name.value for each in self.definition.variable_definitions or ()]
        variables = {name: sent[name] for name in names if name in sent}
        request = GraphQLRequest(operation_name=self.request.operation_name, variables=variables)
        return self._replace(request=request)


class Executor:
    """Runs operations: by compiled plans if possible, else by graphql-core.

    Args:
        source: finds documents that requests refer to by an id.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        documents: Documents,
        compiler: Compiler,
        *,
        source: DocumentSource | None = None,
    ) -> None:
        self._schema = schema
        self._documents = documents
        self._compiler = compiler
        self._source = source or PersistedQueries()

    def prepare(self, request: GraphQLRequest, *, request_id: str) -> Operation | GraphQLResponse:
        """Return the operation that a request names, or the response that says why it cannot be run."""
        try:
            return self._prepare(request)
        except (DocumentError, RequestError) as exc:
            refusal = _refuse(exc, request_id=request_id)
            document = exc.document if isinstance(exc, DocumentError) else None
            refused = get_operation_ast(document, request.operation_name) if document else None
            refusal.is_mutation = refused is not None and refused.operation is OperationType.MUTATION
            return refusal

    async def execute(
        self, operation: Operation | GraphQLResponse, context: object, *, request_id: str
    ) -> GraphQLResponse:
        """Run a query that `prepare` returned; a response that it returned instead stays the response."""
        if isinstance(operation, GraphQLResponse):
            return operation
        if operation.is_subscription:
            return _refuse(NoEventStreamError(), request_id=request_id)
        return await self.run(operation, context, request_id=request_id)

    async def run(self, operation: Operation, context: object, *, request_id: str) -> GraphQLResponse:
        """Run a query, or a subscription for its current response."""
        request, prepared, definition, name = operation
        compiled = await self._compiler.run(prepared, definition, request.variables, context)
        if compiled is not None:
            body, cached = compiled
            return GraphQLResponse(body=body, operation=name, executor=COMPILED, cached=cached)
        result = await self._execute_plainly(prepared, request, context)
        return _respond(result, request_id=request_id, operation=name)

    def plan(
        self, operation: Operation | GraphQLResponse, plan: PlanOperation, *, request_id: str
    ) -> GraphQLResponse:
        """Respond with what `plan` says about a prepared operation instead of running it."""
        if isinstance(operation, GraphQLResponse):
            return operation
        planned = plan(
            self._schema,
            operation.prepared.document,
            operation.definition,
            operation.request.variables,
            hides_suggestions=not self._documents.suggests,
        )
        result = ExecutionResult(errors=planned.errors)
        response = _respond(result, request_id=request_id, operation=operation.name)
        if response.is_request_error:
            return response
        body = response.with_extensions({"plan": planned.calls.as_json()})
        return replace(response, body=body, executor=PLAN)

    def _prepare(self, request: GraphQLRequest) -> Operation:
        """Return the operation that a request names.

        Raises:
            DocumentError: the document or the number of variables is refused.
            RequestError: there is no document, or it must not be run.
        """
        # Without an id, only trusted documents are looked up.
        if request.document_id is not None or not isinstance(self._source, PersistedQueries):
            request = self._source.resolve(request)
        prepared = self._documents.prepare(request.query or "")
        operation = prepared.operation(request.operation_name)
        if request.variables:
            _check_variables(request.variables)
        if request.registers:
            self._source.register(request)
        return Operation(request, prepared, operation, operation.name.value if operation.name else None)

    async def _execute_plainly(
        self, prepared: PreparedDocument, request: GraphQLRequest, context: object
    ) -> ExecutionResult:
        running = execute(
            self._schema,
            prepared.document,
            context_value=context,
            variable_values=request.variables,
            operation_name=request.operation_name,
            hide_suggestions=not self._documents.suggests,
        )
        result = await running if isawaitable(running) else running
        causes = [error.original_error for error in result.errors or ()]
        refusals = [cause for cause in causes if isinstance(cause, TooManyImagesError)]
        if not refusals:
            return result
        # The root field that was counted last has the total.
        refusal = max(refusals, key=lambda error: error.number)
        return ExecutionResult(errors=[GraphQLError(str(refusal), extensions=refusal.extensions)])


def _refuse(error: DocumentError | RequestError, *, request_id: str) -> GraphQLResponse:
    if isinstance(error, DocumentError):
        return _respond(ExecutionResult(errors=error.errors), request_id=request_id)
    refused = ExecutionResult(errors=[GraphQLError(str(error), extensions=error.extensions)])
    return replace(_respond(refused, request_id=request_id), status=error.status)


def _check_variables(variables: Mapping[str, Any]) -> None:
    """Raises: DocumentError: there are too many values."""
    number = len(variables)
    stack = [value for value in variables.values() if isinstance(value, _CONTAINERS)]
    while stack and number <= _MAX_VARIABLE_VALUES:
        container = stack.pop()
        number += len(container)
        inner = container.values() if isinstance(container, dict) else container
        stack.extend(value for value in inner if isinstance(value, _CONTAINERS))
    if number > _MAX_VARIABLE_VALUES:
        message = f"The variables hold more than {_MAX_VARIABLE_VALUES} values. Send fewer at once."
        raise DocumentError(with_code(GraphQLError(message), BadUserInputError.code))


def _respond(result: ExecutionResult, *, request_id: str, operation: str | None = None) -> GraphQLResponse:
    # graphql-core lists errors in the order in which fields happened to fail; the document's order is stable.
    errors = sorted(result.errors or [], key=lambda error: tuple(error.positions or ()))
    response: dict[str, Any] = {}
    # An error without a path was raised before any field ran (GraphQL specification, section 7.1.2).
    is_request_error = result.data is None and not all(error.path for error in errors)
    retry_after_seconds = _retry_after_seconds(result)
    # A response with `data` would have to be a success (GraphQL over HTTP, section 6.4.2).
    if not is_request_error and retry_after_seconds is None:
        response["data"] = result.data
    formatted = [_report(error, request_id=request_id) for error in errors]
    if formatted:
        response["errors"] = formatted
    codes = (str(error.get("extensions", {}).get("code", "")) for error in formatted)
    return GraphQLResponse(
        body=msgspec.json.encode(response),
        is_request_error=is_request_error,
        has_errors=bool(formatted),
        retry_after_seconds=retry_after_seconds,
        codes=tuple(dict.fromkeys(codes)),
        operation=operation,
    )


def _retry_after_seconds(result: ExecutionResult) -> int | None:
    """Return how long to wait if every field was refused because of overload; else `None`."""
    causes = [error.original_error for error in result.errors or []]
    seconds = [cause.retry_after_seconds for cause in causes if isinstance(cause, OverloadedError)]
    has_value = any(value is not None for value in (result.data or {}).values())
    return (
        None if has_value or not seconds or len(seconds) < len(causes) else max(each or 1 for each in seconds)
    )


def _report(error: GraphQLError, *, request_id: str) -> GraphQLFormattedError:
    """Return the error for the client; a bug is masked and logged."""
    cause = error.original_error
    formatted = error.formatted
    if isinstance(cause, GatewayError):
        return formatted
    misfit = _ARGUMENT_MISFIT.match(error.message) if isinstance(cause or error, GraphQLError) else None
    if misfit or not error.path:
        # graphql-core writes null as in Python, and gives errors of arguments and variables no code.
        formatted["message"] = error.message.replace(" not to be None.", " not to be null.")
        argument = {"argument": misfit[1]} if misfit else {}
        formatted["extensions"] = {"code": BadUserInputError.code, **argument, **(error.extensions or {})}
    elif isinstance(cause, GraphQLError) or (
        isinstance(cause, TypeError) and str(cause).startswith(_NULL_VIOLATION)
    ):
        # graphql-core could not fit an upstream value into the type of its field.
        formatted["message"] = "The gallery API sent a value that does not fit this field."
        formatted["extensions"] = {"code": UpstreamContractError.code}
    else:
        formatted["message"] = BUG_MESSAGE
        formatted["extensions"] = {"code": BUG_CODE, "requestId": request_id}
        log_event("operation.bug", level=logging.ERROR, error=cause or error, request_id=request_id)
    return formatted
