"""Headers that every response has, so that browsers make nothing of it but what it is."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gallery_gateway.edge.headers import RawHeader


def shield_headers(*, hsts_max_age_seconds: int = 0) -> tuple[RawHeader, ...]:
    """For responses that are no pages: they load nothing, and stand in no frame."""
    headers: list[RawHeader] = [
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]
    if hsts_max_age_seconds:
        headers.append((b"strict-transport-security", b"max-age=%d" % hsts_max_age_seconds))
    return tuple(headers)


class Shielded:
    """An app whose responses have the headers, unless they have their own of that name."""

    def __init__(self, app: ASGIApp, headers: tuple[RawHeader, ...]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = with_headers(list(message.get("headers", ())), self._headers)
            await send(message)

        await self._app(scope, receive, send_shielded)


def with_headers(headers: list[RawHeader], added: tuple[RawHeader, ...]) -> list[RawHeader]:
    own = {name.lower() for name, _ in headers}
    return [*headers, *(header for header in added if header[0] not in own)]
