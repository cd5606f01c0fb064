"""What a call may take, and what comes of it, as far as HTTP goes."""

from dataclasses import dataclass, field
from typing import TypedDict

import httpx

RawHeader = tuple[bytes, bytes]


class Patience(TypedDict):
    """How long a call may take, in seconds: as a request's extensions have it (`Timeouts`)."""

    connect: float
    first_byte: float
    read: float
    total: float


# Parts smaller than the first are joined up to the second: an object for each would outweigh the body.
_SMALL_PART_BYTES = 4096
_JOINED_PART_BYTES = 64 * 1024


@dataclass(slots=True)
class Answer:
    """A response as it came.

    Args:
        headers: the names in lower case; trailers are not among them.
        parts: the body, compressed if it is; a little more than is allowed, if it is too large.
        error: why the body broke off.
        received_parts: how many parts came, before small ones were joined.
    """

    status: int
    headers: list[RawHeader]
    parts: list[bytes | bytearray] = field(default_factory=list)
    error: httpx.TransportError | None = None
    body_bytes: int = 0
    received_parts: int = 0

    def add(self, part: bytes) -> None:
        self.received_parts += 1
        self.body_bytes += len(part)
        if len(part) >= _SMALL_PART_BYTES:
            self.parts.append(part)
            return
        last = self.parts[-1] if self.parts else None
        if isinstance(last, bytearray) and len(last) < _JOINED_PART_BYTES:
            last += part
        else:
            self.parts.append(bytearray(part))

    def announced_bytes(self) -> int | None:
        """How long the body is, if that is known."""
        return next((int(value) for name, value in self.headers if name == b"content-length"), None)

    def is_ended_by_close(self) -> bool:
        """Whether the body has no other end than that of the connection (RFC 9112, section 6.3)."""
        names = {name for name, _ in self.headers}
        return names.isdisjoint({b"content-length", b"transfer-encoding"})
