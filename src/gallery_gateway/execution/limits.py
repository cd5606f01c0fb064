"""What a document may be, found out in one pass before it is validated.

Each definition is walked once and each fragment is added up once, however often and through however many
others it is spread: the pass is linear in the document, and cycles (which validation refuses) end it nowhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    OperationDefinitionNode,
)

from gallery_gateway.execution.lexing import tokens_of
from gallery_gateway.execution.refusals import PARSE_FAILED, VALIDATION_FAILED, DocumentError, with_code
from gallery_gateway.execution.tally import Tally, tally_definition

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
        self._totals: dict[str, Tally] = {}

    def total(self, definition: OperationDefinitionNode | FragmentDefinitionNode) -> Tally:
        tally = tally_definition(definition)
        for place, name in tally.spreads:
            if name in self._fragments:
                tally.add(place, self._total_of(name))
        return tally

    def _total_of(self, name: str) -> Tally:
        if name not in self._totals:
            # What is found while it is added up is a cycle, and adds nothing.
            self._totals[name] = Tally()
            self._totals[name] = self.total(self._fragments[name])
        return self._totals[name]


def _errors(tally: Tally, limits: DocumentLimits) -> Iterator[GraphQLError]:
    for name, told in _TOLD.items():
        limit = getattr(limits, name)
        if getattr(tally, name) > limit:
            yield _exceeded("The operation", name, limit, told, VALIDATION_FAILED)
    if tally.schemas > 1:
        yield _introspection("`__schema` once.")
    if tally.introspection.aliases:
        yield _introspection("without aliases in it.")
    if tally.introspection.depth > _INTROSPECTION_DEPTH:
        yield _introspection(f"no deeper than {_INTROSPECTION_DEPTH} fields.")
    if tally.introspection.lists > _INTROSPECTION_LISTS:
        yield _introspection(f"no more than {_INTROSPECTION_LISTS} lists of types or fields in each other.")


def exceeded(subject: str, name: str, limit: int, told: str) -> str:
    """What is said of a limit: its value, and the setting that it comes from."""
    return f"{subject} has more than {limit} {told} ({_SETTING}{name.upper()})."


def _exceeded(subject: str, name: str, limit: int, told: str, code: str) -> GraphQLError:
    return with_code(GraphQLError(exceeded(subject, name, limit, told)), code)


def _introspection(told: str) -> GraphQLError:
    return with_code(GraphQLError(_INTROSPECTION + told), VALIDATION_FAILED)
