"""Coercion of variables and root arguments, prepared once for each operation.

graphql-core's own functions look up types, defaults and nodes for each request, which takes several times as
long as coercing the values. The prepared functions give the same values. They do not report errors: plain
execution does.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLInputType,
    GraphQLSchema,
    NameNode,
    Undefined,
    VariableDefinitionNode,
    VariableNode,
    get_argument_values,
    get_variable_values,
    is_non_null_type,
    is_required_argument,
    type_from_ast,
)
from graphql.execution.values import VariableValues
from graphql.utilities import coerce_input_value

from gallery_gateway.execution.selection import variables_in


class MisfitError(Exception):
    """A value does not fit the type of its variable or argument."""


Coerce = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Makes variables of raw values, or arguments of variables; raises `MisfitError`."""


class _Variable(NamedTuple):
    name: str
    type: GraphQLInputType
    default: Any
    is_required: bool


def prepare_variables(schema: GraphQLSchema, definitions: Sequence[VariableDefinitionNode]) -> Coerce:
    """Return a function that coerces raw values (GraphQL specification, section 6.1.2)."""
    variables = [_variable(schema, definition) for definition in definitions]

    def coerce(raw: Mapping[str, Any]) -> dict[str, Any]:
        coerced: dict[str, Any] = {}
        for name, type_, default, is_required in variables:
            value = raw.get(name, Undefined)
            if value is not Undefined:
                coerced[name] = value = coerce_input_value(value, type_)
                if value is Undefined:
                    raise MisfitError(name)
            elif default is not Undefined:
                coerced[name] = default
            elif is_required:
                raise MisfitError(name)
        return coerced

    return coerce


def _variable(schema: GraphQLSchema, definition: VariableDefinitionNode) -> _Variable:
    name = definition.variable.name.value
    type_: Any = type_from_ast(schema, definition.type)
    values = get_variable_values(schema, [definition], {}) if definition.default_value else None
    default = values.coerced[name] if isinstance(values, VariableValues) else Undefined
    return _Variable(name, type_, default, is_non_null_type(type_))


class _FromVariable(NamedTuple):
    argument: str
    variable: str
    default: Any
    is_non_null: bool


def prepare_arguments(field: GraphQLField, node: FieldNode) -> Coerce | None:
    """Return a function that makes a field's arguments of variables (GraphQL specification, section 6.4.1).

    Return `None` if a variable is only a part of an argument: such operations are rare.

    Raises:
        GraphQLError: an argument without variables does not fit its type.
    """
    written = {argument.name.value: argument.value for argument in node.arguments or ()}
    varying = {name: value.name.value for name, value in written.items() if isinstance(value, VariableNode)}
    if any(name not in varying and any(variables_in(value)) for name, value in written.items()):
        return None
    fixed = {name: argument for name, argument in field.args.items() if name not in varying}
    constants = get_argument_values(GraphQLField(field.type, args=fixed), node)
    variables = [_from_variable(field, name, variable) for name, variable in varying.items()]

    def coerce(values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = constants.copy()
        for name, variable, default, is_non_null in variables:
            value = values.get(variable, default)
            if is_non_null and (value is None or value is Undefined):
                raise MisfitError(name)
            if value is not Undefined:
                arguments[name] = value
        return arguments

    return coerce


def _from_variable(field: GraphQLField, name: str, variable: str) -> _FromVariable:
    argument = field.args[name]
    defaults = {}
    if not is_required_argument(argument):
        alone = GraphQLField(field.type, args={name: argument})
        defaults = get_argument_values(alone, FieldNode(name=NameNode(value=name)))
    return _FromVariable(name, variable, defaults.get(name, Undefined), is_non_null_type(argument.type))
