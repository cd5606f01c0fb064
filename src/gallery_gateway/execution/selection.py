"""The fields that an operation selects, with aliases, fragments and directives resolved.

graphql-core collects the fields, so a selection is exactly what plain execution would run.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_argument_values,
    get_named_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues


def shaping_variables(document: DocumentNode, schema: GraphQLSchema) -> tuple[str, ...]:
    """Return the variables that shape selections: those of directives, and of arguments below root fields."""
    roots = {root.name for root in (schema.query_type, schema.subscription_type) if root}
    names: set[str] = set()
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
            names.update(_shaping(definition, roots, is_root=True))
    return tuple(sorted(names))


def _shaping(parent: Node, root_types: Collection[str], *, is_root: bool) -> Iterator[str]:
    """Yield the shaping variables below an operation, fragment or field; `is_root` if it may be the root."""
    condition = getattr(parent, "type_condition", None)
    if condition is not None:
        is_root = is_root and condition.name.value in root_types
    selection_set: SelectionSetNode | None = getattr(parent, "selection_set", None)
    # Spreads are not followed: the fragments are definitions of the document too.
    for node in selection_set.selections if selection_set else ():
        for directive in node.directives or ():
            yield from variables_in(directive)
        if isinstance(node, FieldNode) and not is_root:
            for argument in node.arguments or ():
                yield from variables_in(argument)
        yield from _shaping(node, root_types, is_root=is_root and not isinstance(node, FieldNode))


def variables_in(node: Node) -> Iterator[str]:
    """Yield the names of the variables in a value, an argument or a directive."""
    if isinstance(node, VariableNode):
        yield node.name.value
    for key in node.keys:
        child = getattr(node, key, None)
        for inner in child if isinstance(child, list | tuple) else (child,):
            if isinstance(inner, Node):
                yield from variables_in(inner)


@dataclass(frozen=True, slots=True)
class Scope:
    """An operation with its fragments and its coerced variables."""

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDetails]
    variables: VariableValues


class SelectedField:
    """A field under one response key; `definition` is `None` for `__typename`."""

    def __init__(self, scope: Scope, parent_type: GraphQLObjectType, details: list[FieldDetails]) -> None:
        self._scope = scope
        self._details = details
        self.node = details[0].node
        self.name = self.node.name.value
        self.definition: GraphQLField | None = parent_type.fields.get(self.name)

    def arguments(self) -> dict[str, Any]:
        """Raises: GraphQLError: an argument does not fit its type."""
        if self.definition is None:
            return {}
        return get_argument_values(self.definition, self.node, self._scope.variables)

    def argument(self, name: str) -> object:
        """Return a coerced argument; `None` if it is left out, null or invalid."""
        try:
            return self.arguments().get(name)
        except GraphQLError:
            return None

    def selection(self, type_name: str | None = None) -> "Selection":
        """Return what is selected of an object of the field's type, or of `type_name` if that is abstract.

        Raises:
            TypeError: it is not an object type.
        """
        object_type = self.definition and get_named_type(self.definition.type)
        if type_name is not None:
            object_type = self._scope.schema.type_map[type_name]
        if not isinstance(object_type, GraphQLObjectType):
            raise TypeError(f"{self.name} does not have an object type")
        return Selection(self._scope, object_type, self._details)

    def count(self) -> int:
        """Return the number of fields, including the fields below."""
        return 1 + (self.selection().count() if self.node.selection_set else 0)


class Selection:
    """The fields that are selected below a field, for one object type."""

    def __init__(self, scope: Scope, object_type: GraphQLObjectType, details: list[FieldDetails]) -> None:
        self.object_type = object_type
        groups = collect_subfields(
            scope.schema, scope.fragments, scope.variables, scope.operation, object_type, details
        ).grouped_field_set
        self.by_response_key = {
            key: SelectedField(scope, object_type, group) for key, group in groups.items()
        }

    def fields(self, *names: str) -> Iterator[SelectedField]:
        """Yield the fields with these names, each once for each of its response keys."""
        return (field for field in self.by_response_key.values() if field.name in names)

    def count(self) -> int:
        """Return the number of fields, including the fields below."""
        return sum(field.count() for field in self.by_response_key.values())

    def has_any(self, *names: str) -> bool:
        return any(field.name in names for field in self.by_response_key.values())


def fragments_of(document: DocumentNode) -> dict[str, FragmentDetails]:
    return {
        node.name.value: FragmentDetails(node)
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }


def scope_of(info: GraphQLResolveInfo[Any]) -> Scope:
    """Return the scope of the operation that is being executed."""
    fragments = {name: FragmentDetails(fragment) for name, fragment in info.fragments.items()}
    return Scope(info.schema, info.operation, fragments, info.variable_values)


def selection_of(info: GraphQLResolveInfo[Any], type_name: str) -> Selection:
    """Return the selection below the field that is being resolved, for a value of `type_name`."""
    object_type = info.schema.type_map[type_name]
    if not isinstance(object_type, GraphQLObjectType):
        raise TypeError(f"{type_name} is not an object type")
    return Selection(scope_of(info), object_type, [FieldDetails(node, None) for node in info.field_nodes])


def root_fields(scope: Scope) -> dict[str, SelectedField]:
    """Return the root fields of an operation by response key, in the order of the response."""
    root_type = scope.schema.get_root_type(scope.operation.operation)
    if root_type is None:
        raise TypeError("the schema has no such operations")
    groups = collect_fields(
        scope.schema, scope.fragments, scope.variables, root_type, scope.operation
    ).grouped_field_set
    return {key: SelectedField(scope, root_type, group) for key, group in groups.items()}
