"""From an error that execution collected to the error that a client sees: a code, and nothing private.

A bug is masked for the client, and logged whole under the request id.
"""

import logging

from graphql import GraphQLError, GraphQLFormattedError

from gallery_gateway.errors import GatewayError, UpstreamContractError
from gallery_gateway.telemetry.logs import log_event

_MISFIT = "The gallery sent a value that does not fit this field."

# The one sign that graphql-core 3.3 gives of a null where none may be: a TypeError of these words.
_NULL_VIOLATION = "Cannot return null for non-nullable field"


def report(error: GraphQLError, *, request_id: str) -> GraphQLFormattedError:
    """The error as the client sees it."""
    cause = error.original_error
    formatted = error.formatted
    if isinstance(cause, GatewayError):
        return formatted
    if not error.path:
        # What is wrong with the request, told by graphql-core or by us; variables get no code there.
        code = str((error.extensions or {}).get("code", "BAD_USER_INPUT"))
        formatted["extensions"] = {**(error.extensions or {}), "code": code}
    elif _is_misfit(cause):
        formatted["message"] = _MISFIT
        formatted["extensions"] = {"code": UpstreamContractError.code}
    else:
        formatted["message"] = "Something went wrong in the gateway."
        formatted["extensions"] = {"code": "INTERNAL_SERVER_ERROR", "requestId": request_id}
        log_event("operation.bug", level=logging.ERROR, error=cause or error, request_id=request_id)
    return formatted


def _is_misfit(cause: Exception | None) -> bool:
    """Whether graphql-core could not fit an upstream value into the type of its field."""
    return isinstance(cause, GraphQLError) or (
        isinstance(cause, TypeError) and str(cause).startswith(_NULL_VIOLATION)
    )
