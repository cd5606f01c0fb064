"""From a text to a document that is valid in the schema and within its limits."""

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

_SETTING_PREFIX = "GALLERY_GATEWAY_"

# Each costs time, and nobody reads more.
_MAX_ERRORS = 20


class Validator:
    """Parses and validates.

    Args:
        introspection: whether `__schema` and `__type` may be asked for.
        service_sdl: whether a federation router may ask for the SDL.
        suggestions: whether an error says what may have been meant.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        limits: DocumentLimits,
        *,
        introspection: bool = True,
        service_sdl: bool = True,
        suggestions: bool = True,
    ) -> None:
        self._schema = schema
        self._limits = limits
        self._suggests = suggestions
        bounded = _bounded_merging(limits)
        self._rules: list[type[ASTValidationRule]] = [
            bounded if rule is OverlappingFieldsCanBeMergedRule else rule for rule in specified_rules
        ]
        if not introspection:
            self._rules.append(_without(frozenset({"__schema", "__type"}), "INTROSPECTION"))
        if not service_sdl:
            self._rules.append(_without(frozenset({"_service"}), "SERVICE_SDL"))

    def document(self, text: str) -> DocumentNode:
        """Raises: DocumentError: it cannot be parsed, is too much, or is not valid in the schema."""
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
            hide_suggestions=not self._suggests,
        )
        if invalid:
            errors = (with_code(error, VALIDATION_FAILED) for error in invalid)
            raise DocumentError(*errors, document=document)
        return document


def _bounded_merging(limits: DocumentLimits) -> type[OverlappingFieldsCanBeMergedRule]:
    """graphql-core's rule compares fields in pairs; its own bound on that lets it run for seconds."""

    class BoundedMergingRule(OverlappingFieldsCanBeMergedRule):
        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            self.rule_context.remaining_complexity_budget = limits.comparisons

        def enter_selection_set(self, *arguments: Any) -> None:
            try:
                super().enter_selection_set(*arguments)
            except ValidationAbortedError:
                if self.rule_context.remaining_complexity_budget < 0:
                    told = "comparisons of fields that share a response key"
                    message = exceeded("The document", "comparisons", limits.comparisons, told)
                    raise ValidationAbortedError(message) from None
                raise

    return BoundedMergingRule


def _without(names: frozenset[str], switch: str) -> type[ValidationRule]:
    """Refuses root fields that are switched off, each once and with nothing said of what is below it."""

    class WithoutRule(ValidationRule):
        def enter_field(self, node: FieldNode, *_arguments: Any) -> VisitorAction:
            if (
                node.name.value not in names
                or self.context.get_parent_type() is not self.context.schema.query_type
            ):
                return None
            message = f"`{node.name.value}` is switched off here ({_SETTING_PREFIX}{switch})."
            self.report_error(GraphQLError(message, node))
            return SKIP

    return WithoutRule
