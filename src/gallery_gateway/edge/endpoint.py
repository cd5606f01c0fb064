"""GraphQL over HTTP: an HTTP request becomes an operation, and its result an HTTP response.

Source: the GraphQL over HTTP specification (graphql.github.io/graphql-over-http).
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from functools import partial

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from gallery_gateway.edge.app import IS_HEAD
from gallery_gateway.edge.event_stream import EventStream, EventStreams, single_event
from gallery_gateway.edge.explorer import PAGE_HEADERS
from gallery_gateway.edge.policy import ALLOWED_METHODS, Decision, Policy, RequestedReport
from gallery_gateway.edge.recorder import OperationRecorder
from gallery_gateway.edge.replay import REPLAY_KEY, CachedBody, Replay, ReplayKey, ReplayStore, fill_replay
from gallery_gateway.edge.request import HTTPRequest
from gallery_gateway.edge.responses import (
    NO_STORE,
    HTTPResponse,
    RawHeader,
    bug_response,
    error_response,
    etag_of,
    freshness_headers,
    send_response,
    unless_known,
    with_headers,
)
from gallery_gateway.edge.subscription import SubscribedOperation
from gallery_gateway.errors import BUG_CODE, RequestError, UpstreamUnavailableError
from gallery_gateway.execution.executor import Executor, GraphQLResponse, Operation
from gallery_gateway.gallery.usage import OperationUsage
from gallery_gateway.schema.context import OperationContext, Operations
from gallery_gateway.schema.planner import plan_operation
from gallery_gateway.telemetry.logs import log_event
from gallery_gateway.telemetry.telemetry import Telemetry

_PAGE_HEADERS = [(name.encode(), value.encode()) for name, value in PAGE_HEADERS.items()]


@dataclass(frozen=True, slots=True)
class GraphQLEndpoint:
    """The ASGI app at `/graphql`.

    Args:
        page: the page for browsers; None if this path serves none.
        telemetry: records each request; None if telemetry is off.
    """

    executor: Executor
    operations: Operations
    policy: Policy
    replays: ReplayStore
    streams: EventStreams
    _: KW_ONLY
    page: str | None = None
    telemetry: Telemetry | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to every request, whatever fails below."""
        request = HTTPRequest(scope)
        decision = self.policy.decide(request)
        recorder = OperationRecorder(self.telemetry, request)
        try:
            response = await self._respond(request, decision, receive, recorder)
        except ClientDisconnect:
            recorder.record_failure("cancelled")
            recorder.end()
            return
        except asyncio.CancelledError:
            # The grace period after SIGTERM is over; the server itself would respond in plain text.
            error = UpstreamUnavailableError("The gateway is shutting down.")
            recorder.record_failure("cancelled", error.code)
            response = error_response(503, str(error), error.extensions, decision.head)
            recorder.end(status=response.status, size_bytes=len(response.body))
            with suppress(OSError):
                await send_response(scope, send, response, request_id=request.id)
            raise
        except Exception as exc:  # noqa: BLE001  # the boundary: a bug gets a masked response
            response = _failed(exc, request, decision, recorder)
        if isinstance(response, EventStream):
            await _stream(response, request, receive, send, recorder)
            return
        try:
            await send_response(scope, send, response, request_id=request.id)
        except OSError:
            # The client closed the connection (ASGI, "Disconnected Client - send exception").
            recorder.record_disconnect()
        except asyncio.CancelledError:
            recorder.record_disconnect()
            raise
        finally:
            recorder.end(status=response.status, size_bytes=len(response.body))

    async def _respond(
        self, request: HTTPRequest, decision: Decision, receive: Receive, recorder: OperationRecorder
    ) -> HTTPResponse | EventStream:
        if decision.rejection:
            # A new error each time: an exception that is raised again collects tracebacks.
            raise RequestError(decision.rejection.message, status=decision.rejection.status)
        if decision.is_preflight:
            return HTTPResponse(204, list(decision.head), b"")
        if decision.shows_page:
            return self._page(request, decision)
        return await self._respond_to_operation(request, decision, receive, recorder)

    async def _respond_to_operation(
        self, request: HTTPRequest, decision: Decision, receive: Receive, recorder: OperationRecorder
    ) -> HTTPResponse | EventStream:
        if request.method == "POST":
            await request.read_body(receive)
        if decision.prefers_events:
            response = await self._execute(request, decision, None, recorder)
            if isinstance(response, EventStream) or response.status != 200:
                return response
            return single_event(response.body, decision.event_head or ())
        if decision.skips_cache or decision.report:
            return await self._execute(request, decision, None, recorder)
        key: ReplayKey | None = request.scope.get("state", {}).get(REPLAY_KEY)
        if key is None:
            key = self.replays.key(request.method, request.target, request.headers, request.body)
            found = self.replays.find(key)
            if found is not None:
                return _replay(request, recorder, *found)
        return await self._execute(request, decision, key, recorder)

    def _page(self, request: HTTPRequest, decision: Decision) -> HTTPResponse:
        request.check_url()
        path, mark, query = request.target.partition(b"?")
        if path.endswith(b"/"):
            # The files of the page have relative addresses.
            location = b"location", b"../%b%b%b" % (path.split(b"/")[-2], mark, query)
            return HTTPResponse(308, [*decision.head, location], b"")
        return HTTPResponse(200, with_headers(_PAGE_HEADERS, decision.head), (self.page or "").encode())

    async def _execute(
        self, request: HTTPRequest, decision: Decision, key: ReplayKey | None, recorder: OperationRecorder
    ) -> HTTPResponse | EventStream:
        open_context = partial(
            self.operations.open,
            request.token(),
            if_error_seconds=decision.if_error_seconds,
            timeout_seconds=request.timeout_seconds,
        )
        operation = self.executor.prepare(request.operation(), request_id=request.id.decode())
        if request.method == "GET" and operation.is_mutation:
            raise RequestError("A GET can run queries and subscriptions only.", status=405)
        is_stream = decision.event_head is not None and decision.report is not RequestedReport.PLAN
        if is_stream and isinstance(operation, Operation) and operation.is_subscription:
            return self._subscribe(operation, open_context, request, decision, recorder)
        context = open_context(skips_cache=decision.skips_cache)
        recorder.record_caller(context.caller)
        if decision.report is RequestedReport.PLAN:
            return self._plan(operation, context, request, decision, recorder)
        calls = recorder.collect_calls() if decision.report else None
        result = await self.executor.execute(operation, context, request_id=request.id.decode())
        recorder.record_response(result, context.usage)
        extensions = context.extensions(calls=calls)
        body = result.with_extensions(extensions) if extensions else result.body
        head = decision.head
        if not result.has_errors and request.method == "GET":
            head = (*head, (b"etag", etag_of(result.body)))
        if key is not None and result.cached is not None and context.caller is not None:
            self.replays.put(key, Replay(result.cached, recorder.record, head))
        response = _operation_response(result, body, head, context.usage, decision)
        if decision.is_report_requested or decision.prefers_events:
            # What the client has holds no report or that of another request, or is no stream.
            return response
        return unless_known(response, request.headers.get(b"if-none-match"))

    def _subscribe(
        self,
        operation: Operation,
        open_context: Callable[..., OperationContext],
        request: HTTPRequest,
        decision: Decision,
        recorder: OperationRecorder,
    ) -> EventStream:
        """Raises: TooManyStreamsError, StreamsFullError."""
        caller = self.operations.caller_of(request.token())
        recorder.record_caller(caller)
        # It has been read, and the stream lasts.
        request.body = b""
        subscription = SubscribedOperation(
            self.executor,
            operation.reduced(),
            open_context=partial(open_context, is_poll=True),
            open_recorder=lambda: OperationRecorder(self.telemetry, request),
            skips_cache=decision.skips_cache,
            reports=decision.report is not None,
        )
        return self.streams.open(subscription.poll, decision.event_head or (), caller.key if caller else None)

    def _plan(
        self,
        operation: Operation | GraphQLResponse,
        context: OperationContext,
        request: HTTPRequest,
        decision: Decision,
        recorder: OperationRecorder,
    ) -> HTTPResponse:
        """Respond with the upstream calls that the operation would make."""
        key_of = context.loader.key_of() if context.loader else None
        plan = partial(plan_operation, budget=context.usage.budget, key_of=key_of)
        result = self.executor.plan(operation, plan, request_id=request.id.decode())
        recorder.record_response(result, context.usage)
        return _operation_response(result, result.body, decision.head, context.usage, decision)


def _failed(
    error: Exception, request: HTTPRequest, decision: Decision, recorder: OperationRecorder
) -> HTTPResponse:
    """Return the response to a request that was refused, or that met a bug."""
    if not isinstance(error, RequestError):
        recorder.record_failure("error", BUG_CODE)
        return bug_response(error, request.id.decode(), decision.head)
    recorder.record_failure("refused", error.code)
    response = error_response(error.status, str(error), error.extensions, decision.head)
    if error.status == 405:
        response.headers.append((b"allow", ALLOWED_METHODS))
    if error.retry_after_seconds is not None:
        response.headers.append((b"retry-after", b"%d" % error.retry_after_seconds))
    return response


async def _stream(
    stream: EventStream, request: HTTPRequest, receive: Receive, send: Send, recorder: OperationRecorder
) -> None:
    """Send a stream; each of its polls is recorded by itself."""
    opened_at = time.monotonic()
    log = partial(log_event, request_id=recorder.record.request_id, caller=recorder.record.caller)
    log("subscription.opened")
    try:
        await stream.send(receive, send, request_id=request.id, is_head=IS_HEAD in request.scope)
    finally:
        seconds = round(time.monotonic() - opened_at, 3)
        log("subscription.ended", reason=stream.reason, events=stream.events, seconds=seconds)


def _replay(
    request: HTTPRequest, recorder: OperationRecorder, replay: Replay, body: CachedBody
) -> HTTPResponse:
    fill_replay(recorder.record, replay.record)
    text, remaining_seconds, age_seconds = body
    caching = freshness_headers(remaining_seconds=remaining_seconds, age_seconds=age_seconds)
    response = HTTPResponse(200, [*replay.headers, *caching], text)
    return unless_known(response, request.headers.get(b"if-none-match"))


def _operation_response(
    result: GraphQLResponse,
    body: bytes,
    head: tuple[RawHeader, ...],
    usage: OperationUsage,
    decision: Decision,
) -> HTTPResponse:
    """Return the HTTP response to an operation.

    A response with errors is not stored, nor one with a plan or a report that the request asked for.
    """
    if result.retry_after_seconds is not None:
        # A well-formed request without an answer: clients and proxies understand a 503.
        retry_after = b"retry-after", b"%d" % result.retry_after_seconds
        return HTTPResponse(503, [*head, NO_STORE, retry_after], body)
    if result.has_errors or decision.is_report_requested:
        status = decision.request_error_status if result.is_request_error else 200
        return HTTPResponse(result.status or status, [*head, NO_STORE], body)
    caching = freshness_headers(remaining_seconds=usage.remaining_seconds, age_seconds=usage.age_seconds)
    return HTTPResponse(200, [*head, *caching], body)
