"""Trusted documents: those of a manifest are run, and no others.

Codes and messages are those of Apollo Router's safelist. A document may be sent as text, if it is one of the
manifest but for its layout: blanks, commas and comments.
"""

from collections.abc import Mapping
from dataclasses import replace

from gallery_gateway.errors import DocumentNotTrustedError, RequestError, UnknownDocumentError
from gallery_gateway.execution.lexing import significant
from gallery_gateway.execution.persisted import SHA256_PREFIX, sha256_of
from gallery_gateway.execution.request import GraphQLRequest

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
