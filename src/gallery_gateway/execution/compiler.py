"""Runs operations by compiled plans: msgspec projects and encodes what the root fields load.

An operation that cannot be planned, or that meets any irregularity, is left to plain execution on the pages
that are loaded already.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from traceback import walk_tb
from types import MappingProxyType
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary

import msgspec
from cachetools import LRUCache
from graphql import (
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    get_argument_values,
    get_variable_values,
)
from graphql.execution.values import VariableValues

from gallery_gateway.errors import GatewayError
from gallery_gateway.execution.coercion import Coerce, MisfitError, prepare_arguments, prepare_variables
from gallery_gateway.execution.documents import PreparedDocument
from gallery_gateway.execution.plan import UnplannableError, plan_selection
from gallery_gateway.execution.selection import (
    Scope,
    SelectedField,
    Selection,
    fragments_of,
    root_fields,
    shaping_variables,
    variables_in,
)
from gallery_gateway.structs import Plan
from gallery_gateway.telemetry.logs import log_event


class LoadedRoot(msgspec.Struct, frozen=True):
    """The value of a root field, and the page that keeps its rendered bytes.

    Args:
        value: the value as a plan reads it; `None` also if the response was written with the source.
        images: number of images that the response lists below the field.
        source: the `LoadResult` of the only page that it was made of; `None` if there were several.
        staleness: `Staleness` of the oldest stale page, or `None`.
        shown: what a connection shows of the page.
    """

    value: Any
    images: int
    source: Any
    staleness: object
    shown: tuple[int, ...] | None = None

    @property
    def complete(self) -> Any:
        """The value with all fields, for resolvers."""
        return self.value if self.source is None or self.shown is not None else self.source.value


Load = Callable[[Any, str], Awaitable[LoadedRoot]]
"""Loads a root field for an operation's context and a response key."""

PrepareLoad = Callable[[Mapping[str, Any]], Load]
"""Makes a load of coerced arguments; raises `GatewayError` if it refuses one."""

CompileRoot = Callable[[Selection, "RootWriter | None"], PrepareLoad]
"""Compiles a root field from its selection, and its writer if the operation has no other root field."""

CompiledResponse = tuple[bytes, Any]
"""The body of a response, and the `CachedResponse` that repeats it, or `None`."""


@dataclass(frozen=True, slots=True)
class _Root:
    """A root field with its plan.

    Args:
        opening: JSON before the value: the response key and a colon.
        fields: number of fields below it.
        prepare: returns the load for the variables, as they were sent and as they were coerced.
    """

    key: str
    opening: bytes
    write: "RootWriter"
    fields: int
    prepare: Callable[[Mapping[str, Any], Mapping[str, Any]], Load]


_encode = msgspec.json.Encoder().encode


class _ResponseBody(msgspec.Struct):
    data: msgspec.Struct


_numbers = count()


class RootWriter:
    """Writes the value of a root field as JSON; `number` is that of no other writer.

    Args:
        only_key: the response key of the only root field of an operation, for which the complete response is
            written, so that its bytes are never copied.
        max_images: the number of images that may be written in one step.
    """

    def __init__(self, plan: Plan, *, only_key: str | None, max_images: int) -> None:
        self.plan = plan
        self.number = next(_numbers)
        self.max_images = max_images
        self.is_complete = only_key is not None
        self._data = only_key and msgspec.defstruct("Data", [("value", Any)], rename={"value": only_key})

    def __call__(self, source: Any) -> bytes:
        """Raises: msgspec.ValidationError: the value does not fit the plan."""
        value = None if source is None else msgspec.convert(source, self.plan, from_attributes=True)
        return _encode(_ResponseBody(self._data(value)) if self._data else value)


# Memory of msgspec for a plan, measured on CPython 3.11: for each root field, and for each field below.
_ROOT_BYTES = 10_000
_FIELD_BYTES = 1_000

# Each variable of a directive doubles the number of shapes of a document.
_PLANS_PER_DOCUMENT = 32


class _DocumentPlans(NamedTuple):
    """The plans of a document, by operation and by the values of the variables that shape the selection.

    An operation without planned root fields is left to plain execution.
    """

    coerce: dict[str | None, Coerce]
    shaping: tuple[str, ...]
    plans: LRUCache[Any, Sequence[_Root]]


_NO_VARIABLES: Mapping[str, Any] = MappingProxyType({})

# Failed loads, refused arguments and misfitting values are not bugs. Plain execution reports them with paths.
_IRREGULARITIES = (GatewayError, GraphQLError, MisfitError, UnplannableError, msgspec.ValidationError)

# Writing an image takes half a microsecond to 5.
_SLICED_IMAGES = 2_000
_MAX_IMAGES_PER_ITEM = 200

# A bug that is raised at ever new places must not flood the log.
_MAX_REPORTED = 100


class Compiler:
    """Plans prepared documents, and runs the plans.

    Args:
        roots: prepare the loads of root fields, by field name; others are left to plain execution.
        weigh: called when a document has more plans than before.
        sliced_images: responses with more images are written in slices, between which other tasks run.
        large_pages: held while such a response is written.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        roots: Mapping[str, CompileRoot],
        *,
        weigh: Callable[[PreparedDocument], None] = lambda _prepared: None,
        sliced_images: int = _SLICED_IMAGES,
        large_pages: asyncio.Lock | None = None,
    ) -> None:
        self._weigh = weigh
        self._sliced_images = sliced_images
        self._large_pages = large_pages or asyncio.Lock()
        self._schema = schema
        self._roots = roots
        self._documents: WeakKeyDictionary[PreparedDocument, _DocumentPlans] = WeakKeyDictionary()
        self._reported: set[object] = set()

    async def run(
        self,
        prepared: PreparedDocument,
        operation: OperationDefinitionNode,
        raw_variables: dict[str, Any] | None,
        context: object,
    ) -> CompiledResponse | None:
        """Return a response without errors, or `None` to leave the operation to plain execution."""
        raw = raw_variables or _NO_VARIABLES
        try:
            document = self._document(prepared)
            coerced = self._coerce(document, operation, raw)
            roots = self._plans(document, prepared, operation, raw, coerced)
            if not roots:
                return None
            # All arguments are checked before the first load begins.
            loads = [root.prepare(raw, coerced) for root in roots]
            loaded = await _gather([load(context, root.key) for load, root in zip(loads, roots, strict=True)])
            return await self._respond(roots, loaded)
        except _IRREGULARITIES:
            return None
        except Exception as exc:  # noqa: BLE001  # boundary: plain execution answers in spite of a bug here
            self._report(exc, operation)
            return None

    def _report(self, bug: Exception, operation: OperationDefinitionNode) -> None:
        """Log a bug with its traceback, once for each place that raises it."""
        # Formatting the stack would take too long.
        *_, (frame, line) = walk_tb(bug.__traceback__)
        place = type(bug), frame.f_code, line
        if place in self._reported or len(self._reported) >= _MAX_REPORTED:
            return
        self._reported.add(place)
        name = operation.name.value if operation.name else None
        log_event("execution.fallback", level=logging.ERROR, error=bug, operation=name)

    async def _respond(self, roots: Sequence[_Root], loaded: Sequence[LoadedRoot]) -> CompiledResponse:
        written = [await self._render(root, source) for root, source in zip(roots, loaded, strict=True)]
        if len(roots) == 1:
            return written[0]
        members = (root.opening + value for root, (value, _) in zip(roots, written, strict=True))
        return b'{"data":{%b}}' % b",".join(members), None

    async def _render(self, root: _Root, loaded: LoadedRoot) -> CompiledResponse:
        writer = root.write.number if loaded.shown is None else (root.write.number, loaded.shown)
        known: CompiledResponse | None = loaded.source and loaded.source.recall(writer)
        if known is not None:
            return known
        if loaded.value is not None and loaded.images > self._sliced_images:
            async with self._large_pages:
                value = await self._render_in_slices(root.write.plan, loaded.value)
            rendered = b"".join(
                [b'{"data":{', root.opening, *value, b"}}"] if root.write.is_complete else value
            )
        else:
            rendered = root.write(loaded.value)
        return rendered, loaded.source and loaded.source.remember(writer, rendered, loaded.images)

    async def _render_in_slices(self, plan: Plan, source: Any) -> list[bytes]:
        """Return the parts of the JSON of a value, each made of a few items of a list."""
        parts = [b"{"]
        step = max(1, self._sliced_images // _MAX_IMAGES_PER_ITEM)
        for field in msgspec.structs.fields(plan):
            value = getattr(source, field.name, field.default)
            items = value if isinstance(value, list) else ()
            parts += b"," if len(parts) > 1 else b"", _encode(field.encode_name), b":"
            for start in range(0, len(items), step):
                await asyncio.sleep(0)
                projected = msgspec.convert(items[start : start + step], field.type, from_attributes=True)
                parts += b"," if start else b"[", _encode(projected)[1:-1]
            if items:
                parts.append(b"]")
            else:
                parts.append(_encode(msgspec.convert(value, field.type, from_attributes=True)))
        return [*parts, b"}"]

    def _document(self, prepared: PreparedDocument) -> _DocumentPlans:
        document = self._documents.get(prepared)
        if document is None:
            shaping = shaping_variables(prepared.document, self._schema)
            document = self._documents[prepared] = _DocumentPlans({}, shaping, LRUCache(_PLANS_PER_DOCUMENT))
        return document

    def _coerce(
        self, document: _DocumentPlans, operation: OperationDefinitionNode, raw: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Raises: MisfitError: a variable does not fit its type."""
        if not operation.variable_definitions:
            return _NO_VARIABLES
        name = operation.name.value if operation.name else None
        coerce = document.coerce.get(name)
        if coerce is None:
            coerce = prepare_variables(self._schema, operation.variable_definitions)
            document.coerce[name] = coerce
        return coerce(raw)

    def _plans(
        self,
        document: _DocumentPlans,
        prepared: PreparedDocument,
        operation: OperationDefinitionNode,
        raw: Mapping[str, Any],
        coerced: Mapping[str, Any],
    ) -> Sequence[_Root]:
        shape = (id(operation), *(coerced.get(name) for name in document.shaping))
        roots = document.plans.get(shape)
        if roots is None:
            document.plans[shape] = roots = self._compile(prepared, operation, raw)
            # Each plan of the document counts as its largest; they differ little.
            weight_bytes = sum(_ROOT_BYTES + _FIELD_BYTES * root.fields for root in roots)
            prepared.plan_bytes = max(prepared.plan_bytes, weight_bytes * len(document.plans))
            self._weigh(prepared)
        return roots

    def _compile(
        self, prepared: PreparedDocument, operation: OperationDefinitionNode, raw: Mapping[str, Any]
    ) -> Sequence[_Root]:
        try:
            variables = self._variable_values(operation, raw)
            roots = root_fields(Scope(self._schema, operation, fragments_of(prepared.document), variables))
            is_alone = len(roots) == 1
            return [self._root(key, field, operation, is_alone=is_alone) for key, field in roots.items()]
        except (UnplannableError, GatewayError, GraphQLError):
            return ()

    def _variable_values(self, operation: OperationDefinitionNode, raw: Mapping[str, Any]) -> VariableValues:
        """Raises: GraphQLError: a variable does not fit its type."""
        values = get_variable_values(self._schema, operation.variable_definitions or (), dict(raw))
        if isinstance(values, VariableValues):
            return values
        raise values[0]

    def _root(
        self, key: str, selected: SelectedField, operation: OperationDefinitionNode, *, is_alone: bool
    ) -> _Root:
        """Raises: UnplannableError: the field, or a field below it, cannot be compiled."""
        compile_root = self._roots.get(selected.name)
        if compile_root is None:
            raise UnplannableError(selected.name)
        selection = selected.selection()
        write = RootWriter(
            plan_selection(selection),
            only_key=key if is_alone else None,
            max_images=self._sliced_images,
        )
        prepare = compile_root(selection, write if is_alone else None)
        return _Root(
            key=key,
            opening=b'"%b":' % key.encode(),
            write=write,
            fields=selection.count(),
            prepare=self._prepare(selected, operation, prepare),
        )

    def _prepare(
        self, selected: SelectedField, operation: OperationDefinitionNode, prepare: PrepareLoad
    ) -> Callable[[Mapping[str, Any], Mapping[str, Any]], Load]:
        definition, node = selected.definition, selected.node
        assert definition is not None  # noqa: S101  # for mypy: `__typename` is not compiled
        if not any(True for argument in node.arguments or () for _ in variables_in(argument)):
            load = prepare(selected.arguments())
            return lambda _raw, _coerced: load
        coerce = prepare_arguments(definition, node)
        if coerce is None:
            return lambda raw, _coerced: prepare(
                get_argument_values(definition, node, self._variable_values(operation, raw))
            )
        return lambda _raw, coerced: prepare(coerce(coerced))


async def _gather(loads: Sequence[Awaitable[LoadedRoot]]) -> list[LoadedRoot]:
    """Return the loaded roots; raise an error only when all loads have ended, so that none is repeated."""
    if len(loads) == 1:
        return [await loads[0]]
    results = await asyncio.gather(*loads, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast("list[LoadedRoot]", results)
