"""GraphQL over HTTP: from an HTTP request to an operation, and from its answer to a response.

Source: the GraphQL over HTTP specification (graphql.github.io/graphql-over-http).
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gallery_gateway.edge import negotiation
from gallery_gateway.edge.guard import bearer_token, check_content_type, read_body, request_id
from gallery_gateway.edge.parameters import parse_body, parse_query
from gallery_gateway.errors import RequestError
from gallery_gateway.execution.executor import Answer, Executor, GraphQLRequest
from gallery_gateway.telemetry.logs import log_event

MakeContext = Callable[[str | None], Awaitable[object]]
"""Makes what the resolvers share, for one operation and the bearer token that came with it."""


class GraphQLEndpoint:
    """The ASGI app behind `/graphql`.

    Args:
        explorer: the page for browsers, or None.
        allow_get: whether queries may come by GET.
        max_body_bytes: of a request.
    """

    def __init__(
        self,
        executor: Executor,
        make_context: MakeContext,
        *,
        explorer: Response | None,
        allow_get: bool,
        max_body_bytes: int,
    ) -> None:
        self._executor = executor
        self._make_context = make_context
        self._explorer = explorer
        self._allow_get = allow_get
        self._max_body_bytes = max_body_bytes

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
        media_type = negotiation.preferred_media_type(request.headers.getlist("accept"))
        if media_type == negotiation.HTML and self._explorer and request.method == "GET":
            return self._explorer
        try:
            _check_acceptable(media_type)
            answer = await self._run(request, identifier)
            status = 400 if _is_refused(answer, media_type) else 200
            response = _response(answer.response, status=status, media_type=media_type)
        except RequestError as exc:
            response = self._refusal(exc, media_type)
        except ClientDisconnect:
            raise
        except Exception as exc:  # noqa: BLE001  # the fence
            log_event("request.bug", level=logging.ERROR, error=exc, request_id=identifier)
            response = _response(_masked(identifier), status=500, media_type=media_type)
        log_event(
            "operation.served",
            method=request.method,
            status=response.status_code,
            bytes=len(response.body),
            seconds=time.perf_counter() - started,
            request_id=identifier,
        )
        return response

    async def _run(self, request: Request, identifier: str) -> Answer:
        token = bearer_token(request.headers)
        operation = await self._parse(request)
        if request.method == "GET" and not self._executor.is_query(operation):
            raise RequestError("Only queries are run by GET.", status=405)
        context = await self._make_context(token)
        return await self._executor.execute(operation, context, request_id=identifier)

    async def _parse(self, request: Request) -> GraphQLRequest:
        if request.method == "POST":
            check_content_type(request.headers)
            return parse_body(await read_body(request, max_bytes=self._max_body_bytes))
        if request.method == "GET" and self._allow_get:
            return parse_query(request.query_params)
        raise RequestError("This method is not allowed here.", status=405)

    def _refusal(self, error: RequestError, media_type: str | None) -> Response:
        body = {"errors": [{"message": str(error), "extensions": error.extensions}]}
        response = _response(body, status=error.status, media_type=media_type)
        if error.status == 405:
            response.headers["allow"] = "GET, POST" if self._allow_get else "POST"
        return response


def _check_acceptable(media_type: str | None) -> None:
    if media_type not in {negotiation.JSON, negotiation.GRAPHQL_RESPONSE}:
        raise RequestError("Accept application/graphql-response+json.", status=406)


def _is_refused(answer: Answer, media_type: str | None) -> bool:
    """Under application/json a well-formed request is always answered with 200."""
    return answer.is_request_error and media_type == negotiation.GRAPHQL_RESPONSE


def _masked(identifier: str) -> dict[str, Any]:
    extensions = {"code": "INTERNAL_SERVER_ERROR", "requestId": identifier}
    message = "Something went wrong in the gateway."
    return {"errors": [{"message": message, "extensions": extensions}]}


def _response(content: dict[str, Any], *, status: int, media_type: str | None) -> Response:
    if media_type != negotiation.GRAPHQL_RESPONSE:
        media_type = negotiation.JSON
    return Response(
        msgspec.json.encode(content),
        status_code=status,
        headers={
            "content-type": f"{media_type}; charset=utf-8",
            "cache-control": "no-store",
            "vary": "Authorization, Accept, Accept-Encoding",
            "x-content-type-options": "nosniff",
        },
    )
