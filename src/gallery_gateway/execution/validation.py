"""Parses and validates a document within its limits."""

from typing import Any

from graphql import (
    SKIP,
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    VisitorAction,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import (
    ASTValidationRule,
    OverlappingFieldsCanBeMergedRule,
    ValidationContext,
    ValidationRule,
)
from graphql.validation.validate import ValidationAbortedError

from gallery_gateway.execution.limits import (
    PARSE_FAILED,
    VALIDATION_FAILED,
    DocumentError,
    DocumentLimits,
    check_document,
    check_text,
    exceeded,
    with_code,
)

# Finding each error takes time.
_MAX_ERRORS = 20


class Validator:
    """Parses and validates documents.

    Args:
        introspection: whether `__schema` and `__type` may be selected, and errors may suggest names.
        service_sdl: whether a federation router may select `_service`.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        limits: DocumentLimits,
        *,
        introspection: bool = True,
        service_sdl: bool = True,
    ) -> None:
        self._schema = schema
        self._limits = limits
        self._introspection = introspection
        bounded = _bounded_merging(limits)
        self._rules: list[type[ASTValidationRule]] = [
            bounded if rule is OverlappingFieldsCanBeMergedRule else rule for rule in specified_rules
        ]
        if not introspection:
            self._rules.append(_without(frozenset({"__schema", "__type"})))
        if not service_sdl:
            self._rules.append(_without(frozenset({"_service"})))

    def document(self, text: str) -> DocumentNode:
        """Raises: DocumentError: `text` cannot be parsed, exceeds a limit, or is not valid in the schema."""
        check_text(text, self._limits)
        try:
            document = parse(text, max_tokens=self._limits.tokens)
        except GraphQLSyntaxError as exc:
            raise DocumentError(with_code(exc, PARSE_FAILED)) from exc
        check_document(document, self._limits)
        invalid = validate(
            self._schema,
            document,
            self._rules,
            max_errors=_MAX_ERRORS,
            hide_suggestions=not self._introspection,
        )
        if invalid:
            errors = (with_code(error, VALIDATION_FAILED) for error in invalid)
            raise DocumentError(*errors, document=document)
        return document


def _bounded_merging(limits: DocumentLimits) -> type[OverlappingFieldsCanBeMergedRule]:
    """Return graphql-core's rule, which compares fields in pairs, with a bound of our own.

    graphql-core's bound lets the rule run for seconds.
    """

    class BoundedMergingRule(OverlappingFieldsCanBeMergedRule):
        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            self.rule_context.remaining_complexity_budget = limits.comparisons

        def enter_selection_set(self, *arguments: Any) -> None:
            try:
                super().enter_selection_set(*arguments)
            except ValidationAbortedError:
                if self.rule_context.remaining_complexity_budget < 0:
                    unit = "comparisons of fields that share a response key"
                    raise ValidationAbortedError(exceeded("document", limits.comparisons, unit)) from None
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
