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


@dataclass(slots=True)
class Answer:
    """What came.

    Args:
        headers: the names in lower case.
        parts: the body as it came, compressed if it is; a little more than is allowed, if it is too large.
        error: why the body broke off.
    """

    status: int
    headers: list[RawHeader]
    parts: list[bytes] = field(default_factory=list)
    error: httpx.TransportError | None = None
    body_bytes: int = 0

    def add(self, part: bytes) -> None:
        self.parts.append(part)
        self.body_bytes += len(part)

    def announced_bytes(self) -> int | None:
        """How long the body is, if that is known."""
        return next((int(value) for name, value in self.headers if name == b"content-length"), None)

    def is_ended_by_close(self) -> bool:
        """Whether the body has no other end than that of the connection (RFC 9112, section 6.3)."""
        names = {name for name, _ in self.headers}
        return names.isdisjoint({b"content-length", b"transfer-encoding"})
