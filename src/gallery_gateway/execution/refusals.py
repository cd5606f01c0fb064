"""A document that does not become an operation, and the code that clients see it under."""

from graphql import DocumentNode, GraphQLError

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"


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


def with_code(error: GraphQLError, code: str) -> GraphQLError:
    """The same error, its code in `extensions`."""
    error.extensions = {**(error.extensions or {}), "code": code}
    return error
