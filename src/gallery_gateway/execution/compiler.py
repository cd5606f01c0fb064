"""Runs an operation by its plans: what the root fields load is projected and encoded in C.

Whatever a plan cannot do, and every irregularity, is left to plain execution on what is loaded already.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

import msgspec
from cachetools import LRUCache
from graphql import (
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    get_variable_values,
)
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.values import VariableValues

from gallery_gateway.errors import GatewayError
from gallery_gateway.execution.documents import PreparedDocument
from gallery_gateway.execution.plan import Plan, UnplannableError, plan_selection, response_of
from gallery_gateway.execution.selection import (
    Scope,
    SelectedField,
    Selection,
    root_fields,
    shaping_variables,
)
from gallery_gateway.telemetry.logs import log_event


class Loaded(Protocol):
    """What a root field has loaded: the source of a projection, and what it was rendered to before."""

    @property
    def value(self) -> object: ...

    def recall(self, plan: Plan) -> bytes | None:
        """What the value was written as by this plan, if that is remembered."""

    def remember(self, plan: Plan, rendered: bytes) -> None:
        """Keeps what the value was written as, if it is worth it."""

    def kept(self, plan: Plan) -> "ReplayableResponse | None":
        """What is remembered, to be given again without running anything."""


class ReplayableResponse(Protocol):
    """A response that may be given again while what it was made of is fresh."""

    def get(self) -> tuple[bytes, float, float] | None:
        """It, with the seconds for which it may still be used, and its age in seconds; None from then on."""


Load = Callable[[Any, str], Awaitable[Loaded]]
"""Loads a root field for a context and a response key."""

PrepareLoad = Callable[[Mapping[str, Any]], Load]
"""Makes it out of coerced arguments; raises GatewayError if one is refused."""


@dataclass(frozen=True, slots=True)
class RootSelection:
    """What an operation selects at one root field.

    Args:
        plan: what will read it.
        is_alone: whether it is the operation's only root field.
    """

    selection: Selection
    plan: Plan
    is_alone: bool


CompiledRoot = Callable[[RootSelection], PrepareLoad]
"""How a root field is loaded that can be compiled."""


@dataclass(frozen=True, slots=True)
class CompiledResponse:
    """A whole response, and the same as it is kept, if it is."""

    body: bytes
    kept: ReplayableResponse | None = None


@dataclass(frozen=True, slots=True)
class _Root:
    """A root field with its plan.

    Args:
        key: its response key; `opening` is the same as the JSON before its value.
        fields: how many there are below it.
        response: makes the whole response out of its projected value.
        load: None if the arguments depend on variables, so that it is prepared for each run.
    """

    key: str
    opening: bytes
    field: SelectedField
    plan: Plan
    fields: int
    response: Callable[[object], msgspec.Struct]
    prepare: PrepareLoad
    load: Load | None

    def load_for(self, variables: VariableValues) -> Load:
        return self.load or self.prepare(self.field.arguments(variables))


# Measured on CPython 3.11, of what msgspec makes of a plan: for each root field, and for each field below.
_ROOT_BYTES = 7_000
_FIELD_BYTES = 1_000

# Each variable of a directive doubles what a document may be shaped into.
_PLANS_PER_DOCUMENT = 32


@dataclass(slots=True)
class _Document:
    """The plans of one document by operation and by the variables that shape it.

    None in a plan's place leaves the operation to plain execution.
    """

    shaping: tuple[str, ...]
    plans: LRUCache[Any, Sequence[_Root] | None] = field(
        default_factory=lambda: LRUCache(_PLANS_PER_DOCUMENT)
    )


_NO_VARIABLES = VariableValues({}, {})

# Not bugs: failed loads, bad arguments, values of the wrong type. Plain execution reports them with paths.
_IRREGULARITIES = (GatewayError, GraphQLError, UnplannableError, msgspec.ValidationError)

# Bugs logged in the life of a process, so that one raised at ever new places does not flood the log.
_MAX_REPORTED = 100


class Compiler:
    """Makes plans of prepared documents and runs them.

    Args:
        roots: how the root fields that can be compiled are loaded, by name.
        weigh: is told of a document that has been given more plans.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        roots: Mapping[str, CompiledRoot],
        *,
        weigh: Callable[[PreparedDocument], None] | None = None,
    ) -> None:
        self._weigh = weigh
        self._schema = schema
        self._roots = roots
        self._documents: WeakKeyDictionary[PreparedDocument, _Document] = WeakKeyDictionary()
        self._encode = msgspec.json.Encoder().encode
        self._reported: set[object] = set()

    async def run(
        self,
        prepared: PreparedDocument,
        operation: OperationDefinitionNode,
        raw_variables: dict[str, Any] | None,
        context: object,
    ) -> CompiledResponse | None:
        """The response, which has no errors; None if it is left to plain execution."""
        try:
            variables = self._coerced(operation, raw_variables)
            roots = variables and self._plans(prepared, operation, variables)
            if variables is None or roots is None:
                return None
            # An argument of any field may be refused here, and then no load has begun.
            ready = [root.load_for(variables) for root in roots]
            loads = [load(context, root.key) for load, root in zip(ready, roots, strict=True)]
            loaded = [await loads[0]] if len(loads) == 1 else await _all(loads)
            return self._written(roots, loaded)
        except _IRREGULARITIES:
            return None
        except Exception as exc:  # noqa: BLE001  # a fence: plain execution answers in spite of a bug here
            self._report(exc, operation)
            return None

    def _report(self, bug: Exception, operation: OperationDefinitionNode) -> None:
        """Log a bug with its traceback, once for each place where it is raised."""
        kind = type(bug), _raised_at(bug)
        if kind in self._reported or len(self._reported) >= _MAX_REPORTED:
            return
        self._reported.add(kind)
        name = operation.name.value if operation.name else None
        log_event("execution.fallback", level=logging.ERROR, error=bug, operation=name)

    def _written(self, roots: Sequence[_Root], loaded: Sequence[Loaded]) -> CompiledResponse:
        if len(roots) == 1:
            # One root field is written and remembered as the whole response, so that it is never copied.
            root, source = roots[0], loaded[0]
            return CompiledResponse(self._rendered(root, source, whole=True), source.kept(root.plan))
        members = (
            root.opening + self._rendered(root, source, whole=False)
            for root, source in zip(roots, loaded, strict=True)
        )
        return CompiledResponse(b'{"data":{%b}}' % b",".join(members))

    def _rendered(self, root: _Root, loaded: Loaded, *, whole: bool) -> bytes:
        """The value or the whole response: always the same for a plan, as it stands in one place only."""
        rendered = loaded.recall(root.plan)
        if rendered is None:
            value = loaded.value
            projected = None if value is None else msgspec.convert(value, root.plan, from_attributes=True)
            rendered = self._encode(root.response(projected) if whole else projected)
            loaded.remember(root.plan, rendered)
        return rendered

    def _coerced(
        self, operation: OperationDefinitionNode, raw_variables: dict[str, Any] | None
    ) -> VariableValues | None:
        if not operation.variable_definitions:
            return _NO_VARIABLES
        # The first error is enough here: plain execution tells them.
        values = get_variable_values(
            self._schema, operation.variable_definitions, raw_variables or {}, max_errors=1
        )
        return values if isinstance(values, VariableValues) else None

    def _plans(
        self, prepared: PreparedDocument, operation: OperationDefinitionNode, variables: VariableValues
    ) -> Sequence[_Root] | None:
        known = self._documents.get(prepared)
        if known is None:
            query_type = self._schema.query_type
            names = shaping_variables(prepared.document, query_type.name if query_type else "")
            known = self._documents[prepared] = _Document(names)
        shape = (id(operation), *(variables.coerced.get(name) for name in known.shaping))
        if shape not in known.plans:
            known.plans[shape] = planned = self._compiled(prepared, operation, variables)
            self._add_weight(prepared, planned or (), len(known.plans))
        return known.plans[shape]

    def _add_weight(self, prepared: PreparedDocument, roots: Sequence[_Root], plans: int) -> None:
        """The plans of one document are much alike: each counts as the largest."""
        weight = sum(_ROOT_BYTES + _FIELD_BYTES * root.fields for root in roots)
        prepared.plan_bytes = max(prepared.plan_bytes, weight * plans)
        if self._weigh is not None:
            self._weigh(prepared)

    def _compiled(
        self, prepared: PreparedDocument, operation: OperationDefinitionNode, variables: VariableValues
    ) -> Sequence[_Root] | None:
        fragments = {
            node.name.value: FragmentDetails(node)
            for node in prepared.document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        scope = Scope(self._schema, operation, fragments, variables)
        try:
            roots = root_fields(scope)
            is_alone = len(roots) == 1
            return [self._root(key, field, is_alone=is_alone) for key, field in roots.items()] or None
        except (UnplannableError, GatewayError, GraphQLError):
            return None

    def _root(self, key: str, selected: SelectedField, *, is_alone: bool) -> _Root:
        """Raises: UnplannableError: it, or something in it, cannot be compiled."""
        compiled = self._roots.get(selected.name)
        if compiled is None:
            raise UnplannableError(selected.name)
        selection = selected.selection()
        plan = plan_selection(selection)
        prepare = compiled(RootSelection(selection, plan, is_alone))
        return _Root(
            key=key,
            opening=b'"%b":' % key.encode(),
            field=selected,
            plan=plan,
            fields=selection.count(),
            response=response_of(key),
            prepare=prepare,
            load=None if selected.has_variables else prepare(selected.arguments()),
        )


def _raised_at(error: Exception) -> tuple[CodeType, int] | None:
    """Return the function and line that raised the error; formatting the whole stack would take too long."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace and (trace.tb_frame.f_code, trace.tb_lineno)


async def _all(loads: Sequence[Awaitable[Loaded]]) -> list[Loaded]:
    """What all of them load; an error only when all have ended, so that plain execution finds them so."""
    outcomes = await asyncio.gather(*loads, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return cast("list[Loaded]", outcomes)
