"""Finds out what the operations of a document cost, with fragments resolved and fields merged."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    value_from_ast_untyped,
)

from gallery_gateway.execution.cost import Cost, CostLimit, Term
from gallery_gateway.execution.sizes import Bound, ListSizes, bound_of


class Costing:
    """Estimates the operations of valid documents.

    Args:
        sizes: how long lists can be; a list that it says nothing of counts as one object.
        counted: list fields (`Type.field`) whose items cost one each.
    """

    def __init__(
        self, schema: GraphQLSchema, limit: CostLimit, *, sizes: ListSizes, counted: frozenset[str]
    ) -> None:
        self._schema = schema
        self._limit = limit
        self._sizes = sizes
        self._counted = counted

    def costs(self, document: DocumentNode) -> Iterator[tuple[OperationDefinitionNode, Cost]]:
        fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        for definition in document.definitions:
            if isinstance(definition, OperationDefinitionNode):
                root = self._schema.get_root_type(definition.operation)
                selected = _Selected(root.name if root else "", [definition.selection_set])
                decision = self._decision(fragments, selected, {}, Term(1))
                yield definition, Cost(self._limit, tuple(decision), _defaults(definition))

    def _decision(
        self,
        fragments: "_Fragments",
        selected: "_Selected",
        bounds: Mapping[str, Bound],
        product: Term,
    ) -> Iterator[Term]:
        for fields in _grouped(fragments, selected):
            type_name, node = fields[0]
            coordinate = f"{type_name}.{node.name.value}"
            definition = self._definition(type_name, node)
            nested = [field.selection_set for _, field in fields if field.selection_set]
            if definition is None or not nested:
                continue
            inner = self._bounds(bounds, coordinate, definition, node)
            term = product.times(inner[coordinate]) if coordinate in inner else product
            if coordinate in self._counted:
                yield term
            below = _Selected(get_named_type(definition.type).name, nested)
            yield from self._decision(fragments, below, inner, term)

    def _bounds(
        self, outer: Mapping[str, Bound], coordinate: str, definition: GraphQLField, node: FieldNode
    ) -> Mapping[str, Bound]:
        """The bounds that hold below a field, and for itself."""
        said = self._sizes.get(coordinate)
        if said is None:
            return outer
        bounds = {of: bound_of(size, definition, node) for of, size in said.items()}
        return {
            of: outer[of].also(bounds[of]) if of in outer and of in bounds else (bounds.get(of) or outer[of])
            for of in {**outer, **bounds}
        }

    def _definition(self, type_name: str, node: FieldNode) -> GraphQLField | None:
        fields: Mapping[str, GraphQLField] = getattr(self._schema.type_map.get(type_name), "fields", {})
        return fields.get(node.name.value)


_Fragments = Mapping[str, FragmentDefinitionNode]


class _Selected(NamedTuple):
    type_name: str
    selection_sets: list[SelectionSetNode]


_Group = list[tuple[str, FieldNode]]
"""Fields under one response key, each with the name of the type that it is selected of."""


def _grouped(fragments: _Fragments, selected: _Selected) -> Iterable[_Group]:
    """The fields that are selected, by type and response key, with fragments resolved."""
    groups: dict[tuple[str, str], _Group] = {}
    stack = [(selected.type_name, selection_set) for selection_set in selected.selection_sets]
    spread: set[str] = set()
    while stack:
        type_name, selection_set = stack.pop()
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                key = (type_name, (node.alias or node.name).value)
                groups.setdefault(key, []).append((type_name, node))
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                stack.append((condition.name.value if condition else type_name, node.selection_set))
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
                spread.add(node.name.value)
                fragment = fragments[node.name.value]
                stack.append((fragment.type_condition.name.value, fragment.selection_set))
    return groups.values()


def _defaults(operation: OperationDefinitionNode) -> dict[str, object]:
    return {
        definition.variable.name.value: value_from_ast_untyped(definition.default_value)
        for definition in operation.variable_definitions or ()
        if definition.default_value
    }
