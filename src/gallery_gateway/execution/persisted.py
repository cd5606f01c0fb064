"""Where documents come from: the request itself, persisted queries, or trusted documents alone."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec
from cachetools import LRUCache

from gallery_gateway.errors import (
    DocumentNotTrustedError,
    PersistedQueryNotFoundError,
    PersistedQueryNotSupportedError,
    RequestError,
    UnknownDocumentError,
)
from gallery_gateway.execution.limits import DocumentError, significant


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLRequest:
    """A document, or the id of one, and which of its operations with which variables.

    Args:
        document_id: of a persisted document; with `query` it says what that is persisted under.
        registers: the SHA-256 under which the document is to be kept.
    """

    query: str | None = None
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    document_id: str | None = None
    registers: str | None = None


_APOLLO = "apollo-persisted-query-manifest"


class ManifestError(ValueError):
    """A manifest that cannot be used; the message says what all is wrong with it."""


class _Operation(msgspec.Struct):
    id: str
    body: str


class _ApolloManifest(msgspec.Struct):
    format: str
    version: int
    operations: list[_Operation]


def read_manifest(content: bytes) -> dict[str, str]:
    """The documents by their ids.

    Raises:
        ManifestError: it has neither form, or an id of several documents, or no document at all.
    """
    try:
        members = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        if "format" in members and "operations" in members:
            documents = _of_apollo(msgspec.json.decode(content, type=_ApolloManifest))
        else:
            documents = msgspec.json.decode(content, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ManifestError(f"neither Apollo's nor Relay's form: {exc}") from exc
    if not documents:
        raise ManifestError("there is no document in it")
    return documents


def check_documents(documents: dict[str, str], prepare: Callable[[str], object]) -> None:
    """Raises: ManifestError: some documents are not valid, each of which is told."""
    wrong = []
    for name, text in documents.items():
        try:
            prepare(text)
        except DocumentError as exc:
            wrong.append(f"document {name!r}: {exc.errors[0].message}")
    if wrong:
        raise ManifestError(
            "\n  ".join([f"{len(wrong)} of {len(documents)} documents cannot be run", *wrong])
        )


def _of_apollo(manifest: _ApolloManifest) -> dict[str, str]:
    if (manifest.format, manifest.version) != (_APOLLO, 1):
        raise ManifestError(f"of Apollo's formats only {_APOLLO}, version 1, is known")
    documents: dict[str, str] = {}
    for operation in manifest.operations:
        if documents.setdefault(operation.id, operation.body) != operation.body:
            raise ManifestError(f"several documents have the id {operation.id!r}")
    return documents


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


# What a layout may add to the longest document before it is not worth looking at.
_LAYOUT = 4


class TrustedDocuments:
    """The documents of a manifest.

    Args:
        documents: their texts by their ids; each is known by its SHA-256 too.
    """

    is_closed = True

    def __init__(self, documents: Mapping[str, str]) -> None:
        by_hash = {sha256_of(text): text for text in documents.values()}
        self._by_id = {**by_hash, **documents}
        self._texts = frozenset(documents.values())
        self._by_layout_free = {_layout_free(text): text for text in documents.values()}
        self._longest = _LAYOUT * max(map(len, documents.values()), default=0)

    async def resolve(self, request: GraphQLRequest) -> GraphQLRequest:
        if request.document_id is None:
            return replace(request, query=self._trusted(request.query or ""))
        name = request.document_id
        text = self._by_id.get(name) or self._by_id.get(name.removeprefix(SHA256_PREFIX))
        if text is None:
            raise UnknownDocumentError
        if request.query is not None and self._trusted(request.query) != text:
            raise RequestError("The document is not the one of its id.")
        return replace(request, query=text, document_id=None)

    async def register(self, request: GraphQLRequest) -> None:
        """The manifest is all there is."""

    def _trusted(self, text: str) -> str:
        """The same document as it stands in the manifest."""
        if text in self._texts:
            return text
        trusted = self._by_layout_free.get(_layout_free(text)) if len(text) <= self._longest else None
        if trusted is None:
            raise DocumentNotTrustedError
        return trusted


def _layout_free(text: str) -> str:
    return " ".join(significant(text))
