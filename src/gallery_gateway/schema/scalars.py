"""The scalar of the REST API's numbers: `Int` ends at 32 bits (`docs/decisions/large-ids.md`)."""

import re
from collections.abc import Mapping
from typing import Any, NewType

import strawberry
from graphql import GraphQLError, ValueNode, value_from_ast_untyped

from gallery_gateway.errors import UpstreamContractError

MAX_SAFE_INTEGER = 2**53 - 1
"""The largest number that JavaScript reads exactly (RFC 7493, section 2.2); larger ones become strings."""

# 64 bits.
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)
_BOUND = 2**63


def serialize_big_int(value: object) -> int | str:
    """Raises: UpstreamContractError: the value is no integer, which the declared types do not exclude."""
    # A bool is an int.
    if type(value) is not int:
        raise UpstreamContractError("The gallery API sent a number that is not an integer.")
    return value if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER else str(value)


def parse_big_int(value: object, node: ValueNode | None = None) -> int:
    """Return the integer that a client sent as a number or a string, in the literal `node` if it did so.

    Raises:
        GraphQLError: it is none, or has more than 64 bits.
    """
    number = value
    is_exact_float = isinstance(value, float) and value.is_integer() and abs(value) <= MAX_SAFE_INTEGER
    if is_exact_float or (isinstance(value, str) and _INTEGER.fullmatch(value)):
        number = int(value)  # type: ignore[call-overload]  # a float or a string
    if type(number) is int and -_BOUND <= number < _BOUND:
        return number
    raise GraphQLError("BigInt must be an integer of at most 64 bits, as a number or a string.", node)


BigInt = NewType("BigInt", int)

SCALARS: Mapping[object, Any] = {
    BigInt: strawberry.scalar(
        name="BigInt",
        serialize=serialize_big_int,
        parse_value=parse_big_int,
        parse_literal=lambda node, _variables: parse_big_int(value_from_ast_untyped(node), node),
        description=(
            "An integer of at most 64 bits, as a number or a string. Responses have a string only beyond"
            " ±9007199254740991, where numbers of JavaScript are not exact."
        ),
    )
}
