"""Documents prepared once, and found again by their text."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cachetools import LRUCache
from graphql import DocumentNode, GraphQLError, OperationDefinitionNode, get_operation_ast

from gallery_gateway.execution.cost import Cost
from gallery_gateway.execution.costing import Costing
from gallery_gateway.execution.refusals import DocumentError
from gallery_gateway.execution.sizes import Variables
from gallery_gateway.execution.validation import Validator

# Of what is kept, the part for documents that were refused: a client that sends one again pays for it again.
_REFUSED_PART = 16


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class PreparedDocument:
    """A valid document, and the text that it was made from.

    Args:
        costs: of the operations that can cost too much, by their id.
    """

    text: str
    document: DocumentNode
    costs: Mapping[int, Cost] = field(default_factory=dict)

    def check_cost(self, operation: OperationDefinitionNode, variables: Variables | None) -> None:
        """Raises: DocumentError: with these variables, its answer could weigh too much."""
        cost = self.costs.get(id(operation))
        if cost and cost.value(variables) > cost.limit.most:
            raise DocumentError(cost.error(), document=self.document)

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
        max_bytes: budget for the texts of all kept documents.
        costing: None if it does not matter what the answer weighs.
    """

    def __init__(
        self,
        validator: Validator,
        *,
        max_bytes: int,
        costing: Costing | None = None,
    ) -> None:
        self._validator = validator
        self._costing = costing
        self._max_bytes = max_bytes
        self._prepared: LRUCache[str, PreparedDocument] = LRUCache(
            max_bytes, getsizeof=lambda prepared: _size_bytes(prepared.text)
        )
        self._refused: LRUCache[str, _Refused] = LRUCache(
            max_bytes // _REFUSED_PART, getsizeof=lambda refused: _size_bytes(refused.text)
        )

    def __len__(self) -> int:
        return len(self._prepared)

    def prepare(self, text: str) -> PreparedDocument:
        """Raises: DocumentError: it cannot be parsed, is too much, or is not valid in the schema."""
        prepared = self._prepared.get(text)
        if prepared is None:
            prepared = self._prepare(text)
            if _size_bytes(text) <= self._max_bytes:
                self._prepared[text] = prepared
        return prepared

    def _prepare(self, text: str) -> PreparedDocument:
        refused = self._refused.get(text)
        if refused is not None:
            raise refused.again()
        try:
            document = self._validator.document(text)
            return PreparedDocument(text, document, self._costs(document))
        except DocumentError as exc:
            if _size_bytes(text) <= self._refused.maxsize:
                # Tracebacks hold frames, and those of the first who sent it hold a token.
                errors = [error.with_traceback(None) for error in exc.errors]
                self._refused[text] = _Refused(text, errors, exc.document)
            raise

    def _costs(self, document: DocumentNode) -> dict[int, Cost]:
        """Of the operations whose variables decide whether they cost too much.

        Raises:
            DocumentError: an operation costs too much whatever they are.
        """
        costs = {}
        for operation, cost in self._costing.costs(document) if self._costing else ():
            if cost.least > cost.limit.most:
                raise DocumentError(cost.error(), document=document)
            if cost.most > cost.limit.most:
                costs[id(operation)] = cost
        return costs


@dataclass(frozen=True, slots=True)
class _Refused:
    """What was said of a text."""

    text: str
    errors: list[GraphQLError]
    document: DocumentNode | None

    def again(self) -> DocumentError:
        return DocumentError(*self.errors, document=self.document)


def _size_bytes(text: str) -> int:
    # A lone surrogate is refused, and counts like any other character.
    return len(text.encode(errors="surrogatepass"))
