"""What an HTTP request must be like before anything of it is used."""

import re
import secrets
from itertools import count

from starlette.datastructures import Headers
from starlette.requests import Request

from gallery_gateway.errors import RequestError

# RFC 6750, section 2.1, and RFC 9110, section 11.1: the scheme in any case, one token without spaces.
_BEARER = re.compile(r"bearer +([\x21-\x7e]+)", re.IGNORECASE)
# Unique without asking the system for randomness each time.
_PROCESS = secrets.token_hex(8)
_numbers = count(1)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def request_id(headers: Headers) -> str:
    """The client's own `X-Request-ID` where it is a plain one, else a new one."""
    given = _trimmed(headers.get("x-request-id", ""))
    return given if _REQUEST_ID.fullmatch(given) else f"{_PROCESS}-{next(_numbers):x}"


def bearer_token(headers: Headers) -> str | None:
    """The token of the Authorization header; None if there is none, or one of another scheme.

    Raises:
        RequestError: more than one Authorization header.
    """
    values = headers.getlist("authorization")
    if len(values) > 1:
        raise RequestError("Send one Authorization header only.")
    match = _BEARER.fullmatch(_trimmed(values[0])) if values else None
    return match[1] if match else None


async def read_body(request: Request, *, max_bytes: int) -> bytes:
    """Raises: RequestError: 413, the body is larger than `max_bytes`."""
    # What is announced as too large need not be sent at all.
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(body)


def check_content_type(headers: Headers) -> None:
    """Raises: RequestError: 415, not JSON in UTF-8."""
    media_type, *parameters = (part.strip().lower() for part in headers.get("content-type", "").split(";"))
    charset = next((p[8:].strip('"') for p in parameters if p.startswith("charset=")), "utf-8")
    if media_type != "application/json" or charset not in {"utf-8", "utf8"}:
        raise RequestError("Send the body as application/json in UTF-8.", status=415)


def _trimmed(value: str) -> str:
    """A header's value without the space around it (RFC 9110, section 5.5), which httptools leaves."""
    return value.strip(" \t")


def _too_large(max_bytes: int) -> RequestError:
    return RequestError(f"The body is larger than {max_bytes} bytes.", status=413)
