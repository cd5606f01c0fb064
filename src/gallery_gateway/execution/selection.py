"""What an operation selects below a field, with aliases, fragments and directives resolved.

It is graphql-core's own collection of fields, so what is found here is what execution will run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_argument_values,
    get_named_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues


def shaping_variables(document: DocumentNode, query_type_name: str) -> tuple[str, ...]:
    """The names of all variables in directives, and in arguments of fields below the root."""
    names: set[str] = set()
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            names.update(_shaping(definition.selection_set, is_root=True, query_type_name=query_type_name))
        elif isinstance(definition, FragmentDefinitionNode):
            is_root = definition.type_condition.name.value == query_type_name
            names.update(_shaping(definition.selection_set, is_root=is_root, query_type_name=query_type_name))
    return tuple(sorted(names))


def variables_in(node: Node) -> Iterator[str]:
    """The names of the variables in a value, an argument or a directive."""
    if isinstance(node, VariableNode):
        yield node.name.value
    for key in node.keys:
        child = getattr(node, key, None)
        for inner in child if isinstance(child, list | tuple) else (child,):
            if isinstance(inner, Node):
                yield from variables_in(inner)


def _shaping(selection_set: SelectionSetNode | None, *, is_root: bool, query_type_name: str) -> Iterator[str]:
    """Fragments are definitions of their own, so spreads are not followed."""
    for node in selection_set.selections if selection_set else ():
        for directive in node.directives or ():
            yield from variables_in(directive)
        if isinstance(node, FieldNode):
            if not is_root:
                for argument in node.arguments or ():
                    yield from variables_in(argument)
            yield from _shaping(node.selection_set, is_root=False, query_type_name=query_type_name)
        elif isinstance(node, InlineFragmentNode):
            condition = node.type_condition
            below_root = is_root if condition is None else condition.name.value == query_type_name
            yield from _shaping(node.selection_set, is_root=below_root, query_type_name=query_type_name)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a selection is read in: an operation with its fragments and its coerced variables."""

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDetails]
    variables: VariableValues

    @classmethod
    def of(cls, info: GraphQLResolveInfo[Any]) -> Self:
        fragments = {name: FragmentDetails(fragment) for name, fragment in info.fragments.items()}
        return cls(info.schema, info.operation, fragments, info.variable_values)


class SelectedField:
    """A field under one response key; `definition` is None for `__typename`."""

    def __init__(self, scope: Scope, parent_type: GraphQLObjectType, details: list[FieldDetails]) -> None:
        self._scope = scope
        self._details = details
        self.name = self._node.name.value
        self.definition: GraphQLField | None = parent_type.fields.get(self.name)

    @property
    def has_variables(self) -> bool:
        """Whether an argument depends on a variable."""
        return any(True for argument in self._node.arguments or () for _ in variables_in(argument))

    @property
    def _node(self) -> FieldNode:
        return self._details[0].node

    def arguments(self, variables: VariableValues | None = None) -> dict[str, Any]:
        """The coerced arguments, without those that are left out and have no default.

        Args:
            variables: other values than those of the scope.

        Raises:
            GraphQLError: an argument is not of its type.
        """
        if self.definition is None:
            return {}
        return get_argument_values(self.definition, self._node, variables or self._scope.variables)

    def argument(self, name: str) -> object:
        """The coerced value of an argument; None if it is left out, null, or will be refused."""
        try:
            return self.arguments().get(name)
        except GraphQLError:
            return None

    def count_below(self) -> int:
        return self.selection().count() if self._node.selection_set else 0

    def selection(self) -> "Selection":
        """Raises: TypeError: the field is not of an object type."""
        object_type = self.definition and get_named_type(self.definition.type)
        if not isinstance(object_type, GraphQLObjectType):
            raise TypeError(f"{self.name} has no selection of one object type")
        return Selection(self._scope, object_type, self._details)


class Selection:
    """The fields selected below some nodes of a field, as far as they apply to one object type."""

    def __init__(self, scope: Scope, object_type: GraphQLObjectType, details: list[FieldDetails]) -> None:
        self.object_type = object_type
        groups = collect_subfields(
            scope.schema, scope.fragments, scope.variables, scope.operation, object_type, details
        ).grouped_field_set
        self.by_response_key = _selected(scope, object_type, groups)

    def fields(self, name: str) -> Iterator[SelectedField]:
        """The field of this name, once for each response key that it is selected under."""
        return (field for field in self.by_response_key.values() if field.name == name)

    def count(self) -> int:
        """All fields, those below the fields among them."""
        return sum(1 + field.count_below() for field in self.by_response_key.values())

    def has_any(self, *names: str) -> bool:
        return any(field.name in names for field in self.by_response_key.values())


def selection_of(info: GraphQLResolveInfo[Any], type_name: str) -> Selection:
    """What is selected below the field that is being resolved, if its value is of this object type."""
    object_type = info.schema.type_map[type_name]
    if not isinstance(object_type, GraphQLObjectType):
        raise TypeError(f"{type_name} is not an object type")
    return Selection(Scope.of(info), object_type, [FieldDetails(node, None) for node in info.field_nodes])


def root_fields(scope: Scope) -> dict[str, SelectedField]:
    """The root fields of a query by response key, in the order of the response."""
    query_type = scope.schema.query_type
    if query_type is None:
        raise TypeError("the schema has no queries")
    groups = collect_fields(
        scope.schema, scope.fragments, scope.variables, query_type, scope.operation
    ).grouped_field_set
    return _selected(scope, query_type, groups)


def _selected(
    scope: Scope, object_type: GraphQLObjectType, groups: dict[str, list[FieldDetails]]
) -> dict[str, SelectedField]:
    return {key: SelectedField(scope, object_type, details) for key, details in groups.items()}
