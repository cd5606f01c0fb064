"""GraphQL over HTTP: from an HTTP request to an operation, and from its answer to a response.

Source: the GraphQL over HTTP specification (graphql.github.io/graphql-over-http).
"""

import logging
import time
from collections.abc import Callable
from typing import Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gallery_gateway.edge import negotiation
from gallery_gateway.edge.caching import asks_past_cache
from gallery_gateway.edge.guard import bearer_token, check_content_type, read_body, request_id
from gallery_gateway.edge.parameters import parse_body, parse_query
from gallery_gateway.edge.repeats import Repeats
from gallery_gateway.edge.responses import answered, answered_again, masked, refused, validated
from gallery_gateway.errors import RequestError
from gallery_gateway.execution.executor import Executor, GraphQLRequest
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.schema.context import OperationContext
from gallery_gateway.telemetry.logs import log_event


class Operations(Protocol):
    """Tells who asks, and makes what the resolvers of one operation share."""

    def caller(self, token: str | None) -> Caller | None: ...

    async def context(self, caller: Caller | None, *, skips_cache: bool) -> OperationContext: ...


class GraphQLEndpoint:
    """The ASGI app behind `/graphql`.

    Args:
        explorer: makes the page for browsers; None if there is none here.
        allow_get: whether queries may come by GET.
        max_body_bytes: of a request.
        always_reports: whether every answer has the bill, or only those that ask for it.
    """

    def __init__(
        self,
        executor: Executor,
        operations: Operations,
        *,
        explorer: Callable[[], Response] | None,
        allow_get: bool,
        max_body_bytes: int,
        always_reports: bool = False,
    ) -> None:
        self._executor = executor
        self._operations = operations
        self._repeats = Repeats()
        self._explorer = explorer
        self._allow_get = allow_get
        self._max_body_bytes = max_body_bytes
        self._always_reports = always_reports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        identifier = request_id(request.headers)
        try:
            response = await self._respond(request, identifier)
        except ClientDisconnect:
            # There is nobody left to answer.
            return
        response.headers["x-request-id"] = identifier
        await response(scope, receive, send)

    async def _respond(self, request: Request, identifier: str) -> Response:
        """The fence: whatever goes wrong below has an answer here."""
        started = time.perf_counter()
        is_visit = request.method == "GET" and "query" not in request.query_params
        explorer = self._explorer if is_visit else None
        media_type = negotiation.preferred_media_type(
            tuple(request.headers.getlist("accept")), offers_html=explorer is not None
        )
        if media_type == negotiation.HTML and explorer:
            return explorer()
        try:
            _check_acceptable(media_type)
            response = await self._answer(request, identifier, media_type)
        except RequestError as exc:
            response = refused(exc, media_type)
            if exc.status == 405:
                response.headers["allow"] = "GET, POST" if self._allow_get else "POST"
        except ClientDisconnect:
            raise
        except Exception as exc:  # noqa: BLE001  # the fence
            log_event("request.bug", level=logging.ERROR, error=exc, request_id=identifier)
            response = masked(identifier, media_type)
        log_event(
            "operation.served",
            method=request.method,
            status=response.status_code,
            bytes=len(response.body),
            seconds=time.perf_counter() - started,
            request_id=identifier,
        )
        return response

    async def _answer(self, request: Request, identifier: str, media_type: str | None) -> Response:
        caller = self._operations.caller(bearer_token(request.headers))
        asked = await self._read(request)
        skips_cache = asks_past_cache(request.headers)
        reports = self._always_reports or request.headers.get("x-gateway-report") == "1"
        again = None if skips_cache or reports else self._repeats.get(caller, request.method, asked)
        if again is not None:
            return _validated(request, answered_again(again, media_type))
        operation = self._parse(request, asked)
        context = await self._operations.context(caller, skips_cache=skips_cache)
        answer = await self._executor.execute(operation, context, request_id=identifier)
        self._repeats.put(caller, request.method, asked, answer.kept)
        body = answer.with_extensions({"upstream": context.ledger.report()}) if reports else answer.body
        response = answered(answer, body, context.ledger, media_type)
        return response if answer.has_errors else _validated(request, response)

    async def _read(self, request: Request) -> bytes:
        """What is asked: the body, or the query string."""
        if request.method == "POST":
            check_content_type(request.headers)
            return await read_body(request, max_bytes=self._max_body_bytes)
        if request.method == "GET" and self._allow_get:
            return bytes(request.scope["query_string"])
        raise RequestError("This method is not allowed here.", status=405)

    def _parse(self, request: Request, asked: bytes) -> GraphQLRequest:
        if request.method == "POST":
            return parse_body(asked)
        operation = parse_query(request.query_params)
        if not self._executor.is_query(operation):
            raise RequestError("Only queries are run by GET.", status=405)
        return operation


def _validated(request: Request, response: Response) -> Response:
    return validated(response, request.headers) if request.method == "GET" else response


def _check_acceptable(media_type: str | None) -> None:
    if media_type is None:
        raise RequestError("Accept application/graphql-response+json.", status=406)
