"""How long lists can be, as far as the arguments of an operation say it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import FieldNode, GraphQLArgument, GraphQLField, ValueNode, VariableNode, value_from_ast_untyped

Variables = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Of a list: what an argument says, and never more than `most`.

    Args:
        argument: a number, or a list whose length counts; None if none says anything.
        other_argument: what may say it instead.
        most: what the argument may be at most; also the size where it is left out and has no default.
        absent: the size where none of the arguments stands there at all, if that is another.
    """

    most: int
    argument: str | None = None
    other_argument: str | None = None
    absent: int | None = None


ListSizes = Mapping[str, Mapping[str, Size]]
"""Fields (`Type.field`) whose arguments say something, and the lists at or below them that it is said of.

Of what several fields above each other say of a list the least holds.
"""


@dataclass(frozen=True, slots=True)
class Bound:
    """At most so many: a number, and whichever is less of some variables.

    Args:
        variables: their names, each with the size where it is left out.
    """

    most: int
    variables: frozenset[tuple[str, int]] = frozenset()

    def also(self, other: "Bound") -> "Bound":
        return Bound(min(self.most, other.most), self.variables | other.variables)

    def value(self, variables: Variables) -> int:
        least = self.most
        for name, absent in self.variables:
            least = min(least, _length(variables[name], least) if name in variables else absent)
        return least


def bound_of(size: Size, definition: GraphQLField, node: FieldNode) -> Bound:
    """What a field's arguments say of a size."""
    given = {each.name.value: each.value for each in node.arguments or ()}
    if size.absent is not None and size.argument not in given and size.other_argument not in given:
        return Bound(size.absent)
    bound = _said(size, size.argument, definition, given)
    other = size.other_argument
    return bound.also(_said(size, other, definition, given)) if other else bound


def _said(
    size: Size, argument: str | None, definition: GraphQLField, given: Mapping[str, ValueNode]
) -> Bound:
    default = _default(definition.args.get(argument or ""))
    value = given.get(argument or "")
    if isinstance(value, VariableNode):
        return Bound(size.most, frozenset({(value.name.value, _length(default, size.most))}))
    return Bound(_length(default if value is None else value_from_ast_untyped(value), size.most))


def _default(argument: GraphQLArgument | None) -> object:
    """graphql-core keeps it in one of two ways, as the schema was made from code or from SDL."""
    if argument is None:
        return None
    if argument.default is None:
        return argument.default_value
    literal = argument.default.literal
    return value_from_ast_untyped(literal) if literal else argument.default.value


def _length(value: object, most: int) -> int:
    """What is no size at all is refused by whoever coerces it; here it counts as the most."""
    if isinstance(value, list | tuple):
        return min(len(value), most)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(min(max(value, 0), most))
    return most
