"""Polite calls of the REST API: a budget, one at a time, pauses after 429, and an end in bounded time.

The calls go through the gateway's own connections, with its own settings. `Session.get` remembers responses,
so that equal requests of several probes spend one call.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec

from gallery_gateway.app.gallery import call_options, create_pool
from gallery_gateway.errors import GatewayError
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.settings import Settings
from gallery_gateway.upstream.client import common_headers, read_body
from gallery_gateway.upstream.contract import PATH
from gallery_gateway.upstream.refusals import status_error, transport_error
from gallery_gateway.upstream.resilience import PRODUCTION_RULES
from gallery_gateway.upstream.transport import Connection, RawHeader, RawResponse, Timeouts

# Consecutive calls without a response of the API, after which it is left alone.
_MAX_FAILURES = 3

# The longest pause that the API may request.
_MAX_PAUSE_SECONDS = 60.0

_SECRET = secrets.token_bytes(32)

Parameters = Mapping[str, int | str | Sequence[str]]
Made = TypeVar("Made")


class NotSeenError(Exception):
    """A probe cannot answer its question; the message says why, without anything that the API sent."""


class SessionEndedError(httpx.TransportError):
    """No more calls are made; raised by the transport of a session."""


class Token(StrEnum):
    """Whose token a call carries."""

    OURS = "ours"
    OTHER = "other"
    WRONG = "wrong"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Response:
    """A response of the REST API.

    Args:
        headers: with names in any case; several of one name as `headers.get_list(name)`.
        body: inflated.
        received_bytes: size of the body as it was received.
        json: the parsed body; `None` if it is not JSON.
        seconds: from the first byte sent to the last one received.
        received_at: by the clock of this machine, in seconds since 1970.
    """

    status: int
    headers: httpx.Headers
    body: bytes
    received_bytes: int
    json: Any
    seconds: float
    received_at: float = field(default_factory=time.time)

    @property
    def kind(self) -> str:
        """What the body is, for evidence: `a JSON object`, `HTML`, `text`, `no body` and so on."""
        if not self.body.strip():
            return "no body"
        if self.json is not None:
            names = {"dict": "a JSON object", "list": "a JSON list"}
            return names.get(type(self.json).__name__, "a JSON scalar")
        return "HTML" if self.body.lstrip()[:1] == b"<" else "text"

    @property
    def seen(self) -> str:
        """Status and kind of body, for evidence."""
        return f"{self.status} with {self.kind}"

    @property
    def error(self) -> GatewayError | None:
        """What the gateway makes of this response; `None` for a 200."""
        if self.status == 200:
            return None
        return status_error(httpx.Response(self.status, headers=self.headers), self.body)


class Session:
    """Calls of `GET /gallery/by-project`.

    Args:
        settings: those of the gateway.
        tokens: those that there are, of `OURS` and `OTHER`.
        max_calls: all calls together, repeats after a 429 included.
        max_seconds: from the first call to the last.
        pause_seconds: after a 429 without `Retry-After`; doubled after each one that follows.
        with_links: whether links may be opened.

    `calls` counts calls. `responses` holds what `get` received, in the order of the calls, for probes that
    measure, and `rate_limited` for each 429 whether it had a readable `Retry-After`. `has_page` says
    whether the access token got a page, `has_projects` whether one with projects, and `ended` why no more
    calls are made; it is `None` while they are.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        tokens: Mapping[Token, str],
        max_calls: int = 60,
        max_seconds: float = 300.0,
        pause_seconds: float = 1.0,
        with_links: bool = False,
    ) -> None:
        self.settings = settings
        self.with_links = with_links
        self.calls = 0
        self.responses: list[Response] = []
        self.rate_limited: list[bool] = []
        self.has_page = self.has_projects = False
        self.ended: str | None = None
        self._options = call_options(settings, PRODUCTION_RULES)
        self._tokens = tokens
        self._max_calls = max_calls
        self._max_seconds = max_seconds
        self._pause_seconds = pause_seconds
        self._pool = create_pool(settings)
        self._memo: dict[tuple[object, ...], Response] = {}
        self._made: dict[object, Any] = {}
        self._lock = asyncio.Lock()
        self._refused: set[Token] = set()
        self._failures = 0
        self._until: float | None = None

    async def aclose(self) -> None:
        await self._pool.aclose()

    @property
    def opened(self) -> int:
        """How many connections were opened."""
        return self._pool.opened

    def has(self, token: Token) -> bool:
        return token in self._tokens

    async def connect(self) -> Connection:
        """Return a connection as the gateway opens them; the caller aborts it.

        Raises:
            httpx.TransportError: there is no connection.
            NotSeenError: no more calls are made.
        """
        self.check()
        return await self._pool.connect(self._options["timeouts"])

    def authorization(self, token: Token) -> str:
        """Return the header of a caller.

        Raises:
            NotSeenError: there is no such token.
        """
        caller = self._caller(token)
        return "" if caller is None else caller.authorization

    async def once(self, make: "Callable[[Session], Awaitable[Made]]") -> Made:
        """Return what `make` returned the first time, or raise the same `NotSeenError`; probes share it."""
        if make not in self._made:
            try:
                self._made[make] = await make(self)
            except NotSeenError as exc:
                self._made[make] = exc
        made: Made | NotSeenError = self._made[make]
        if isinstance(made, NotSeenError):
            raise made
        return made

    async def get(
        self,
        parameters: Parameters | None = None,
        *,
        token: Token = Token.OURS,
        etag: str | None = None,
        encoding: str | None = None,
        time: int = 1,
    ) -> Response:
        """Return the response to a request, whatever its status; equal requests spend one call.

        Args:
            parameters: of the query; a list repeats its key.
            token: whose token is sent.
            etag: sent as `If-None-Match`.
            encoding: sent as `Accept-Encoding`, instead of that of the settings.
            time: 2 repeats an equal request.

        Raises:
            NotSeenError: there is no such token, it is refused, no response came, or no more calls are made.
        """
        query = urlencode(sorted((parameters or {}).items()), doseq=True)
        accepted = encoding or self._options["accept_encoding"]
        key = query, token, etag, accepted, time
        if key not in self._memo:
            self._memo[key] = await self._fetch(query, token, etag, accepted)
        return self._memo[key]

    async def page(
        self, parameters: Parameters | None = None, *, token: Token = Token.OURS, time: int = 1
    ) -> Any:
        """Return the parsed body of a 200, a JSON object.

        Raises:
            NotSeenError: as `get`, or the response is something else.
        """
        response = await self.get(parameters, token=token, time=time)
        if response.status != 200 or not isinstance(response.json, dict):
            raise NotSeenError(f"the API answers {response.seen}")
        return response.json

    async def _fetch(self, query: str, token: Token, etag: str | None, encoding: str) -> Response:
        caller, options = self._caller(token), self._options
        url = httpx.URL(options["base_url"].rstrip("/") + PATH)
        headers = common_headers(
            url,
            accept_encoding=encoding,
            user_agent=options["user_agent"],
            headers=options["headers"],
        )
        if caller is not None:
            headers.append((b"authorization", caller.authorization.encode()))
        if etag is not None:
            headers.append((b"if-none-match", etag.encode()))
        target = url.raw_path + (b"?" + query.encode("ascii") if query else b"")
        caller_key = caller.key if caller else b""
        try:
            raw, seconds = await self._send(target, headers, options["timeouts"], caller_key)
        except SessionEndedError as exc:
            raise NotSeenError(str(exc)) from None
        except httpx.TransportError as exc:
            raise NotSeenError(_no_response(exc)) from None
        response_headers, received_bytes = httpx.Headers(raw.headers), raw.body_bytes
        try:
            body = await read_body(raw, response_headers, max_bytes=options["max_bytes"])
        except (GatewayError, httpx.TransportError) as exc:
            error = transport_error(exc) if isinstance(exc, httpx.TransportError) else exc
            reason = f"no usable response: {error.consequences.cause}"
            self._count_failure(reason)
            raise NotSeenError(reason) from None
        response = Response(raw.status, response_headers, body, received_bytes, _parsed(body), seconds)
        self._take(response, token)
        return response

    def _caller(self, token: Token) -> Caller | None:
        if token is Token.NONE:
            return None
        if token is Token.WRONG:
            return Caller("not-a-token-of-this-api", secret=_SECRET)
        name = "access token" if token is Token.OURS else "second access token"
        if token not in self._tokens:
            raise NotSeenError(f"there is no {name}")
        if token in self._refused:
            raise NotSeenError(f"the API refuses the {name} (401)")
        return Caller(self._tokens[token], secret=_SECRET)

    def _take(self, response: Response, token: Token) -> None:
        """Remember a response, and end the session if the API is not there."""
        self.responses.append(response)
        error = response.error
        is_no_page = error is None and not isinstance(response.json, dict)
        if is_no_page or (error is not None and error.code in {"UPSTREAM_UNAVAILABLE", "FORBIDDEN"}):
            self._count_failure(f"the API answers {response.seen}")
            return
        self._failures = 0
        if error is None and token is Token.OURS:
            self.has_page = True
            self.has_projects |= bool(response.json.get("projects"))
        if error is not None and error.code == "UNAUTHENTICATED":
            self._refused.add(token)

    def _count_failure(self, reason: str) -> None:
        self._failures += 1
        if self._failures >= _MAX_FAILURES:
            self.ended = self.ended or f"{_MAX_FAILURES} calls in a row got no page: {reason}"

    def check(self) -> None:
        """Raise `NotSeenError` if no more calls are made."""
        if self.ended is not None:
            raise NotSeenError(self.ended)

    async def send(
        self, target: bytes, headers: Sequence[RawHeader], timeouts: Timeouts, *, caller_key: bytes
    ) -> RawResponse:
        """Make one call, and repeat it after each 429.

        Raises:
            SessionEndedError: no more calls are made.
            httpx.TransportError: there was no response.
        """
        return (await self._send(target, headers, timeouts, caller_key))[0]

    async def head(self, link: str) -> int:
        """Return the status of a HEAD request for a link, without credentials and without redirects.

        Raises:
            NotSeenError: no response came, or no more calls are made.
        """
        seconds, secret = self._options["timeouts"]["first_byte"], self.settings.upstream_proxy_url
        proxy = None if secret is None else secret.get_secret_value()
        try:
            http = httpx.AsyncClient(trust_env=False, timeout=seconds, proxy=proxy)
            async with self._lock, http:
                self._spend()
                return (await http.head(link)).status_code
        except SessionEndedError as exc:
            raise NotSeenError(str(exc)) from None
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise NotSeenError(f"no response ({type(exc).__name__})") from None

    async def _send(
        self, target: bytes, headers: Sequence[RawHeader], timeouts: Timeouts, caller_key: bytes
    ) -> tuple[RawResponse, float]:
        """As `send`, with the seconds that the last call took."""
        loop = asyncio.get_running_loop()
        pause_seconds = self._pause_seconds
        async with self._lock:
            while True:
                self._spend()
                started = loop.time()
                try:
                    response = await self._pool.get(target, headers, timeouts, caller_key=caller_key)
                except httpx.TransportError as exc:
                    self._count_failure(_no_response(exc))
                    raise
                if response.status != 429:
                    return response, loop.time() - started
                await self._pause(response, pause_seconds)
                pause_seconds *= 2

    def _spend(self) -> None:
        """Take a call from the budget.

        Raises:
            SessionEndedError: no more calls are made.
        """
        now = asyncio.get_running_loop().time()
        self._until = self._until or now + self._max_seconds
        if self.ended is None and self.calls >= self._max_calls:
            self.ended = f"the budget of {self._max_calls} calls is spent"
        if self.ended is None and now >= self._until:
            self.ended = f"the time of {self._max_seconds:g} s is over"
        if self.ended is not None:
            raise SessionEndedError(self.ended)
        self.calls += 1

    async def _pause(self, response: RawResponse, default_seconds: float) -> None:
        error = status_error(httpx.Response(429, headers=httpx.Headers(response.headers)), None)
        stated_seconds = error.retry_after_seconds
        self.rate_limited.append(stated_seconds is not None)
        seconds = default_seconds if stated_seconds is None else float(stated_seconds)
        remaining_seconds = (self._until or 0.0) - asyncio.get_running_loop().time()
        if seconds > min(_MAX_PAUSE_SECONDS, remaining_seconds):
            self.ended = f"the API wants a pause of {seconds:g} s (429)"
            raise SessionEndedError(self.ended)
        await asyncio.sleep(seconds)


class SessionTransport:
    """The session as a transport of the gateway: its calls count, and wait, as those of the probes do.

    Build a gateway over it with `create_app(settings, transport=SessionTransport(session))`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def get(
        self, target: bytes, headers: Sequence[RawHeader], timeouts: Timeouts, *, caller_key: bytes
    ) -> RawResponse:
        return await self._session.send(target, headers, timeouts, caller_key=caller_key)

    async def aclose(self) -> None:
        """Leave the connections open: they are the session's."""


def _no_response(error: httpx.TransportError) -> str:
    return f"no response: {transport_error(error).consequences.cause}"


def _parsed(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
