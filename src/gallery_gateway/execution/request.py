"""What a client asks for."""

from dataclasses import dataclass
from typing import Any


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
