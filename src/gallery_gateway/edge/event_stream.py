"""Responses that are streams of server-sent events, and how many of them a process sends at once.

Source: the HTML standard, section 9.2, and the protocol of the package `graphql-sse` in its distinct
connections mode: the events `next`, whose data is a GraphQL response, and `complete`.
"""

import asyncio
import json
import math
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from starlette.types import Message, Receive, Send

from gallery_gateway.edge.responses import NO_STORE, HTTPResponse, RawHeader
from gallery_gateway.errors import StreamsFullError, TooManyStreamsError
from gallery_gateway.gallery.caller import CallerKey

_COMPLETE = b"event: complete\ndata:\n\n"
# A comment. Proxies close connections on which nothing is sent, many of them after 30 or 60 seconds.
_HEARTBEAT = b":\n\n"
_HEARTBEAT_SECONDS = 12.0

# Browsers reconnect after this time if the connection breaks; all of them at once would be a burst.
_MIN_RETRY_MILLISECONDS, _MAX_RETRY_MILLISECONDS = 1_000, 5_000

# How long clients wait that have been refused a stream.
_RETRY_AFTER_SECONDS = 5

_SHUTTING_DOWN = "The gateway is shutting down; subscribe again."
_MAX_STREAMS = 1_000
_MAX_STREAMS_PER_CALLER = 20
_MAX_SECONDS = 1_800.0

# How long a stream that was stopped waits for a client that does not read.
_LAST_WRITE_SECONDS = 0.3

_WHITESPACE = bytes.maketrans(b"\t\r\n", b"   ")


def _next(body: bytes) -> bytes:
    """Return an event of one line in ASCII, as JSON allows.

    Hive Gateway, for one, decodes each piece that it receives by itself, and would lose a character of which
    it receives one half at a time.
    """
    # Scalars of any JSON stay as the REST API wrote them, maybe in several lines.
    body = body.translate(_WHITESPACE)
    if not body.isascii():
        # Escapes quotes and backslashes as well. To undo that is faster than to escape each character alone.
        escaped = json.dumps(body.decode())[1:-1]
        body = escaped.replace('\\"', '"').replace("\\\\", "\\").encode()
    return b"event: next\ndata: %b\n\n" % body


def _headers(head: tuple[RawHeader, ...]) -> list[RawHeader]:
    # nginx would collect events in a buffer.
    return [*head, NO_STORE, (b"x-accel-buffering", b"no")]


def single_event(body: bytes, head: tuple[RawHeader, ...]) -> HTTPResponse:
    """Return the response to an operation as a stream that has ended already."""
    return HTTPResponse(200, _headers(head), _next(body) + _COMPLETE)


class Poll(NamedTuple):
    """What a stream sends now, and when it polls again.

    Args:
        event: a GraphQL response, or `None` if there is nothing new.
        wait_seconds: until the next poll; `None` if there is none.
        reason: why there is none.
    """

    event: bytes | None
    wait_seconds: float | None
    reason: str = ""


PollSource = Callable[[], Coroutine[Any, Any, Poll]]
"""Finds out what there is to send; called again when `wait_seconds` have passed."""


class EventStreams:
    """The open streams of a process.

    Attributes:
        events: the number of `next` events that were sent.
        ended: the number of streams that have ended, by reason.
    """

    def __init__(
        self, *, max_streams: int = _MAX_STREAMS, max_streams_per_caller: int = _MAX_STREAMS_PER_CALLER
    ) -> None:
        self.events = 0
        self.ended: Counter[str] = Counter()
        self._max_streams = max_streams
        self._max_streams_per_caller = max_streams_per_caller
        self._open: dict[EventStream, CallerKey | None] = {}
        self._callers: Counter[CallerKey | None] = Counter()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._open)

    def start(self) -> None:
        """Allow streams again after `close`: an app may run more than once."""
        self._is_closed = False

    def open(
        self, poll: PollSource, head: tuple[RawHeader, ...], caller_key: CallerKey | None
    ) -> "EventStream":
        """Return a stream, which must be sent at once.

        A stream without a caller ends with its first event.

        Raises:
            TooManyStreamsError: the caller has as many as it may have.
            StreamsFullError: the process has, or is about to end.
        """
        if self._is_closed:
            raise StreamsFullError(_SHUTTING_DOWN, retry_after_seconds=_RETRY_AFTER_SECONDS)
        if self._callers[caller_key] >= self._max_streams_per_caller:
            raise TooManyStreamsError(retry_after_seconds=_RETRY_AFTER_SECONDS)
        if len(self._open) >= self._max_streams:
            raise StreamsFullError(retry_after_seconds=_RETRY_AFTER_SECONDS)
        stream = EventStream(self, poll, head)
        self._open[stream] = caller_key
        self._callers[caller_key] += 1
        return stream

    def close(self) -> None:
        """End all streams with `complete`, and open no more."""
        self._is_closed = True
        for stream in list(self._open):
            stream.stop("shutdown")

    def remove(self, stream: "EventStream", reason: str) -> None:
        caller_key = self._open.pop(stream)
        self._callers[caller_key] -= 1
        if not self._callers[caller_key]:
            del self._callers[caller_key]
        self.ended[reason] += 1


class EventStream:
    """One response. It polls, sends what is new, and waits, until there is no next poll.

    While the client does not read, it does not poll: the client gets the latest state once it goes on.

    Attributes:
        events: the number of `next` events that were sent.
        reason: why it ended; `cancelled` until that is known.
    """

    def __init__(self, streams: EventStreams, poll: PollSource, head: tuple[RawHeader, ...]) -> None:
        self.events = 0
        self.reason = "cancelled"
        self._streams = streams
        self._poll_source = poll
        self._head = head
        self._loop = asyncio.get_running_loop()
        self._stopped: asyncio.Future[str] = self._loop.create_future()
        self._heartbeat_at = self._loop.time() + _HEARTBEAT_SECONDS
        self._writing: asyncio.Task[None] | None = None

    def stop(self, reason: str) -> None:
        """End the stream as soon as possible."""
        if not self._stopped.done():
            self._stopped.set_result(reason)
        if reason != "disconnected" and self._writing is not None:
            # The client does not read, and would keep the stream open.
            self._writing.cancel()

    async def send(self, receive: Receive, send: Send, *, request_id: bytes, is_head: bool = False) -> None:
        """Send the response; `is_head` if the client wants its head only."""
        watching = asyncio.create_task(self._watch(receive))
        expiring = self._loop.call_later(_MAX_SECONDS, self.stop, "time_limit")
        try:
            headers = [*_headers(self._head), (b"x-request-id", request_id)]
            await self._send(send, {"type": "http.response.start", "status": 200, "headers": headers})
            if is_head:
                await self._write(send, b"", more_body=False)
                self.reason = "finished"
            else:
                await self._send_body(send)
        except OSError:
            # The client closed the connection (ASGI, "Disconnected Client - send exception").
            self.reason = "disconnected"
        finally:
            if self.reason == "cancelled" and self._stopped.done():
                self.reason = self._stopped.result()
            watching.cancel()
            expiring.cancel()
            self._streams.remove(self, self.reason)

    async def _send_body(self, send: Send) -> None:
        retry_milliseconds = random.randint(_MIN_RETRY_MILLISECONDS, _MAX_RETRY_MILLISECONDS)  # noqa: S311  # no secret
        await self._write(send, b"retry: %d\n\n" % retry_milliseconds)
        self.reason = await self._send_events(send)
        if self.reason != "disconnected":
            await self._write(send, _COMPLETE, more_body=False)

    async def _send_events(self, send: Send) -> str:
        """Return why the stream ends."""
        while True:
            poll = await self._poll(send)
            if poll is None:
                return self._stopped.result()
            if poll.event is not None:
                self.events += 1
                self._streams.events += 1
                await self._write(send, _next(poll.event))
            if poll.wait_seconds is None:
                return poll.reason
            if not await self._wait(send, self._loop.time() + poll.wait_seconds):
                return self._stopped.result()

    async def _poll(self, send: Send) -> Poll | None:
        """Return the result of a poll, or `None` if the stream was stopped."""
        polling = asyncio.create_task(self._poll_source())
        try:
            is_done = await self._wait(send, math.inf, polling)
            return await polling if is_done else None
        finally:
            polling.cancel()

    async def _wait(self, send: Send, until: float, *tasks: asyncio.Task[Poll]) -> bool:
        """Send heartbeats until a time, or until a task ends; return False if the stream was stopped."""
        while not self._stopped.done():
            now = self._loop.time()
            if now >= until or any(task.done() for task in tasks):
                return True
            if now >= self._heartbeat_at:
                await self._write(send, _HEARTBEAT)
            else:
                timeout = min(until, self._heartbeat_at) - now
                awaited: list[asyncio.Future[Any]] = [self._stopped, *tasks]
                await asyncio.wait(awaited, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        return False

    async def _write(self, send: Send, text: bytes, *, more_body: bool = True) -> None:
        await self._send(send, {"type": "http.response.body", "body": text, "more_body": more_body})
        self._heartbeat_at = self._loop.time() + _HEARTBEAT_SECONDS

    async def _send(self, send: Send, message: Message) -> None:
        """Send a message, and give up a client that does not read once the stream was stopped."""
        self._writing = writing = asyncio.current_task()
        limit = None
        if writing is not None and self._stopped.done():
            limit = self._loop.call_later(_LAST_WRITE_SECONDS, writing.cancel)
        try:
            await send(message)
        finally:
            self._writing = None
            if limit is not None:
                limit.cancel()

    async def _watch(self, receive: Receive) -> None:
        """Stop the stream when its client leaves.

        Some middleware gives the request again whenever it is asked. Then only `send` notices the end.
        """
        requests = 0
        while requests < 2:
            try:
                message = await receive()
            except Exception:  # noqa: BLE001  # the boundary: what a server or middleware raises for a closed connection
                message = {"type": "http.disconnect"}
            if message["type"] == "http.disconnect":
                self.stop("disconnected")
                return
            requests += not message.get("more_body", False)
