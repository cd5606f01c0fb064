"""Bounds on what a document may be, checked before it is validated."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

from gallery_gateway.errors import BadUserInputError

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"


class DocumentError(Exception):
    """A document that does not become an operation.

    Args:
        errors: what the client is told.
        document: what it was parsed into, if it was.
    """

    def __init__(self, *errors: GraphQLError, document: DocumentNode | None = None) -> None:
        super().__init__(errors[0].message)
        self.errors = list(errors)
        self.document = document


class TooManyImagesError(BadUserInputError):
    """The response to an operation would hold too many images, so that the operation is refused as a whole.

    Args:
        number: the images of all root fields that are loaded by now.
    """

    def __init__(self, number: int, *, max_images: int) -> None:
        super().__init__(
            f"The response would hold {number} images; the limit is {max_images}."
            " Ask for fewer projects or images, or select fewer lists of images."
        )
        self.number = number


def with_code(error: GraphQLError, code: str) -> GraphQLError:
    """The same error, its code in `extensions`."""
    error.extensions = {**(error.extensions or {}), "code": code}
    return error


# GraphQL specification, 2.1. Each alternative takes all that it begins with, so that no character is
# looked at twice: what is not closed runs to where it must end. Whatever cannot begin a token is one.
_TOKEN = re.compile(
    r"""
      \#[^\n\r]*+
    | \"\"\"(?:[^"\\]++|\\\"\"\"|\\|"(?!""))*+(?:\"\"\")?+
    | "(?:[^"\\\n\r]++|\\[^\n\r])*+"?+
    | [_A-Za-z][_0-9A-Za-z]*+
    | -?+[0-9][0-9.eE+-]*+
    | \.\.\.
    | [^\s,\ufeff]
    """,
    re.VERBOSE,
)


def tokens_of(text: str) -> list[str]:
    """The lexical tokens, comments among them."""
    return _TOKEN.findall(text)


def significant(text: str) -> tuple[str, ...]:
    """The tokens that have a meaning; documents that have the same are the same but for their layout."""
    return tuple(token for token in tokens_of(text) if not token.startswith("#"))


_INTROSPECTION_ROOTS = frozenset({"__schema", "__type"})
# The lists of introspection that hold types, or fields with types.
_TYPE_LISTS = frozenset({"types", "fields", "interfaces", "possibleTypes", "inputFields"})


class StatsPosition(NamedTuple):
    """Where a selection set stands, below its definition or below the introspection that it is part of."""

    depth: int = 0
    lists: int = 0
    is_introspection: bool = False

    def below(self, name: str) -> "StatsPosition":
        """The place below a field."""
        if not self.is_introspection and name in _INTROSPECTION_ROOTS:
            return StatsPosition(1, 0, is_introspection=True)
        return StatsPosition(self.depth + 1, self.lists + (name in _TYPE_LISTS), self.is_introspection)


@dataclass(slots=True)
class Introspection:
    """The part of it that is below `__schema` or `__type`, those included in the depth."""

    depth: int = 0
    lists: int = 0
    aliases: int = 0


@dataclass(slots=True)
class DocumentStats:
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
    spreads: list[tuple[StatsPosition, str]] = field(default_factory=list)

    def add(self, place: StatsPosition, fragment: "DocumentStats") -> None:
        """Adds what a fragment comes to that is spread at a place."""
        self.fields += fragment.fields
        self.aliases += fragment.aliases
        self.directives += fragment.directives
        self.fragments += fragment.fragments
        self.schemas += fragment.schemas
        if place == StatsPosition():
            self.root_fields += fragment.root_fields
        self.reach(place.depth + fragment.depth, place.lists + fragment.lists, place)
        inner = fragment.introspection
        self.reach(inner.depth, inner.lists, _INSIDE)
        self.introspection.aliases += fragment.aliases if place.is_introspection else inner.aliases

    def reach(self, depth: int, lists: int, place: StatsPosition) -> None:
        """Notes how deep the fields at a place are."""
        reached = self.introspection if place.is_introspection else self
        reached.depth = max(reached.depth, depth)
        reached.lists = max(reached.lists, lists)

    def add_field(self, node: FieldNode, place: StatsPosition) -> StatsPosition:
        """Gives the place below it."""
        below = place.below(node.name.value)
        self.fields += 1
        self.root_fields += place == StatsPosition()
        self.schemas += node.name.value == "__schema"
        self.reach(below.depth, below.lists, below)
        if node.alias:
            self.aliases += 1
            self.introspection.aliases += place.is_introspection
        return below


_INSIDE = StatsPosition(is_introspection=True)


def stats_definition(definition: OperationDefinitionNode | FragmentDefinitionNode) -> DocumentStats:
    """What a definition comes to by itself; what it spreads is told and not followed."""
    stats = DocumentStats(directives=len(definition.directives or ()))
    stack = [(StatsPosition(), definition.selection_set)]
    while stack:
        place, selection_set = stack.pop()
        for node in selection_set.selections:
            stats.directives += len(node.directives or ())
            stack.extend(_counted(stats, place, node))
    return stats


def _counted(
    stats: DocumentStats, place: StatsPosition, node: SelectionNode
) -> Iterator[tuple[StatsPosition, SelectionSetNode]]:
    """Counts a selection, and gives what is selected below it."""
    if isinstance(node, FieldNode):
        place = stats.add_field(node, place)
    else:
        stats.fragments += 1
    if isinstance(node, FragmentSpreadNode):
        stats.spreads.append((place, node.name.value))
        return
    nested: SelectionSetNode | None = getattr(node, "selection_set", None)
    if nested:
        yield place, nested


_SETTING = "GALLERY_GATEWAY_MAX_DOCUMENT_"


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLimits:
    """The most of each, in an operation with its fragments; the names are those of the settings.

    Args:
        bytes: of the whole document, in UTF-8.
        tokens: of the whole document, as the lexer counts them.
        depth: fields within fields.
        fields: counted as often as they are spread, like all below.
        root_fields: fields of the operation itself.
        fragments: spreads and inline fragments; also the definitions in the whole document.
        comparisons: of fields that share a response key, while it is told whether they can be merged.
    """

    bytes: int
    tokens: int
    depth: int
    fields: int
    aliases: int
    root_fields: int
    directives: int
    fragments: int
    comparisons: int


_TOLD = {
    "depth": "levels of fields",
    "fields": "fields, counted through its fragments",
    "aliases": "aliases, counted through its fragments",
    "root_fields": "root fields",
    "directives": "directives, counted through its fragments",
    "fragments": "fragments, counted as often as they are spread",
}

# What tools send: `__schema` once, fields of types but not the fields of their types, and no aliases.
# graphql-js's own query has 15 levels, nine of them for wrapped types.
_INTROSPECTION_DEPTH = 15
_INTROSPECTION_LISTS = 2
_INTROSPECTION = "Introspection is answered in its usual form only: "


def check_text(text: str, limits: DocumentLimits) -> None:
    """Raises: DocumentError: too long to be parsed."""
    # A character is a byte or more.
    if len(text) > limits.bytes or len(text.encode(errors="surrogatepass")) > limits.bytes:
        raise DocumentError(_exceeded("The document", "bytes", limits.bytes, "bytes", PARSE_FAILED))
    if len(tokens_of(text)) > limits.tokens:
        raise DocumentError(_exceeded("The document", "tokens", limits.tokens, "tokens", PARSE_FAILED))


def check_document(document: DocumentNode, limits: DocumentLimits) -> None:
    """Raises: DocumentError: an operation of it is more than it may be."""
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    if len(fragments) > limits.fragments:
        error = _exceeded("The document", "fragments", limits.fragments, "fragments", VALIDATION_FAILED)
        raise DocumentError(error, document=document)
    expansion = Expansion(fragments)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            for found in _errors(expansion.total(definition), limits):
                raise DocumentError(found, document=document)


class Expansion:
    """What operations come to with their fragments, each of which is added up once."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._totals: dict[str, DocumentStats] = {}

    def total(self, definition: OperationDefinitionNode | FragmentDefinitionNode) -> DocumentStats:
        stats = stats_definition(definition)
        for place, name in stats.spreads:
            if name in self._fragments:
                stats.add(place, self._total_of(name))
        return stats

    def _total_of(self, name: str) -> DocumentStats:
        if name not in self._totals:
            # What is found while it is added up is a cycle, and adds nothing.
            self._totals[name] = DocumentStats()
            self._totals[name] = self.total(self._fragments[name])
        return self._totals[name]


def _errors(stats: DocumentStats, limits: DocumentLimits) -> Iterator[GraphQLError]:
    for name, told in _TOLD.items():
        limit = getattr(limits, name)
        if getattr(stats, name) > limit:
            yield _exceeded("The operation", name, limit, told, VALIDATION_FAILED)
    if stats.schemas > 1:
        yield _introspection("`__schema` once.")
    if stats.introspection.aliases:
        yield _introspection("without aliases in it.")
    if stats.introspection.depth > _INTROSPECTION_DEPTH:
        yield _introspection(f"no deeper than {_INTROSPECTION_DEPTH} fields.")
    if stats.introspection.lists > _INTROSPECTION_LISTS:
        yield _introspection(f"no more than {_INTROSPECTION_LISTS} lists of types or fields in each other.")


def exceeded(subject: str, name: str, limit: int, told: str) -> str:
    """What is said of a limit: its value, and the setting that it comes from."""
    return f"{subject} has more than {limit} {told} ({_SETTING}{name.upper()})."


def _exceeded(subject: str, name: str, limit: int, told: str, code: str) -> GraphQLError:
    return with_code(GraphQLError(exceeded(subject, name, limit, told)), code)


def _introspection(told: str) -> GraphQLError:
    return with_code(GraphQLError(_INTROSPECTION + told), VALIDATION_FAILED)
