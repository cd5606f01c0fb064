"""The root fields of the graph, and what each loads.

Both executors use the same `RootField`: graphql-core calls its `resolver`, and the compiler its `compile`.
Either makes a request of the arguments, finds out what the selection needs, and passes both to `load`, which
calls the `GalleryLoader` of the operation.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from inspect import Parameter, Signature, signature
from typing import Any

import strawberry
from strawberry import UNSET
from strawberry.utils.str_converters import to_camel_case

from gallery_gateway.errors import RejectedParameterError
from gallery_gateway.execution.compiler import Load, LoadedRoot, PrepareLoad, RootWriter
from gallery_gateway.execution.selection import SelectedField, Selection, selection_of
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import FieldNeeds, oldest
from gallery_gateway.gallery.pagination import THIN, ListLoader, count, first_loads, paginate
from gallery_gateway.gallery.planning import FirstLoads, KeyOf
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.usage import OperationUsage
from gallery_gateway.schema.connection import ConnectionSource
from gallery_gateway.schema.context import Info, OperationContext, images_in
from gallery_gateway.schema.entities import (
    Entity,
    describe_service,
    first_entities,
    first_nodes,
    load_entities,
    load_nodes,
)
from gallery_gateway.schema.needs import ImageLimits, connection_needs, gallery_needs, project_needs
from gallery_gateway.schema.requests import (
    ConnectionRequest,
    connection_request,
    gallery_request,
    node_request,
    project_request,
    rejected_argument,
)
from gallery_gateway.schema.types import (
    UPSTREAM_CALL,
    GalleryPage,
    Node,
    Project,
    ProjectConnection,
    SemanticNonNull,
    sized,
)
from gallery_gateway.upstream.contract import Page
from gallery_gateway.upstream.decoding import decoder_for


@dataclass(frozen=True, kw_only=True)
class RootField:
    """How a root field loads its value.

    Args:
        type_name: object type of the value.
        request: makes a request of the arguments; its parameters are the arguments.
        needs: returns what a selection needs of a page, and its lists of images.
        load: loads the value, and counts the images of the lists.
        first: returns what `load` loads first.
        alone: changes the needs if a compiled operation has no other root field.
        arguments: arguments by the REST parameter, where the names differ.
    """

    type_name: str
    request: Callable[..., Any]
    needs: Callable[[Selection], tuple[Any, ImageLimits]]
    load: Callable[[GalleryLoader, Any, Any, ImageLimits], Awaitable[LoadedRoot]]
    first: Callable[[KeyOf, Any, Any], FirstLoads]
    alone: Callable[[Any, RootWriter, ImageLimits], Any] = lambda needs, _write, _limits: needs
    arguments: Mapping[str, str]

    @cached_property
    def _names(self) -> dict[str, str]:
        """The parameters of `request` by argument; `signature` is too slow for each operation."""
        return {to_camel_case(name): name for name in signature(self.request).parameters}

    def resolver(self) -> Callable[..., Awaitable[Any]]:
        """Return a resolver whose arguments are the parameters of `request`."""
        arguments = {**{name: argument for argument, name in self._names.items()}, **self.arguments}

        async def resolve(info: Info, **given: Any) -> Any:
            request = self.request(**given)

            # Not called if the compiler has loaded the field before it left the operation to graphql-core.
            async def load(loader: GalleryLoader) -> LoadedRoot:
                needs, limits = self.needs(selection_of(info.resolve_info, self.type_name))
                return await self.load(loader, request, needs, limits)

            try:
                loaded = await info.context.load(info.key, load)
            except RejectedParameterError as exc:
                raise rejected_argument(exc, arguments) from exc
            value = loaded.complete
            info.context.count_images(info.key, loaded.images)
            return value

        # Strawberry reads the arguments from the signature. A default of `None` is no default in the graph.
        info = Parameter("info", Parameter.POSITIONAL_OR_KEYWORD, annotation=Info)
        parameters = [
            parameter.replace(default=UNSET) if parameter.default is None else parameter
            for parameter in signature(self.request).parameters.values()
        ]
        resolve.__signature__ = Signature([info, *parameters])  # type: ignore[attr-defined]
        return resolve

    def compile(self, selection: Selection, write: RootWriter | None) -> PrepareLoad:
        """Return a function that makes the load of coerced arguments; see `CompileRoot`."""
        needs, limits = self.needs(selection)
        if write is not None:
            needs = self.alone(needs, write, limits)

        def prepare(arguments: Mapping[str, Any]) -> Load:
            request = self._request(arguments)

            async def load(context: OperationContext, key: str) -> LoadedRoot:
                loaded = await context.load(key, lambda loader: self.load(loader, request, needs, limits))
                context.count_images(key, loaded.images)
                return loaded

            return load

        return prepare

    def first_loads(self, field: SelectedField, key_of: KeyOf, _usage: OperationUsage) -> FirstLoads:
        """Raises: GatewayError, GraphQLError: an argument is refused."""
        request = self._request(field.arguments())
        needs, _ = self.needs(field.selection(self.type_name))
        return self.first(key_of, request, needs)

    def _request(self, arguments: Mapping[str, Any]) -> Any:
        return self.request(**{self._names[name]: value for name, value in arguments.items()})


async def _load_page(
    loader: GalleryLoader, request: GalleryRequest, needs: FieldNeeds, limits: ImageLimits
) -> LoadedRoot:
    result = await loader.page(request, needs)
    images = result.response.images if result.response else images_in(result.read.projects, limits)
    return LoadedRoot(result.read, images, result, result.staleness)


@dataclass(frozen=True, slots=True, eq=False)
class _PageWriter:
    """Writes the response to an operation whose only root field is `gallery`."""

    write: RootWriter
    limits: ImageLimits

    @property
    def number(self) -> int:
        return self.write.number

    def __call__(self, page: Page) -> tuple[bytes, int] | None:
        images = images_in(page.projects, self.limits)
        return (self.write(page), images) if images <= self.write.max_images else None


def _needs_alone(needs: FieldNeeds, write: RootWriter, limits: ImageLimits) -> FieldNeeds:
    """Return the needs of the only root field, whose response is written when its page is fetched.

    With other root fields, a field may read what another selects, and the page must be complete.
    """
    return replace(needs, decoder=decoder_for(write.plan), is_alone=True, writer=_PageWriter(write, limits))


def _first_page(key_of: KeyOf, request: GalleryRequest, needs: FieldNeeds) -> FirstLoads:
    return FirstLoads(keys=[key_of(request, needs, is_project=False)], wanted_images=request.max_images)


async def _load_project(
    loader: GalleryLoader, request: GalleryRequest, needs: FieldNeeds, limits: ImageLimits
) -> LoadedRoot:
    result = await loader.project(request, needs)
    return LoadedRoot(result.read, images_in([result.read], limits), result, result.staleness)


def _first_project(key_of: KeyOf, request: GalleryRequest, needs: FieldNeeds) -> FirstLoads:
    return FirstLoads(keys=[key_of(request, needs, is_project=True)], wanted_images=request.max_images)


async def _load_connection(
    loader: GalleryLoader, request: ConnectionRequest, needs: FieldNeeds | None, limits: ImageLimits
) -> LoadedRoot:
    listed, step = request
    pages = ListLoader(loader=loader, request=listed, needs=needs or THIN)
    # Without needs only the total is selected.
    paginated = await (paginate(pages, step) if needs else count(pages))
    results = paginated.results
    connection = ConnectionSource.of(listed, paginated)
    return LoadedRoot(
        connection,
        images_in(connection.nodes, limits),
        results[0] if len(results) == 1 else None,
        oldest(result.staleness for result in results),
        paginated.shown,
    )


def _first_of_connection(key_of: KeyOf, request: ConnectionRequest, needs: FieldNeeds | None) -> FirstLoads:
    listed, step = request
    return first_loads(key_of, listed, step, needs)


_GALLERY = RootField(
    type_name="Gallery",
    request=gallery_request,
    needs=gallery_needs,
    load=_load_page,
    first=_first_page,
    alone=_needs_alone,
    arguments={},
)
_PROJECTS = RootField(
    type_name="ProjectConnection",
    request=connection_request,
    needs=connection_needs,
    load=_load_connection,
    first=_first_of_connection,
    arguments={"page": "after", "per_page": "first"},
)
_PROJECT = RootField(
    type_name="Project",
    request=project_request,
    needs=project_needs,
    load=_load_project,
    first=_first_project,
    alone=lambda needs, _write, _limits: replace(needs, is_alone=True),
    arguments={"max_images_per_project": "maxImages"},
)
_NODE = replace(_PROJECT, request=node_request, arguments={"project_id": "id"})

COMPILED_ROOTS = {"gallery": _GALLERY.compile, "projects": _PROJECTS.compile, "project": _PROJECT.compile}
"""The root fields that are compiled; the value of `node` is an interface."""

FIRST_LOADS: Mapping[str, Callable[[SelectedField, KeyOf, OperationUsage], FirstLoads]] = {
    "gallery": _GALLERY.first_loads,
    "projects": _PROJECTS.first_loads,
    "project": _PROJECT.first_loads,
    "node": _NODE.first_loads,
    "nodes": first_nodes,
    "_entities": first_entities,
}
"""What each root field loads first; the others load nothing."""


@strawberry.type(description="What the caller may see: projects, and their images.")
class Query:
    """The root of the graph."""

    gallery = strawberry.field(
        resolver=_GALLERY.resolver(),
        graphql_type=GalleryPage | None,
        description="A page of the projects that the caller may see, with their images.",
        directives=[UPSTREAM_CALL, sized(None, by=["perPage"], of=["projects"]), SemanticNonNull()],
    )
    projects = strawberry.field(
        resolver=_PROJECTS.resolver(),
        graphql_type=ProjectConnection | None,
        description=(
            "The projects that the caller may see, with cursors (Relay's Cursor Connections Specification):"
            " forward with `first` and `after`, backward with `last` and `before`. For page numbers, use"
            " `gallery`."
        ),
        directives=[UPSTREAM_CALL, sized(20, by=["first", "last"], of=["edges", "nodes"]), SemanticNonNull()],
    )
    project = strawberry.field(
        resolver=_PROJECT.resolver(),
        graphql_type=Project | None,
        description="One project; null if it does not exist or the caller may not see it.",
        directives=[UPSTREAM_CALL],
    )
    node = strawberry.field(
        resolver=_NODE.resolver(),
        graphql_type=Node | None,
        description="The project with this id; null if it does not exist or the caller may not see it.",
        directives=[UPSTREAM_CALL],
    )
    nodes = strawberry.field(
        resolver=load_nodes,
        graphql_type=list[Node | None],
        description="The projects with these ids, in the same order; null as for `node`.",
        directives=[UPSTREAM_CALL, sized(100)],
    )
    entities = strawberry.field(
        name="_entities",
        resolver=load_entities,
        graphql_type=list[Entity | None],
        description="For federation routers: the entities of the representations, in the same order.",
    )
    service = strawberry.field(
        name="_service",
        resolver=describe_service,
        description="For federation composers: this subgraph.",
    )


_EVENTS = (
    "The first event is {}; another one follows each time that the selected fields have changed. Ends once no"
    " image is pending and nothing has changed for a minute, and after half an hour at the latest."
)


@strawberry.type(description="Queries over time, as server-sent events.")
class Subscription:
    """Answers that follow the progress of images, as server-sent events.

    Each event is the response to the query with the same field, so the resolvers return one value instead of
    a stream: `edge/subscription.py` runs the operation again for each event.
    """

    gallery = strawberry.field(
        resolver=_GALLERY.resolver(),
        graphql_type=GalleryPage | None,
        description="`Query.gallery` over time. " + _EVENTS.format("the current page"),
        directives=[UPSTREAM_CALL, sized(None, by=["perPage"], of=["projects"]), SemanticNonNull()],
    )
    project = strawberry.field(
        resolver=_PROJECT.resolver(),
        graphql_type=Project | None,
        description="`Query.project` over time. " + _EVENTS.format("the current project"),
        directives=[UPSTREAM_CALL],
    )
