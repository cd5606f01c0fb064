"""The root fields: what each loads, both for its resolver and for compiled execution."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from inspect import Parameter, Signature, signature
from typing import Any

from strawberry.utils.str_converters import to_camel_case

from gallery_gateway.errors import RejectedParameterError
from gallery_gateway.execution.compiler import Load, PrepareLoad
from gallery_gateway.execution.plan import Plan
from gallery_gateway.execution.selection import Selection, selection_of
from gallery_gateway.gallery.gallery import CachedResponse, LoadResult
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import FieldNeeds, Staleness, oldest
from gallery_gateway.gallery.pagination import THIN, ListLoader, Paginated, paginate
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.schema.connection import ConnectionSource
from gallery_gateway.schema.context import Info, OperationContext
from gallery_gateway.schema.needs import ImageLimits, connection_needs, gallery_needs, project_needs
from gallery_gateway.schema.requests import (
    ConnectionRequest,
    connection_request,
    gallery_request,
    node_request,
    project_request,
    rejected_argument,
)
from gallery_gateway.upstream.decoding import decoder_for


@dataclass(frozen=True, slots=True)
class LoadedRoot:
    """The value of a root field, and the page that keeps its rendered bytes.

    Args:
        value: the value as a plan reads it.
        source: the only page that it was made of; `None` if there were several.
        staleness: of the oldest stale page.
        positions: of a connection in its list.
    """

    value: Any
    source: LoadResult | None
    staleness: Staleness | None
    positions: range | None = None

    @property
    def complete(self) -> Any:
        """The value with all fields, for resolvers."""
        return self.value if self.source is None or self.positions is not None else self.source.value

    def recall(self, plan: Plan) -> bytes | None:
        return None if self.source is None else self.source.recall((plan, self.positions))

    def remember(self, plan: Plan, rendered: bytes) -> None:
        if self.source is not None:
            self.source.remember((plan, self.positions), rendered)

    def cached_response(self, plan: Plan) -> CachedResponse | None:
        return None if self.source is None else self.source.cached_response((plan, self.positions))


@dataclass(frozen=True, kw_only=True)
class RootField:
    """A root field.

    Args:
        type_name: object type of its value.
        request: makes a request of the arguments, which are its parameters.
        needs: finds out what a selection needs, and its lists of images.
        load: loads a request with its needs.
        projects: the projects in a loaded value.
        alone: changes the needs of a compiled operation that has no other root field.
        arguments: arguments by the REST parameter, where the names differ.
    """

    type_name: str
    request: Callable[..., Any]
    needs: Callable[[Selection], tuple[Any, ImageLimits]]
    load: Callable[[GalleryLoader, Any, Any], Awaitable[LoadedRoot]]
    projects: Callable[[Any], Iterable[object]]
    alone: Callable[[Any, Plan], Any] = lambda needs, _plan: needs
    arguments: Mapping[str, str]

    @cached_property
    def _names(self) -> dict[str, str]:
        """The parameters of `request` by argument; `signature` is too slow for each operation."""
        return {to_camel_case(name): name for name in signature(self.request).parameters}

    def resolver(self) -> Callable[..., Awaitable[Any]]:
        """Return a resolver whose arguments are the parameters of `request`."""
        arguments = {**{name: argument for argument, name in self._names.items()}, **self.arguments}

        async def load(loader: GalleryLoader, request: Any, info: Info) -> LoadedRoot:
            needs, _ = self.needs(selection_of(info.resolve_info, self.type_name))
            return await self.load(loader, request, needs)

        async def resolve(info: Info, **given: Any) -> Any:
            try:
                found = await info.context.load(info.key, load, self.request(**given), info)
            except RejectedParameterError as exc:
                raise rejected_argument(exc, arguments) from exc
            value = found.complete
            _, limits = self.needs(selection_of(info.resolve_info, self.type_name))
            info.context.count_images(info.key, self.projects(value), limits)
            return value

        # Strawberry reads the arguments from the signature.
        info = Parameter("info", Parameter.POSITIONAL_OR_KEYWORD, annotation=Info)
        parameters = [info, *signature(self.request).parameters.values()]
        resolve.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        return resolve

    def compile(self, selection: Selection, plan: Plan | None) -> PrepareLoad:
        """Return a function that makes the load of coerced arguments; see `CompileRoot`."""
        needs, limits = self.needs(selection)
        if plan is not None:
            needs = self.alone(needs, plan)

        def prepare(arguments: Mapping[str, Any]) -> Load:
            request = self.request(**{self._names[name]: value for name, value in arguments.items()})

            async def load(context: OperationContext, key: str) -> LoadedRoot:
                found = await context.load(key, self.load, request, needs)
                context.count_images(key, self.projects(found.value), limits)
                return found

            return load

        return prepare


async def _load_page(loader: GalleryLoader, request: GalleryRequest, needs: FieldNeeds) -> LoadedRoot:
    result = await loader.page(request, needs)
    return LoadedRoot(result.read, result, result.staleness)


async def _load_project(loader: GalleryLoader, request: GalleryRequest, needs: FieldNeeds) -> LoadedRoot:
    result = await loader.project(request, needs)
    return LoadedRoot(result.read, result, result.staleness)


async def _load_connection(
    loader: GalleryLoader, request: ConnectionRequest, needs: FieldNeeds | None
) -> LoadedRoot:
    pages = ListLoader(loader=loader, request=request.listed, needs=needs or THIN)
    # Without needs only the total is selected. Every page has it, so the smallest is enough.
    paginated = (
        await paginate(pages, request.step) if needs else Paginated(range(0), await pages.load(range(1)))
    )
    results = paginated.project_range.results
    return LoadedRoot(
        ConnectionSource.of(request.listed, paginated),
        results[0] if len(results) == 1 else None,
        oldest(result.staleness for result in results),
        paginated.wanted,
    )


GALLERY = RootField(
    type_name="Gallery",
    request=gallery_request,
    needs=gallery_needs,
    load=_load_page,
    projects=lambda page: page.projects,
    # With other root fields, a field may read what another selects, and the page must be complete.
    alone=lambda needs, plan: replace(needs, decoder=decoder_for(plan), is_alone=True),
    arguments={},
)
PROJECTS = RootField(
    type_name="ProjectConnection",
    request=connection_request,
    needs=connection_needs,
    load=_load_connection,
    projects=lambda connection: connection.nodes,
    arguments={"page": "after", "per_page": "first"},
)
PROJECT = RootField(
    type_name="Project",
    request=project_request,
    needs=project_needs,
    load=_load_project,
    projects=lambda project: (project,),
    alone=lambda needs, _plan: replace(needs, is_alone=True),
    arguments={"max_images_per_project": "maxImages"},
)
NODE = RootField(
    type_name="Project",
    request=node_request,
    needs=project_needs,
    load=_load_project,
    projects=lambda project: (project,),
    arguments={"project_id": "id"},
)

COMPILED_ROOTS = {"gallery": GALLERY.compile, "projects": PROJECTS.compile, "project": PROJECT.compile}
