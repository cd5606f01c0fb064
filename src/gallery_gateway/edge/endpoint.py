"""GraphQL over HTTP: from an HTTP request to an operation, and from its answer to a response.

Source: the GraphQL over HTTP specification (graphql.github.io/graphql-over-http).
"""

import asyncio
import logging
from contextlib import suppress
from typing import Protocol

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from gallery_gateway.edge.caching import CacheDirectives, etag_of
from gallery_gateway.edge.explorer import PAGE_HEADERS
from gallery_gateway.edge.headers import bearer_token, with_headers
from gallery_gateway.edge.parameters import parse_body, parse_query
from gallery_gateway.edge.policy import ALLOWED_METHODS, HTML, Guard
from gallery_gateway.edge.recorder import SILENCE, NullRecorder, OperationRecorder
from gallery_gateway.edge.replay import RepeatKey, Replay, Replays, VerbatimReplay
from gallery_gateway.edge.request import MAX_BODY_BYTES, Exchange, check_address, read_body, timeout_seconds
from gallery_gateway.edge.responses import (
    OperationResult,
    Reply,
    answered,
    answered_again,
    given_up,
    masked,
    refused,
    send_reply,
    validated,
)
from gallery_gateway.errors import RequestError
from gallery_gateway.execution.executor import Executor
from gallery_gateway.execution.persisted import GraphQLRequest
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.schema.context import OperationContext
from gallery_gateway.telemetry.logs import log_event
from gallery_gateway.telemetry.telemetry import Telemetry

_PAGE_HEADERS = [(name.encode(), value.encode()) for name, value in PAGE_HEADERS.items()]


class Operations(Protocol):
    """Tells who asks, and makes what the resolvers of one operation share."""

    def caller(self, token: str | None) -> Caller | None: ...

    async def context(
        self, caller: Caller | None, directives: CacheDirectives, *, timeout_seconds: float
    ) -> OperationContext: ...


class GraphQLEndpoint:
    """The ASGI app behind `/graphql`.

    Args:
        page: the page for browsers; None if this path serves none.
        max_body_bytes: of a request.
        telemetry: told of each operation; None if nobody wants to know.
    """

    def __init__(
        self,
        executor: Executor,
        operations: Operations,
        guard: Guard,
        *,
        page: str | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._executor = executor
        self._operations = operations
        self._guard = guard
        self._repeats = Replays()
        self._page = page and page.encode()
        self._max_body_bytes = max_body_bytes
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The fence: whatever goes wrong below has an answer here."""
        exchange = Exchange(scope, self._guard)
        recorder = self._open_recorder(exchange)
        try:
            reply = await self._reply(exchange, receive, recorder)
        except ClientDisconnect:
            # There is nobody left to answer.
            recorder.failed("cancelled")
            recorder.end()
            return
        except asyncio.CancelledError:
            # The grace after SIGTERM is over: the server would say so in plain text.
            reply = given_up(exchange.decision)
            reply.headers.append((b"x-request-id", exchange.identifier))
            recorder.failed("cancelled", "UPSTREAM_UNAVAILABLE")
            recorder.end(status=reply.status, size_bytes=len(reply.body))
            with suppress(OSError):
                # The client may have gone as well.
                await send_reply(send, reply)
            raise
        except RequestError as exc:
            recorder.failed("refused", exc.code)
            reply = refused(exc, exchange.decision, allow=ALLOWED_METHODS)
        except Exception as exc:  # noqa: BLE001  # the fence
            identifier = exchange.identifier.decode()
            log_event("request.bug", level=logging.ERROR, error=exc, request_id=identifier)
            recorder.failed("error", "INTERNAL_SERVER_ERROR")
            reply = masked(identifier, exchange.decision)
        reply.headers.append((b"x-request-id", exchange.identifier))
        try:
            await send_reply(send, reply)
        except OSError:
            # The client has gone (ASGI specification, "Disconnected Client - send exception").
            recorder.unsent()
        except asyncio.CancelledError:
            recorder.unsent()
            raise
        finally:
            recorder.end(status=reply.status, size_bytes=len(reply.body))

    def _open_recorder(self, exchange: Exchange) -> NullRecorder:
        return SILENCE if self._telemetry is None else OperationRecorder(self._telemetry, exchange)

    async def _reply(self, exchange: Exchange, receive: Receive, recorder: NullRecorder) -> Reply:
        decision = exchange.decision
        if decision.refusal:
            raise decision.refusal.error()
        if decision.is_preflight:
            return Reply(204, list(decision.head), b"")
        if decision.media_type == HTML and self._page:
            check_address(exchange)
            return Reply(200, with_headers(_PAGE_HEADERS, decision.head), self._page)
        if exchange.method == "POST":
            announced = exchange.headers.get(b"content-length")
            exchange.body = await read_body(receive, announced, max_bytes=self._max_body_bytes)
        if decision.directives.skips_cache or decision.reports:
            return await self._run(exchange, None, recorder)
        key = self._repeats.key(
            exchange.method, exchange.query_string, exchange.headers.get(b"authorization"), exchange.body
        )
        return self._repeated(exchange, key, recorder) or await self._run(exchange, key, recorder)

    def _repeated(self, exchange: Exchange, key: RepeatKey | None, recorder: NullRecorder) -> Reply | None:
        repeat = self._repeats.get(key)
        if repeat is None:
            return None
        kept = repeat.get()
        if kept is None:
            self._repeats.forget(key)
            return None
        recorder.repeated(repeat.served)
        reply = answered_again(kept, exchange.decision)
        etag = repeat.etag(kept[0]) if exchange.method == "GET" else None
        if etag is not None:
            reply = validated(reply, etag, exchange.headers.get(b"if-none-match"))
        if reply.status == 200:
            self._remember(exchange, repeat, etag)
        return reply

    def _remember(self, exchange: Exchange, repeat: Replay, etag: bytes | None) -> None:
        """Lets the server answer the very same bytes by itself; what is traced comes here each time."""
        if exchange.remember is None or (self._telemetry is not None and self._telemetry.is_tracing):
            return
        head = exchange.decision.head if etag is None else (*exchange.decision.head, (b"etag", etag))
        exchange.remember(
            VerbatimReplay(
                repeat,
                head,
                method=exchange.method,
                given_id=exchange.headers.get(b"x-request-id"),
                telemetry=self._telemetry,
            )
        )

    async def _run(self, exchange: Exchange, key: RepeatKey | None, recorder: NullRecorder) -> Reply:
        check_address(exchange)
        caller = self._operations.caller(bearer_token(exchange.headers.get(b"authorization")))
        outcome = await self._execute(exchange, caller, await self._parse(exchange), recorder)
        if caller:
            self._repeats.put(key, outcome.answer.kept, recorder.served)
        reply = answered(outcome, exchange.decision)
        if outcome.answer.has_errors or exchange.method == "POST":
            return reply
        return validated(reply, etag_of(outcome.body), exchange.headers.get(b"if-none-match"))

    async def _execute(
        self, exchange: Exchange, caller: Caller | None, operation: GraphQLRequest, recorder: NullRecorder
    ) -> OperationResult:
        recorder.asked_by(caller)
        decision = exchange.decision
        context = await self._operations.context(
            caller, decision.directives, timeout_seconds=timeout_seconds(exchange.headers)
        )
        answer = await self._executor.execute(operation, context, request_id=exchange.identifier.decode())
        recorder.answered(answer, context.usage)
        extensions = context.extensions(reports=decision.reports)
        body = answer.with_extensions(extensions) if extensions else answer.body
        return OperationResult(answer, body, context.usage)

    async def _parse(self, exchange: Exchange) -> GraphQLRequest:
        if exchange.method == "POST":
            return parse_body(exchange.body)
        operation = parse_query(exchange.query_string)
        if not self._executor.is_query(operation):
            raise RequestError("Only queries are run by GET.", status=405)
        return operation
