"""What the answer to an operation may weigh: the most objects of some kind that its arguments allow for.

Found out once for a document (by `costing`), as a formula of its variables.
"""

import math
from dataclasses import dataclass

from graphql import GraphQLError

from gallery_gateway.execution.limits import VALIDATION_FAILED, with_code
from gallery_gateway.execution.sizes import Bound, Variables


@dataclass(frozen=True, slots=True)
class Term:
    """One list of counted objects: so many, times each of the bounds that variables have a say in."""

    number: int
    bounds: tuple[Bound, ...] = ()

    def times(self, bound: Bound) -> "Term":
        if bound.variables:
            return Term(self.number, (*self.bounds, bound))
        return Term(self.number * bound.most, self.bounds)

    @property
    def most(self) -> int:
        return self.number * math.prod(bound.most for bound in self.bounds)

    def value(self, variables: Variables) -> int:
        return self.number * math.prod(bound.value(variables) for bound in self.bounds)


@dataclass(frozen=True, slots=True)
class CostLimit:
    """What an operation may cost at most.

    Args:
        unit: what is counted, in the plural.
        setting: where the limit comes from.
    """

    most: int
    unit: str
    setting: str


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one operation; `defaults` are those of its variables."""

    limit: CostLimit
    decision: tuple[Term, ...]
    defaults: Variables

    @property
    def most(self) -> int:
        """Whatever the variables are."""
        return sum(term.most for term in self.decision)

    @property
    def least(self) -> int:
        """What no variable has a say in."""
        return sum(term.number for term in self.decision if not term.bounds)

    def value(self, variables: Variables | None) -> int:
        """With the variables of a run."""
        given = {**self.defaults, **(variables or {})}
        return sum(term.value(given) for term in self.decision)

    def error(self) -> GraphQLError:
        limit = self.limit
        message = f"The answer could hold more than {limit.most} {limit.unit} ({limit.setting})."
        return with_code(GraphQLError(f"{message} Ask for fewer at once."), VALIDATION_FAILED)
