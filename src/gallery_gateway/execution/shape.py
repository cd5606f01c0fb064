"""Which variables decide what an operation selects, and not only what it asks for."""

from collections.abc import Iterator

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)


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
