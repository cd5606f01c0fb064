"""What the variables of a request may be, before anything is made of them."""

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError

from gallery_gateway.execution.refusals import DocumentError, with_code

_SETTING = "GALLERY_GATEWAY_MAX_VARIABLE_VALUES"


def check_variables(variables: Mapping[str, Any], *, max_values: int) -> None:
    """Raises: DocumentError: there are more values in them, items and members counted, than may be."""
    number = len(variables)
    stack = [value for value in variables.values() if isinstance(value, dict | list)]
    while stack and number <= max_values:
        holder = stack.pop()
        number += len(holder)
        inner = holder.values() if isinstance(holder, dict) else holder
        stack.extend(value for value in inner if isinstance(value, dict | list))
    if number > max_values:
        message = f"The variables have more than {max_values} values in them ({_SETTING})."
        raise DocumentError(with_code(GraphQLError(message), "BAD_USER_INPUT"))
