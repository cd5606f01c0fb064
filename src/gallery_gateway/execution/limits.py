"""Limits of a GraphQL document: its tokens, its counts, and their maxima, all checked before validation.

Also the errors of refused documents and operations.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from gallery_gateway.errors import BadUserInputError

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"


class DocumentError(Exception):
    """A document that cannot be run.

    Args:
        errors: the errors of the response.
        document: the parsed document; `None` if it could not be parsed.
    """

    def __init__(self, *errors: GraphQLError, document: DocumentNode | None = None) -> None:
        super().__init__(errors[0].message)
        self.errors = list(errors)
        self.document = document


class TooManyImagesError(BadUserInputError):
    """The response to an operation would hold too many images; the operation is refused as a whole.

    Args:
        number: images of all root fields that are loaded so far.
    """

    def __init__(self, number: int, *, max_images: int) -> None:
        super().__init__(
            f"The response would hold {number} images; the limit is {max_images}."
            " Ask for fewer projects or images, or select fewer lists of images."
        )
        self.number = number


def with_code(error: GraphQLError, code: str) -> GraphQLError:
    """Set the code in the extensions of `error`, and return it."""
    error.extensions = {**(error.extensions or {}), "code": code}
    return error


# GraphQL specification, section 2.1. The quantifiers are possessive, so each character is looked at once. An
# unclosed string runs to the end of its line or text; a character that begins no token counts as one.
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
    """Return the lexical tokens, including comments."""
    return _TOKEN.findall(text)


def significant(text: str) -> tuple[str, ...]:
    """Return the tokens without comments; documents that differ only in layout have the same."""
    return tuple(token for token in tokens_of(text) if not token.startswith("#"))


_INTROSPECTION_ROOTS = frozenset({"__schema", "__type"})
# Lists of types, or of objects that refer to types.
_TYPE_LISTS = frozenset({"types", "fields", "interfaces", "possibleTypes", "inputFields"})


class Position(NamedTuple):
    """The position of a selection set, relative to its definition or to the introspection around it.

    Args:
        depth: fields above it.
        lists: fields above it that are lists of introspection.
    """

    depth: int = 0
    lists: int = 0
    is_introspection: bool = False

    def below(self, name: str) -> "Position":
        """Return the position below the field `name`."""
        if not self.is_introspection and name in _INTROSPECTION_ROOTS:
            return Position(1, 0, is_introspection=True)
        return Position(self.depth + 1, self.lists + (name in _TYPE_LISTS), self.is_introspection)


@dataclass(slots=True)
class DocumentStats:
    """Counts of an operation or a fragment.

    Args:
        depth: levels of fields outside introspection.
        schemas: selections of `__schema`.
        inner_depth: levels of introspection, from `__schema` or `__type` on.
        spreads: names of the fragments that are spread in it, with their positions.
    """

    fields: int = 0
    aliases: int = 0
    root_fields: int = 0
    directives: int = 0
    fragments: int = 0
    depth: int = 0
    lists: int = 0
    schemas: int = 0
    inner_depth: int = 0
    inner_lists: int = 0
    inner_aliases: int = 0
    spreads: list[tuple[Position, str]] = field(default_factory=list)

    def add_fragment(self, position: Position, fragment: "DocumentStats") -> None:
        """Add the counts of a fragment that is spread at `position`."""
        self.fields += fragment.fields
        self.aliases += fragment.aliases
        self.directives += fragment.directives
        self.fragments += fragment.fragments
        self.schemas += fragment.schemas
        if position == Position():
            self.root_fields += fragment.root_fields
        depth, lists, is_introspection = position
        self._reach(Position(depth + fragment.depth, lists + fragment.lists, is_introspection))
        self._reach(Position(fragment.inner_depth, fragment.inner_lists, is_introspection=True))
        self.inner_aliases += fragment.aliases if is_introspection else fragment.inner_aliases

    def add_field(self, node: FieldNode, position: Position) -> Position:
        """Count a field, and return the position below it."""
        below = position.below(node.name.value)
        self.fields += 1
        self.root_fields += position == Position()
        self.schemas += node.name.value == "__schema"
        self._reach(below)
        if node.alias:
            self.aliases += 1
            self.inner_aliases += position.is_introspection
        return below

    def _reach(self, position: Position) -> None:
        if position.is_introspection:
            self.inner_depth = max(self.inner_depth, position.depth)
            self.inner_lists = max(self.inner_lists, position.lists)
        else:
            self.depth = max(self.depth, position.depth)
            self.lists = max(self.lists, position.lists)


def _count(definition: OperationDefinitionNode | FragmentDefinitionNode) -> DocumentStats:
    """Return the counts of a definition without the fragments that it spreads."""
    stats = DocumentStats(directives=len(definition.directives or ()))
    stack: list[tuple[Position, SelectionSetNode]] = [(Position(), definition.selection_set)]
    while stack:
        position, selection_set = stack.pop()
        for node in selection_set.selections:
            stats.directives += len(node.directives or ())
            below = position
            if isinstance(node, FieldNode):
                below = stats.add_field(node, position)
            else:
                stats.fragments += 1
            if isinstance(node, FragmentSpreadNode):
                stats.spreads.append((position, node.name.value))
            elif isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set:
                stack.append((below, node.selection_set))
    return stats


class Expansion:
    """Counts operations with their fragments; each fragment is counted once, and added at each spread."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._totals: dict[str, DocumentStats] = {}

    def total(self, definition: OperationDefinitionNode | FragmentDefinitionNode) -> DocumentStats:
        stats = _count(definition)
        for position, name in stats.spreads:
            if name in self._fragments:
                stats.add_fragment(position, self._total_of(name))
        return stats

    def _total_of(self, name: str) -> DocumentStats:
        if name not in self._totals:
            # A fragment that spreads itself adds nothing; validation refuses the cycle.
            self._totals[name] = DocumentStats()
            self._totals[name] = self.total(self._fragments[name])
        return self._totals[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLimits:
    """Maxima for a document and its operations.

    Args:
        bytes: of the document, in UTF-8.
        tokens: of the document, including comments.
        depth: fields within fields.
        fields: of an operation. This and the counts below count a fragment at each spread.
        root_fields: of an operation.
        fragments: spreads and inline fragments of an operation; also fragment definitions of the document.
        comparisons: of fields that share a response key, while validation decides whether they can be merged.
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

    @classmethod
    def for_tokens(cls, max_tokens: int) -> Self:
        """Return the limits for documents of up to `max_tokens` tokens, the only number that is a setting."""
        return cls(
            tokens=max_tokens,
            # A larger document has more of everything. A pretty-printed token takes 6 to 10 bytes with its
            # indentation; at most every second token is a field; aliases and directives are rare.
            bytes=max_tokens * 32_768 // 2_000,
            fields=max_tokens // 2,
            aliases=max_tokens // 20,
            directives=max_tokens // 20,
            # 15,000 comparisons take 25 ms (CPython 3.11).
            comparisons=max_tokens * 15 // 2,
            # The graph has 5 levels without introspection, and an operation may make 20 upstream calls.
            depth=12,
            root_fields=30,
            # Fragments that spread each other are followed recursively.
            fragments=100,
        )


_UNITS = {
    "depth": "levels of fields",
    "fields": "fields, including those of its fragments",
    "aliases": "aliases, including those of its fragments",
    "root_fields": "root fields",
    "directives": "directives, including those of its fragments",
    "fragments": "fragments, counted at each spread",
}

# The introspection queries of common tools select `__schema` once, select fields of types but not the fields
# of their types, and have no aliases. graphql-js's query has 15 levels, nine of them for wrapped types.
_INTROSPECTION_DEPTH = 15
_INTROSPECTION_LISTS = 2


def check_text(text: str, limits: DocumentLimits) -> None:
    """Raises: DocumentError: the document is too long to be parsed."""
    # A character takes at least one byte.
    if len(text) > limits.bytes or len(text.encode(errors="surrogatepass")) > limits.bytes:
        raise DocumentError(_exceeded("document", limits.bytes, "bytes", PARSE_FAILED))
    if len(tokens_of(text)) > limits.tokens:
        raise DocumentError(_exceeded("document", limits.tokens, "tokens", PARSE_FAILED))


def check_document(document: DocumentNode, limits: DocumentLimits) -> None:
    """Raises: DocumentError: the document, or an operation in it, exceeds a limit."""
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    if len(fragments) > limits.fragments:
        error = _exceeded("document", limits.fragments, "fragments", VALIDATION_FAILED)
        raise DocumentError(error, document=document)
    expansion = Expansion(fragments)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            for error in _errors(expansion.total(definition), limits):
                raise DocumentError(error, document=document)


def _errors(stats: DocumentStats, limits: DocumentLimits) -> Iterator[GraphQLError]:
    for name, unit in _UNITS.items():
        limit = getattr(limits, name)
        if getattr(stats, name) > limit:
            yield _exceeded("operation", limit, unit, VALIDATION_FAILED)
    if stats.schemas > 1:
        yield _introspection("select `__schema` once")
    if stats.inner_aliases:
        yield _introspection("use no aliases in it")
    if stats.inner_depth > _INTROSPECTION_DEPTH:
        yield _introspection(f"nest at most {_INTROSPECTION_DEPTH} fields")
    if stats.inner_lists > _INTROSPECTION_LISTS:
        yield _introspection(f"nest at most {_INTROSPECTION_LISTS} lists of types or fields")


def exceeded(subject: str, limit: int, unit: str) -> str:
    """Return the message of a document or an operation that exceeds a limit."""
    return f"The {subject} has more than {limit} {unit}. Split it into smaller ones."


def _exceeded(subject: str, limit: int, unit: str, code: str) -> GraphQLError:
    return with_code(GraphQLError(exceeded(subject, limit, unit)), code)


def _introspection(advice: str) -> GraphQLError:
    message = f"This introspection is not supported: {advice}."
    return with_code(GraphQLError(message), VALIDATION_FAILED)
