"""Documents parsed and validated once, and found again by their text."""

from dataclasses import dataclass

from cachetools import LRUCache
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    get_operation_ast,
    parse,
    validate,
)


class DocumentError(Exception):
    """A document that does not become an operation.

    Args:
        errors: what the client is told.
        document: what it was parsed into, if it was.
    """

    def __init__(self, *errors: GraphQLError, document: DocumentNode | None = None) -> None:
        super().__init__(errors[0].message)
        self.errors = list(errors)
        self.document = document


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class PreparedDocument:
    """A valid document, and the text that it was made from."""

    text: str
    document: DocumentNode

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
    """Prepared documents, the least recently used going first.

    Args:
        max_bytes: budget for the texts of all kept documents.
        max_tokens: the longest document, in lexical tokens.
    """

    def __init__(self, schema: GraphQLSchema, *, max_bytes: int, max_tokens: int) -> None:
        self._schema = schema
        self._max_tokens = max_tokens
        self._max_bytes = max_bytes
        self._prepared: LRUCache[str, PreparedDocument] = LRUCache(
            max_bytes, getsizeof=lambda prepared: _size_bytes(prepared.text)
        )

    def prepare(self, text: str) -> PreparedDocument:
        """Raises: DocumentError: it cannot be parsed, or is not valid in the schema."""
        prepared = self._prepared.get(text)
        if prepared is None:
            prepared = self._prepare(text)
            if _size_bytes(text) <= self._max_bytes:
                self._prepared[text] = prepared
        return prepared

    def _prepare(self, text: str) -> PreparedDocument:
        try:
            document = parse(text, max_tokens=self._max_tokens)
            invalid = validate(self._schema, document)
        except GraphQLSyntaxError as exc:
            raise DocumentError(_with_code(exc, "GRAPHQL_PARSE_FAILED")) from exc
        except RecursionError as exc:
            error = GraphQLError("The document is nested too deeply.")
            raise DocumentError(_with_code(error, "GRAPHQL_PARSE_FAILED")) from exc
        if invalid:
            errors = (_with_code(error, "GRAPHQL_VALIDATION_FAILED") for error in invalid)
            raise DocumentError(*errors, document=document)
        return PreparedDocument(text, document)


def _size_bytes(text: str) -> int:
    return len(text.encode())


def _with_code(error: GraphQLError, code: str) -> GraphQLError:
    error.extensions = {**(error.extensions or {}), "code": code}
    return error
