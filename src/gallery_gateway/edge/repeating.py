"""The server's protocol that answers verbatim repeats by itself, without parsing them.

Source of what is overridden: uvicorn/protocols/http/httptools_impl.py.
"""

from functools import partial
from typing import Any

from gallery_gateway.edge.verbatim import REMEMBER, VERBATIM_REPEATS, Digest, VerbatimRepeat, VerbatimRepeats
from gallery_gateway.edge.wire import WireProtocol


class RepeatingProtocol(WireProtocol):
    """One connection. What the app has had remembered is looked for by the bytes of each whole request."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._repeats: VerbatimRepeats | None = self.app_state.get(VERBATIM_REPEATS)
        # Of the request under way, if it came in one piece, and nothing with it or after it.
        self._digest: Digest | None = None
        self._answered_at = 0.0

    def data_received(self, data: bytes) -> None:
        if self._answer_again(data):
            return
        super().data_received(data)
        if not self._is_alone():
            self._digest = None

    def on_headers_complete(self) -> None:
        if self._digest is not None:
            self.scope["extensions"] = {REMEMBER: {REMEMBER: partial(self._remember, self._digest)}}
        super().on_headers_complete()

    def timeout_keep_alive_handler(self) -> None:
        # A verbatim repeat does not put the timer off each time: that costs as much as its answer.
        remaining_seconds = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if remaining_seconds > 0:
            self._keep_alive_for(remaining_seconds)
        else:
            super().timeout_keep_alive_handler()

    def _keep_alive_for(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _answer_again(self, data: bytes) -> bool:
        """Whether the data is a request that came before, and was answered as it was then."""
        self._digest = None
        if self._repeats is None or not self._is_between_requests() or self.flow.write_paused:
            return False
        digest = self._repeats.digest(data)
        repeat = self._repeats.get(digest)
        response = None if repeat is None else repeat.respond(self.server_state.default_headers)
        if response is None:
            self._digest = digest
            return False
        self._write(response)
        return True

    def _is_between_requests(self) -> bool:
        """Whether the next byte begins a request, and no other is under way."""
        is_answered = self.cycle is None or (self._is_whole() and self.cycle.response_complete)
        return is_answered and not self._received_bytes

    def _is_alone(self) -> bool:
        """Whether what is under way is one whole request, with nothing before or behind it."""
        return self.cycle is not None and self._is_whole() and not self.pipeline

    def _is_whole(self) -> bool:
        """Whether the last request that began has come to its end.

        The scope is another one as soon as one byte of another request has come. Without that, the rest of
        such a request would be looked for, and found for whoever sends the same rest.
        """
        return self.cycle.scope is self.scope and not self.cycle.more_body

    def _write(self, response: tuple[bytes, bytes]) -> None:
        self.transport.writelines(response)
        self.server_state.total_requests += 1
        self._stop_timer()
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._keep_alive_for(self.timeout_keep_alive)

    def _remember(self, digest: Digest, repeat: VerbatimRepeat) -> None:
        if self._repeats is not None and digest is self._digest and self.cycle.keep_alive:
            self._repeats.put(digest, repeat)
