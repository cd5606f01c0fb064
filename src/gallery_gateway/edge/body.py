"""The body of a request, under a bound that holds for what is announced and for what comes."""

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from gallery_gateway.errors import RequestError


async def read_body(receive: Receive, announced: bytes | None, *, max_bytes: int) -> bytes:
    """The whole body; `announced` is the Content-Length.

    Raises:
        RequestError: 413, it is larger than `max_bytes`.
        ClientDisconnect: the client has gone.
    """
    # What is announced as too large need not be sent at all.
    if announced and announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    message = await receive()
    if message["type"] != "http.request":
        raise ClientDisconnect
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        return body
    return await _read_on(receive, bytearray(body), max_bytes=max_bytes)


async def _read_on(receive: Receive, body: bytearray, *, max_bytes: int) -> bytes:
    more_body = True
    while more_body:
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body += message.get("body", b"")
        more_body = message.get("more_body", False)
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return bytes(body)


def _too_large(max_bytes: int) -> RequestError:
    return RequestError(f"The body is larger than {max_bytes} bytes.", status=413)
