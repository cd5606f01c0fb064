"""Automatic persisted queries: a document is sent once, and then asked for by its SHA-256.

Source: Apollo's protocol (apollographql/apollo-server, requestPipeline), and for ids of the form `sha256:...`
the appendix on persisted documents of GraphQL over HTTP.
"""

import hashlib
from dataclasses import replace
from typing import Protocol

from cachetools import LRUCache

from gallery_gateway.errors import (
    PersistedQueryNotFoundError,
    PersistedQueryNotSupportedError,
    RequestError,
)
from gallery_gateway.execution.request import GraphQLRequest

SHA256_PREFIX = "sha256:"


class PersistedStore(Protocol):
    """Keeps texts under their SHA-256.

    It need not be trusted, since texts are checked against their hash. One that fails gives None.
    """

    async def get(self, sha256: str) -> str | None: ...

    async def put(self, sha256: str, text: str) -> None: ...


class MemoryStore:
    """In this process; the least recently used go first.

    Args:
        max_bytes: of all texts.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._texts: LRUCache[str, str] = LRUCache(max_bytes, getsizeof=lambda text: len(text.encode()))

    async def get(self, sha256: str) -> str | None:
        return self._texts.get(sha256)

    async def put(self, sha256: str, text: str) -> None:
        if len(text.encode()) <= self._max_bytes:
            self._texts[sha256] = text


class TwoLevels:
    """In this process first, then where other processes look too."""

    def __init__(self, near: PersistedStore, far: PersistedStore) -> None:
        self._near = near
        self._far = far

    async def get(self, sha256: str) -> str | None:
        text = await self._near.get(sha256)
        if text is None:
            text = await self._far.get(sha256)
            # What is no text of this hash is not to push out one that is.
            if text is not None and sha256_of(text) == sha256:
                await self._near.put(sha256, text)
        return text

    async def put(self, sha256: str, text: str) -> None:
        await self._near.put(sha256, text)
        await self._far.put(sha256, text)


class Sources(Protocol):
    """Where the documents of requests come from."""

    @property
    def is_closed(self) -> bool:
        """Whether even a request that brings its document has to be looked at."""

    async def resolve(self, request: GraphQLRequest) -> GraphQLRequest:
        """The request with its document.

        Raises:
            RequestError: there is none, or it is not to be run.
        """

    async def register(self, request: GraphQLRequest) -> None:
        """Keeps the document of a request that asked for it, now that it has turned out valid."""


class PersistedQueries:
    """Documents that callers have persisted; whoever knows a hash has the document already.

    Args:
        store: None if nothing is kept.
    """

    is_closed = False

    def __init__(self, store: PersistedStore | None) -> None:
        self._store = store

    async def resolve(self, request: GraphQLRequest) -> GraphQLRequest:
        if request.document_id is None:
            return request
        sha256 = request.document_id.removeprefix(SHA256_PREFIX)
        if self._store is None or ":" in sha256:
            raise PersistedQueryNotSupportedError
        if request.query is not None:
            if sha256_of(request.query) != sha256:
                raise RequestError("provided sha does not match query")
            return replace(request, document_id=None, registers=sha256)
        text = await self._store.get(sha256)
        if text is None or sha256_of(text) != sha256:
            raise PersistedQueryNotFoundError
        return replace(request, query=text, document_id=None)

    async def register(self, request: GraphQLRequest) -> None:
        if self._store and request.registers and request.query is not None:
            await self._store.put(request.registers, request.query)


def sha256_of(text: str) -> str:
    # A lone surrogate, which no document may have, has a hash like any other character.
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
