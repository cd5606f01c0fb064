"""Plans an operation: which upstream calls it would make. Nothing is loaded, and no event loop is needed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import DocumentNode, GraphQLError, GraphQLSchema, OperationDefinitionNode, get_variable_values
from graphql.error import located_error
from graphql.execution.values import VariableValues

from gallery_gateway.errors import GatewayError, UnauthenticatedError
from gallery_gateway.execution.selection import Scope, SelectedField, fragments_of, root_fields
from gallery_gateway.gallery.planning import CallPlan, FirstLoads, KeyOf, plan_calls
from gallery_gateway.gallery.usage import Budget, OperationUsage
from gallery_gateway.schema.context import NO_TOKEN
from gallery_gateway.schema.roots import FIRST_LOADS


@dataclass(frozen=True, slots=True)
class OperationPlan:
    """The calls of an operation, and the errors that it would have before the first answer.

    An error without a path says why the operation would not be run at all.

    Args:
        excess: why the calls are refused, if they are; `errors` has it for each field.
        fields: the root fields by response key.
        loads: what each of them loads first; a field with an error has none.
    """

    calls: CallPlan
    errors: list[GraphQLError]
    excess: GatewayError | None = None
    fields: Mapping[str, SelectedField] = field(default_factory=dict)
    loads: Mapping[str, FirstLoads] = field(default_factory=dict)


def plan_operation(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any] | None,
    *,
    budget: Budget,
    key_of: KeyOf | None,
    hides_suggestions: bool = False,
) -> OperationPlan:
    """Return the upstream calls of a valid document's operation.

    Args:
        schema: as graphql-core executes it.
        document: contains the operation and its fragments.
        operation: the one to plan.
        variables: as they were sent.
        budget: of the operation.
        key_of: narrows requests like the loader of the caller; `None` without a caller.
        hides_suggestions: whether errors leave out the names of the schema that come close.
    """
    values = get_variable_values(
        schema,
        operation.variable_definitions or (),
        dict(variables or {}),
        hide_suggestions=hides_suggestions,
    )
    if not isinstance(values, VariableValues):
        return OperationPlan(plan_calls({}, budget), values)
    try:
        fields = root_fields(Scope(schema, operation, fragments_of(document), values))
    except GraphQLError as exc:
        return OperationPlan(plan_calls({}, budget), [exc])
    usage = OperationUsage(budget)
    loads: dict[str, FirstLoads] = {}
    errors: list[GraphQLError] = []
    for key, selected in fields.items():
        try:
            loads[key] = first = _first_loads(selected, key_of, usage)
        except (GatewayError, GraphQLError) as exc:
            errors.append(_located(exc, selected, key))
        else:
            errors += [_located(error, selected, key, *path) for path, error in first.errors]
    calls = plan_calls(loads, budget)
    excess = usage.excess(calls=len(calls.calls), images=calls.images)
    if excess is not None:
        errors += [_located(excess, fields[key], key) for key, first in loads.items() if first.keys]
    return OperationPlan(calls, errors, excess, fields, loads)


def _first_loads(field: SelectedField, key_of: KeyOf | None, usage: OperationUsage) -> FirstLoads:
    """Raises: GatewayError or GraphQLError: there is no caller, or an argument is refused."""
    first_loads = FIRST_LOADS.get(field.name)
    if first_loads is None:
        return FirstLoads(keys=())
    if key_of is None:
        raise UnauthenticatedError(NO_TOKEN)
    return first_loads(field, key_of, usage)


def _located(error: Exception, field: SelectedField, *path: str | int) -> GraphQLError:
    return located_error(error, [field.node], list(path))
