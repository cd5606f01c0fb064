"""Documents: parsed, checked and validated once, and found again by their text."""

import gc
import sys
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from cachetools import LRUCache
from graphql import (
    SKIP,
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLNonNull,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    VariableDefinitionNode,
    VariableNode,
    VisitorAction,
    get_operation_ast,
    parse,
    print_ast,
    specified_rules,
    validate,
)
from graphql.validation import (
    ASTValidationRule,
    OverlappingFieldsCanBeMergedRule,
    ValidationContext,
    ValidationRule,
    VariablesInAllowedPositionRule,
)
from graphql.validation.rules.variables_in_allowed_position import allowed_variable_usage
from graphql.validation.validate import ValidationAbortedError

from gallery_gateway.execution.limits import (
    PARSE_FAILED,
    VALIDATION_FAILED,
    DocumentError,
    DocumentLimits,
    check_document,
    check_text,
    exceeded,
    tokens_of,
    with_code,
)

# Each error takes time to find.
_MAX_ERRORS = 20

# Several hundred documents of the largest size, or 10,000 small ones.
_MAX_BYTES = 32 * 1024 * 1024

# Share of the budget for refused documents: a client that repeats one must not pay for validation again.
_REFUSED_SHARE = 16

# Share of the budget that may be garbage.
_GARBAGE_SHARE = 8

# Memory of graphql-core, measured on CPython 3.11: for each document, and for each token.
_DOCUMENT_BYTES = 4_500
_TOKEN_BYTES = 400


def _weight_bytes(text: str) -> int:
    """Return the memory of a parsed document; its tokens repeat strings and comments of the text."""
    return _DOCUMENT_BYTES + _TOKEN_BYTES * len(tokens_of(text)) + 2 * sys.getsizeof(text)


@dataclass(slots=True, eq=False, weakref_slot=True)
class PreparedDocument:
    """A valid document, its text, and the memory of its plans."""

    text: str
    document: DocumentNode
    plan_bytes: int = 0

    @property
    def weight_bytes(self) -> int:
        return _weight_bytes(self.text) + self.plan_bytes

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """Raises: DocumentError: there is no such operation, or there are several and no name is given."""
        operation = get_operation_ast(self.document, name)
        if operation is None:
            message = (
                f"The document has no operation named {name!r}."
                if name
                else "The document has several operations: send operationName."
            )
            error = GraphQLError(message, extensions={"code": "BAD_REQUEST"})
            raise DocumentError(error, document=self.document)
        return operation


class _Refused(NamedTuple):
    """The errors of a refused document, and the memory of both."""

    errors: list[GraphQLError]
    document: DocumentNode | None
    weight_bytes: int


class Documents:
    """Two LRU caches of one budget: prepared documents, and in a small share of it refused ones.

    Args:
        introspection: whether `__schema` and `__type` may be selected, and errors suggest names.
        service_sdl: whether federation routers may select `_service`.
        max_bytes: budget for the memory of all cached documents with their plans.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        limits: DocumentLimits,
        *,
        introspection: bool = True,
        service_sdl: bool = True,
        max_bytes: int = _MAX_BYTES,
    ) -> None:
        self._schema = schema
        self._limits = limits
        self._rules = _validation_rules(
            max_comparisons=limits.comparisons, introspection=introspection, service_sdl=service_sdl
        )
        self.suggests = introspection
        self._evicted_bytes = 0
        self._prepared: LRUCache[str, PreparedDocument] = LRUCache(
            max_bytes, getsizeof=lambda prepared: prepared.weight_bytes
        )
        self._refused: LRUCache[str, _Refused] = LRUCache(
            max_bytes // _REFUSED_SHARE, getsizeof=lambda refused: refused.weight_bytes
        )

    def __len__(self) -> int:
        return len(self._prepared)

    def prepare(self, text: str) -> PreparedDocument:
        """Raises: DocumentError: `text` cannot be parsed, exceeds a limit, or is not valid in the schema."""
        prepared = self._prepared.get(text)
        if prepared is None:
            prepared = self._prepare(text)
            self._store(prepared)
        return prepared

    def weigh(self, prepared: PreparedDocument) -> None:
        """Weigh a document again after its plans have grown; it may be evicted."""
        if self._prepared.get(prepared.text) is prepared:
            del self._prepared[prepared.text]
            self._store(prepared)

    def _store(self, prepared: PreparedDocument) -> None:
        if prepared.weight_bytes > self._prepared.maxsize:
            return
        expected = int(self._prepared.currsize) + prepared.weight_bytes
        self._prepared[prepared.text] = prepared
        self._evicted_bytes += expected - int(self._prepared.currsize)
        if self._evicted_bytes > self._prepared.maxsize // _GARBAGE_SHARE:
            # Tokens and plans are reference cycles, which the collector would free too late.
            self._evicted_bytes = 0
            gc.collect()

    def _prepare(self, text: str) -> PreparedDocument:
        refused = self._refused.get(text)
        if refused is not None:
            raise DocumentError(*refused.errors, document=refused.document)
        try:
            return PreparedDocument(text, self._parse(text))
        except DocumentError as exc:
            # Tracebacks hold frames, and the frames of the first client's request hold its token.
            errors = [error.with_traceback(None) for error in exc.errors]
            weight_bytes = _DOCUMENT_BYTES
            # Without a document, no tokens are kept.
            weight_bytes += _weight_bytes(text) if exc.document is not None else 2 * sys.getsizeof(text)
            if weight_bytes <= self._refused.maxsize:
                self._refused[text] = _Refused(errors, exc.document, weight_bytes)
            raise

    def _parse(self, text: str) -> DocumentNode:
        check_text(text, self._limits)
        try:
            document = parse(text, max_tokens=self._limits.tokens)
        except GraphQLSyntaxError as exc:
            raise DocumentError(with_code(exc, PARSE_FAILED)) from exc
        check_document(document, self._limits)
        hide = not self.suggests
        errors = validate(self._schema, document, self._rules, _MAX_ERRORS, hide_suggestions=hide)
        if errors:
            raise DocumentError(*(with_code(e, VALIDATION_FAILED) for e in errors), document=document)
        return document


def _validation_rules(
    *, max_comparisons: int, introspection: bool, service_sdl: bool
) -> list[type[ASTValidationRule]]:
    """Return the rules for documents; the arguments are those of `DocumentLimits` and `Documents`."""
    replaced: dict[type[ASTValidationRule], type[ASTValidationRule]] = {
        OverlappingFieldsCanBeMergedRule: _bounded_merging(max_comparisons),
        VariablesInAllowedPositionRule: _IntAsBigIntRule,
    }
    rules = [replaced.get(rule, rule) for rule in specified_rules]
    if not introspection:
        rules.append(_without(frozenset({"__schema", "__type"})))
    if not service_sdl:
        rules.append(_without(frozenset({"_service"})))
    return rules


class _IntAsBigIntRule(VariablesInAllowedPositionRule):
    """graphql-core's rule, but a variable may be an `Int` where a `BigInt` is expected: every `Int` is one.

    Without it, documents from before `BigInt` would be refused (`docs/decisions/large-ids.md`).
    """

    def leave_operation_definition(self, operation: OperationDefinitionNode, *arguments: Any) -> None:
        self._usages = self.context.get_recursive_variable_usages(operation)
        super().leave_operation_definition(operation, *arguments)

    def report_error(self, error: GraphQLError) -> None:
        definition, variable = cast("tuple[VariableDefinitionNode, VariableNode]", error.nodes)
        usage = next(usage for usage in self._usages if usage.node is variable)
        schema = self.context.schema
        types: dict[str, Any] = {"Int": schema.type_map.get("BigInt")}
        types["Int!"] = types["Int"] and GraphQLNonNull(types["Int"])
        wider = types.get(print_ast(definition.type))
        place: Any = usage.type
        if wider is None or not allowed_variable_usage(
            schema, wider, definition.default_value, place, usage.default_value
        ):
            super().report_error(error)


def _bounded_merging(max_comparisons: int) -> type[OverlappingFieldsCanBeMergedRule]:
    """Return graphql-core's rule, which compares fields in pairs, with a bound of our own.

    graphql-core's bound lets the rule run for seconds.
    """

    class BoundedMergingRule(OverlappingFieldsCanBeMergedRule):
        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            self.rule_context.remaining_complexity_budget = max_comparisons

        def enter_selection_set(self, *arguments: Any) -> None:
            try:
                super().enter_selection_set(*arguments)
            except ValidationAbortedError:
                if self.rule_context.remaining_complexity_budget < 0:
                    unit = "comparisons of fields that share a response key"
                    raise ValidationAbortedError(exceeded("document", max_comparisons, unit)) from None
                raise

    return BoundedMergingRule


def _without(names: frozenset[str]) -> type[ValidationRule]:
    """Return a rule that refuses these root fields, and skips the selections below them."""

    class WithoutRule(ValidationRule):
        def enter_field(self, node: FieldNode, *_arguments: Any) -> VisitorAction:
            if (
                node.name.value not in names
                or self.context.get_parent_type() is not self.context.schema.query_type
            ):
                return None
            self.report_error(GraphQLError(f"`{node.name.value}` is disabled on this server.", node))
            return SKIP

    return WithoutRule
