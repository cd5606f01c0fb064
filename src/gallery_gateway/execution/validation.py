"""Validation rules: graphql-core's, with a bound of our own and switches for root fields."""

from typing import Any

from graphql import SKIP, FieldNode, GraphQLError, VisitorAction, specified_rules
from graphql.validation import (
    ASTValidationRule,
    OverlappingFieldsCanBeMergedRule,
    ValidationContext,
    ValidationRule,
)
from graphql.validation.validate import ValidationAbortedError

from gallery_gateway.execution.limits import exceeded


def validation_rules(
    *, max_comparisons: int, introspection: bool, service_sdl: bool
) -> list[type[ASTValidationRule]]:
    """Return the rules for documents.

    Args:
        max_comparisons: of fields that share a response key; see `DocumentLimits`.
        introspection: whether `__schema` and `__type` may be selected.
        service_sdl: whether `_service` may be selected.
    """
    bounded = _bounded_merging(max_comparisons)
    rules: list[type[ASTValidationRule]] = [
        bounded if rule is OverlappingFieldsCanBeMergedRule else rule for rule in specified_rules
    ]
    if not introspection:
        rules.append(_without(frozenset({"__schema", "__type"})))
    if not service_sdl:
        rules.append(_without(frozenset({"_service"})))
    return rules


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
