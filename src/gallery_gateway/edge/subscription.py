"""Subscriptions: an operation that is run again whenever its answer may have changed.

Each run is a poll. Its pages say when to poll again: when they stop being fresh. It loads them like a query,
so subscribers share the cache and the calls in flight with each other and with queries.
"""

import asyncio
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

from gallery_gateway.edge.event_stream import Poll
from gallery_gateway.edge.recorder import OperationRecorder
from gallery_gateway.edge.responses import bug_response
from gallery_gateway.errors import BUG_CODE, ERRORS
from gallery_gateway.execution.executor import Executor, GraphQLResponse, Operation
from gallery_gateway.schema.context import OperationContext
from gallery_gateway.telemetry.records import SUBSCRIPTION
from gallery_gateway.upstream.links import without_signatures

# The REST API may have recovered by the next poll. Any other error stays.
_TRANSIENT_CODES = frozenset(row.code for row in ERRORS.values() if row.allows_stale)

# A response without pending images is polled for so long after its last change.
_SETTLED_SECONDS = 60.0

# A page that is not fresh at all, since the cache is off or the REST API forbids it, is loaded once a second:
# at a full second of the clock, so that all subscribers share the calls, but no earlier than this.
_MIN_WAIT_SECONDS = 0.5
# Links are sent again when they expire, and no more often than this.
_MIN_LINKS_SECONDS = 30.0
# After the first failure; doubled after each further one.
_BACKOFF_SECONDS = 1.0
_MAX_BACKOFF_SECONDS = 30.0


@dataclass(slots=True)
class SubscribedOperation:
    """The state of one subscription.

    Args:
        open_context: opens the context of one poll; takes `skips_cache`.
        open_recorder: begins the record of one poll.
        skips_cache: whether the first poll skips the cache.
        reports: whether each event reports its upstream calls.
    """

    executor: Executor
    operation: Operation
    open_context: Callable[..., OperationContext]
    open_recorder: Callable[[], OperationRecorder]
    skips_cache: bool
    reports: bool
    _changed_at: float = 0.0
    # Of the last event; the response itself may be large, and its links may be signed again at each poll.
    _digest: bytes | None = None
    _links_until: float = math.inf
    _has_failed: bool = False
    _has_pending_images: bool = True
    _failures: int = 0

    async def poll(self) -> Poll:
        """Run the operation, and return an event if its response differs from that of the last event."""
        recorder = self.open_recorder()
        context = self.open_context(skips_cache=self.skips_cache)
        self.skips_cache = False
        recorder.record.kind = SUBSCRIPTION
        recorder.record_caller(context.caller)
        calls = recorder.collect_calls() if self.reports else None
        request_id = recorder.record.request_id
        event = None
        try:
            response = await self.executor.run(self.operation, context, request_id=request_id)
            recorder.record_response(response, context.usage)
            if self._is_new(response, context):
                extensions = context.extensions(calls=calls)
                event = response.with_extensions(extensions) if extensions else response.body
        except asyncio.CancelledError:
            recorder.record_failure("cancelled")
            raise
        except Exception as exc:  # noqa: BLE001  # the boundary: a bug gets a masked response
            recorder.record_failure("error", BUG_CODE)
            return Poll(bug_response(exc, request_id, ()).body, None, "bug")
        finally:
            recorder.end(status=200, size_bytes=len(event or b""))
        if not _TRANSIENT_CODES.issuperset(response.codes):
            return Poll(event, None, "refused")
        return self._next_poll(event, self._wait_seconds(response, context))

    def _is_new(self, response: GraphQLResponse, context: OperationContext) -> bool:
        """Return whether the response differs from that of the last event.

        A stale one is no change after a fresh one, nor are new links while those of the last event are valid.
        """
        now, links_seconds = asyncio.get_running_loop().time(), context.links_seconds
        is_failed = _is_failed(response, context)
        if is_failed:
            # An error may say how long to wait, which differs each time.
            body = ",".join(response.codes).encode()
        else:
            body = response.body if math.isinf(links_seconds) else without_signatures(response.body)
        digest = hashlib.blake2b(body, digest_size=16).digest()
        is_same = digest == self._digest
        if is_same and now < self._links_until:
            return False
        if context.usage.stale and self._digest and not self._has_failed:
            return False
        if not is_same:
            self._changed_at = now
        self._digest, self._has_failed = digest, is_failed
        self._links_until = now + max(links_seconds, _MIN_LINKS_SECONDS)
        return True

    def _wait_seconds(self, response: GraphQLResponse, context: OperationContext) -> float:
        """Return how long the answer is fresh, or how long to leave a failing REST API alone."""
        is_failed = _is_failed(response, context)
        if not is_failed:
            self._has_pending_images = context.has_pending_images
        if not is_failed and not context.usage.stale:
            self._failures = 0
            if context.usage.remaining_seconds > 0:
                return context.usage.remaining_seconds
            now = asyncio.get_running_loop().time()
            return math.ceil(now + _MIN_WAIT_SECONDS) - now
        backoff_seconds = min(_MAX_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2.0**self._failures)
        self._failures += 1
        # An expired token ends the subscription, and is not sent.
        return max(backoff_seconds, min(context.retry_after_seconds, context.token_seconds))

    def _next_poll(self, event: bytes | None, wait_seconds: float) -> Poll:
        """Return a poll that waits until there may be news, or the subscription is over."""
        now = asyncio.get_running_loop().time()
        settled_at = math.inf if self._has_pending_images else self._changed_at + _SETTLED_SECONDS
        if now >= settled_at:
            return Poll(event, None, "finished")
        # Past only if there are no newer links.
        renewed_at = self._links_until if self._links_until > now else math.inf
        return Poll(event, min(now + wait_seconds, settled_at, renewed_at) - now)


def _is_failed(response: GraphQLResponse, context: OperationContext) -> bool:
    """Return whether the response has errors and nothing else."""
    return response.has_errors and math.isinf(context.usage.remaining_seconds)
