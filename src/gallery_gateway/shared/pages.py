"""What is said to the store and by it; nothing here needs Redis."""

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec


class StoreError(Exception):
    """The store gave no answer, or none in time, or refused."""


class StoredPage(msgspec.Struct, frozen=True, array_like=True):
    """A page for other processes; moments are on the wall clock, in seconds since 1970.

    Args:
        body: the JSON of the page.
        rules: what the endpoint said of keeping it, by the names of the rules.
    """

    body: bytes
    rules: dict[str, Any]
    asked_at: float
    born_at: float
    fresh_until: float
    renew_until: float
    stale_until: float
    keep_until: float
    links_until: float


PREFIX = b"gallery-gateway:1:"  # the layout of what is stored: another layout, another number

PURGES = PREFIX + b"purges"
"""The channel on which processes tell each other whose pages are to be forgotten."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the answer to one question of one caller is stored; all of one caller in one slot of a cluster.

    Args:
        caller: the caller's key, in hexadecimal digits.
        question: tells the caller's questions apart.
    """

    caller: bytes
    question: bytes

    @classmethod
    def of(cls, caller_key: bytes, question: str) -> "Spot":
        digest = hashlib.blake2b(question.encode(), digest_size=16)
        return cls(caller_key.hex().encode("ascii"), digest.hexdigest().encode("ascii"))

    @property
    def page(self) -> bytes:
        return b"%b{%b}:page:%b" % (PREFIX, self.caller, self.question)

    @property
    def lock(self) -> bytes:
        return b"%b{%b}:lock:%b" % (PREFIX, self.caller, self.question)

    @property
    def generation(self) -> bytes:
        return generation_key(self.caller)


def generation_key(caller: bytes) -> bytes:
    return b"%b{%b}:generation" % (PREFIX, caller)


@dataclass(frozen=True, slots=True)
class Taken:
    """What the store said: a page; or that it is ours to fetch; or, without both, that another fetches it."""

    page: StoredPage | None
    is_ours: bool
    generation: bytes


class Store(Protocol):
    """What processes share pages through; every question may raise StoreError."""

    lock_seconds: float

    @property
    def is_available(self) -> bool: ...

    async def open(self) -> None:
        """Connects; does without where the server is gone."""

    async def take(self, spot: Spot, *, owner: bytes, skips_page: bool = False) -> Taken:
        """The page, or else the right to fetch it, unless another has that.

        Whoever skips the page has the right in any case, and whoever had it before has it no more.
        """

    async def hold(self, spot: Spot, *, owner: bytes) -> None:
        """Announces once more that the page is being fetched."""

    async def give(
        self, spot: Spot, page: StoredPage | None, *, owner: bytes, generation: bytes, seconds: float
    ) -> None:
        """Stores a page for so long, if there is one, and ends the announcement; only by whom it is of."""

    async def purge(self, caller_key: bytes) -> None:
        """Forgets a caller's pages, here and in all processes."""

    async def aclose(self) -> None: ...
