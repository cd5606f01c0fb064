"""What one definition of a document comes to, and what it comes to with the fragments it spreads."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

_INTROSPECTION_ROOTS = frozenset({"__schema", "__type"})
# The lists of introspection that hold types, or fields with types.
_TYPE_LISTS = frozenset({"types", "fields", "interfaces", "possibleTypes", "inputFields"})


class Place(NamedTuple):
    """Where a selection set stands, below its definition or below the introspection that it is part of."""

    depth: int = 0
    lists: int = 0
    is_introspection: bool = False

    def below(self, name: str) -> "Place":
        """The place below a field."""
        if not self.is_introspection and name in _INTROSPECTION_ROOTS:
            return Place(1, 0, is_introspection=True)
        return Place(self.depth + 1, self.lists + (name in _TYPE_LISTS), self.is_introspection)


@dataclass(slots=True)
class Introspection:
    """The part of it that is below `__schema` or `__type`, those included in the depth."""

    depth: int = 0
    lists: int = 0
    aliases: int = 0


@dataclass(slots=True)
class Tally:
    """Counts; `depth` and `lists` are those of the fields outside of introspection."""

    fields: int = 0
    aliases: int = 0
    root_fields: int = 0
    directives: int = 0
    fragments: int = 0
    depth: int = 0
    lists: int = 0
    schemas: int = 0
    introspection: Introspection = field(default_factory=Introspection)
    spreads: list[tuple[Place, str]] = field(default_factory=list)

    def add(self, place: Place, fragment: "Tally") -> None:
        """Adds what a fragment comes to that is spread at a place."""
        self.fields += fragment.fields
        self.aliases += fragment.aliases
        self.directives += fragment.directives
        self.fragments += fragment.fragments
        self.schemas += fragment.schemas
        if place == Place():
            self.root_fields += fragment.root_fields
        self.reach(place.depth + fragment.depth, place.lists + fragment.lists, place)
        inner = fragment.introspection
        self.reach(inner.depth, inner.lists, _INSIDE)
        self.introspection.aliases += fragment.aliases if place.is_introspection else inner.aliases

    def reach(self, depth: int, lists: int, place: Place) -> None:
        """Notes how deep the fields at a place are."""
        reached = self.introspection if place.is_introspection else self
        reached.depth = max(reached.depth, depth)
        reached.lists = max(reached.lists, lists)

    def add_field(self, node: FieldNode, place: Place) -> Place:
        """Gives the place below it."""
        below = place.below(node.name.value)
        self.fields += 1
        self.root_fields += place == Place()
        self.schemas += node.name.value == "__schema"
        self.reach(below.depth, below.lists, below)
        if node.alias:
            self.aliases += 1
            self.introspection.aliases += place.is_introspection
        return below


_INSIDE = Place(is_introspection=True)


def tally_definition(definition: OperationDefinitionNode | FragmentDefinitionNode) -> Tally:
    """What a definition comes to by itself; what it spreads is told and not followed."""
    tally = Tally(directives=len(definition.directives or ()))
    stack = [(Place(), definition.selection_set)]
    while stack:
        place, selection_set = stack.pop()
        for node in selection_set.selections:
            tally.directives += len(node.directives or ())
            stack.extend(_counted(tally, place, node))
    return tally


def _counted(tally: Tally, place: Place, node: SelectionNode) -> Iterator[tuple[Place, SelectionSetNode]]:
    """Counts a selection, and gives what is selected below it."""
    if isinstance(node, FieldNode):
        place = tally.add_field(node, place)
    else:
        tally.fragments += 1
    if isinstance(node, FragmentSpreadNode):
        tally.spreads.append((place, node.name.value))
        return
    nested: SelectionSetNode | None = getattr(node, "selection_set", None)
    if nested:
        yield place, nested
