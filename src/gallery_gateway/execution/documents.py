"""Documents prepared once, and found again by their text."""

import gc
import sys
from dataclasses import dataclass

from cachetools import LRUCache
from graphql import DocumentNode, GraphQLError, OperationDefinitionNode, get_operation_ast

from gallery_gateway.execution.limits import DocumentError, tokens_of
from gallery_gateway.execution.validation import Validator

# Of what is kept, the part for documents that were refused: a client that sends one again pays for it again.
_REFUSED_PART = 16

# Of the budget, the part that may be garbage.
_GARBAGE_PART = 8


# Measured on CPython 3.11, of what graphql-core makes of a text: for each document, and for each token.
_DOCUMENT_BYTES = 4_500
_TOKEN_BYTES = 400


@dataclass(slots=True, eq=False, weakref_slot=True)
class PreparedDocument:
    """A valid document, and the text that it was made from.

    Args:
        plan_bytes: what its plans take.
    """

    text: str
    document: DocumentNode
    plan_bytes: int = 0

    @property
    def weight_bytes(self) -> int:
        """What it takes of the memory; strings and comments are in its tokens once more."""
        tokens = len(tokens_of(self.text))
        return _DOCUMENT_BYTES + _TOKEN_BYTES * tokens + 2 * sys.getsizeof(self.text) + self.plan_bytes

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """Raises: DocumentError: no such operation, or several and no name."""
        operation = get_operation_ast(self.document, name)
        if operation is None:
            message = (
                f"The document has no operation named {name!r}."
                if name
                else "The document has several operations: send operationName."
            )
            error = GraphQLError(message, extensions={"code": "BAD_REQUEST"})
            raise DocumentError(error, document=self.document)
        return operation


class Documents:
    """Prepared documents, the least recently used going first; and in a small part of it, refused ones.

    Args:
        max_bytes: budget for the memory of all kept documents with their plans.
    """

    def __init__(self, validator: Validator, *, max_bytes: int) -> None:
        self._validator = validator
        self._max_bytes = max_bytes
        self._evicted_bytes = 0
        self._prepared: LRUCache[str, PreparedDocument] = LRUCache(
            max_bytes, getsizeof=lambda prepared: prepared.weight_bytes
        )
        self._refused: LRUCache[str, _Refused] = LRUCache(
            max_bytes // _REFUSED_PART, getsizeof=lambda refused: refused.weight_bytes
        )

    def __len__(self) -> int:
        return len(self._prepared)

    def prepare(self, text: str) -> PreparedDocument:
        """Raises: DocumentError: it cannot be parsed, is too much, or is not valid in the schema."""
        prepared = self._prepared.get(text)
        if prepared is None:
            prepared = self._prepare(text)
            if prepared.weight_bytes <= self._max_bytes:
                self._keep(prepared)
        return prepared

    def weigh(self, prepared: PreparedDocument) -> None:
        """To be called when it has been given more plans."""
        if self._prepared.get(prepared.text) is not prepared:
            return
        del self._prepared[prepared.text]
        if prepared.weight_bytes <= self._max_bytes:
            self._keep(prepared)

    def _keep(self, prepared: PreparedDocument) -> None:
        expected = int(self._prepared.currsize) + prepared.weight_bytes
        self._prepared[prepared.text] = prepared
        self._evicted_bytes += expected - int(self._prepared.currsize)
        if self._evicted_bytes > self._max_bytes // _GARBAGE_PART:
            # Tokens and plans hold themselves in circles, and the collector would come too late for them.
            self._evicted_bytes = 0
            gc.collect()

    def _prepare(self, text: str) -> PreparedDocument:
        refused = self._refused.get(text)
        if refused is not None:
            raise refused.again()
        try:
            return PreparedDocument(text, self._validator.document(text))
        except DocumentError as exc:
            # Tracebacks hold frames, and those of the first who sent it hold a token.
            errors = [error.with_traceback(None) for error in exc.errors]
            refused = _Refused(text, errors, exc.document)
            if refused.weight_bytes <= self._refused.maxsize:
                self._refused[text] = refused
            raise


@dataclass(frozen=True, slots=True)
class _Refused:
    """What was said of a text."""

    text: str
    errors: list[GraphQLError]
    document: DocumentNode | None

    @property
    def weight_bytes(self) -> int:
        """As of a prepared one; where there is no document there are no tokens."""
        if self.document is None:
            return _DOCUMENT_BYTES + 2 * sys.getsizeof(self.text)
        return PreparedDocument(self.text, self.document).weight_bytes + _DOCUMENT_BYTES

    def again(self) -> DocumentError:
        return DocumentError(*self.errors, document=self.document)
