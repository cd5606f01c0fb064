"""Documents that requests refer to by an id: automatic persisted queries, or the trusted documents alone."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from cachetools import LRUCache
from msgspec.structs import replace

from gallery_gateway.errors import (
    DocumentNotTrustedError,
    PersistedQueryNotFoundError,
    PersistedQueryNotSupportedError,
    RequestError,
    UnknownDocumentError,
)
from gallery_gateway.execution.limits import DocumentError, significant


class GraphQLRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a GraphQL request.

    Args:
        document_id: id of a persisted or trusted document.
        registers: SHA-256 under which a valid document will be persisted.
    """

    query: str | None = None
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    document_id: str | None = None
    registers: str | None = None


SHA256_PREFIX = "sha256:"


def sha256_of(text: str) -> str:
    # A lone surrogate must not fail here; the parser refuses it.
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


class PersistedQueries:
    """Automatic persisted queries: documents that clients register, in an LRU cache of this process.

    All callers share the documents; a document is only ever found under its own hash.

    Args:
        max_bytes: text of all documents; 0 disables persisted queries.
    """

    def __init__(self, *, max_bytes: int = 0) -> None:
        self._texts: LRUCache[str, str] = LRUCache(max_bytes, getsizeof=lambda text: len(text.encode()))

    def resolve(self, request: GraphQLRequest) -> GraphQLRequest:
        """Return the request with its document.

        Raises:
            RequestError: the id is unknown, or is not the hash of the document beside it.
        """
        if request.document_id is None:
            return request
        sha256 = request.document_id.removeprefix(SHA256_PREFIX)
        if not self._texts.maxsize or ":" in sha256:
            raise PersistedQueryNotSupportedError
        if request.query is not None:
            if sha256_of(request.query) != sha256:
                raise RequestError("provided sha does not match query")
            return replace(request, document_id=None, registers=sha256)
        text = self._texts.get(sha256)
        if text is None:
            raise PersistedQueryNotFoundError
        return replace(request, query=text, document_id=None)

    def register(self, request: GraphQLRequest) -> None:
        """Keep the document of a request that registers it, after it has been found valid."""
        text = request.query or ""
        if request.registers and len(text.encode()) <= self._texts.maxsize:
            self._texts[request.registers] = text


# A longer document than the longest trusted one by this factor is refused without a look at its tokens.
_MAX_LAYOUT = 4


class TrustedDocuments:
    """The documents of a manifest, and no others.

    Args:
        documents: texts by id; each document is also found by its SHA-256.
    """

    def __init__(self, documents: Mapping[str, str]) -> None:
        by_hash = {sha256_of(text): text for text in documents.values()}
        self._by_id = {**by_hash, **documents}
        self._texts = frozenset(documents.values())
        self._by_tokens = {significant(text): text for text in documents.values()}
        self._max_length = _MAX_LAYOUT * max(map(len, documents.values()), default=0)

    def resolve(self, request: GraphQLRequest) -> GraphQLRequest:
        """Return the request with its document.

        Raises:
            RequestError: the id is unknown, or the document is not trusted or not the one of its id.
        """
        if request.document_id is None:
            return replace(request, query=self._trusted(request.query or ""))
        name = request.document_id
        text = self._by_id.get(name) or self._by_id.get(name.removeprefix(SHA256_PREFIX))
        if text is None:
            raise UnknownDocumentError
        if request.query is not None and self._trusted(request.query) != text:
            raise RequestError("The document is not the one of its id.")
        return replace(request, query=text, document_id=None)

    def register(self, request: GraphQLRequest) -> None:
        """Do nothing: requests add no trusted documents."""

    def _trusted(self, text: str) -> str:
        """Return the trusted document that differs from `text` in nothing but layout."""
        if text in self._texts:
            return text
        trusted = self._by_tokens.get(significant(text)) if len(text) <= self._max_length else None
        if trusted is None:
            raise DocumentNotTrustedError
        return trusted


DocumentSource = PersistedQueries | TrustedDocuments

_APOLLO = "apollo-persisted-query-manifest"


class ManifestError(ValueError):
    """A manifest that cannot be used; the message lists all that is wrong with it."""


class _Operation(msgspec.Struct):
    id: str
    body: str


class _ApolloManifest(msgspec.Struct):
    format: str
    version: int
    operations: list[_Operation]


def parse_manifest(content: bytes) -> dict[str, str]:
    """Return the documents by id.

    Raises:
        ManifestError: the manifest has neither format, no document, or several documents of one id.
    """
    try:
        members = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        if "format" in members and "operations" in members:
            documents = _apollo_documents(msgspec.json.decode(content, type=_ApolloManifest))
        else:
            documents = msgspec.json.decode(content, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ManifestError(f"neither Apollo's nor Relay's format: {exc}") from exc
    if not documents:
        raise ManifestError("the manifest has no document")
    return documents


def check_documents(documents: Mapping[str, str], prepare: Callable[[str], object]) -> None:
    """Raises: ManifestError: some documents are not valid; the message names each."""
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


def _apollo_documents(manifest: _ApolloManifest) -> dict[str, str]:
    if (manifest.format, manifest.version) != (_APOLLO, 1):
        raise ManifestError(f"of Apollo's formats only {_APOLLO}, version 1, is supported")
    documents: dict[str, str] = {}
    for operation in manifest.operations:
        if documents.setdefault(operation.id, operation.body) != operation.body:
            raise ManifestError(f"several documents have the id {operation.id!r}")
    return documents
