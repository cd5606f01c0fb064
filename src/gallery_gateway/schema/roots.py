"""How the root fields load when an operation runs by its plans; the same as their resolvers do."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any, TypeVar

from strawberry.utils.str_converters import to_camel_case

from gallery_gateway.execution.compiler import CompiledRoot, Load, PrepareLoad, RootSelection
from gallery_gateway.execution.plan import Plan
from gallery_gateway.gallery.gallery import CachedResponse, LoadResult
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.schema.connection import Connected, connection_request, load_connection
from gallery_gateway.schema.context import OperationContext
from gallery_gateway.schema.needs import gallery_needs, project_needs
from gallery_gateway.schema.requests import gallery_request, project_request
from gallery_gateway.upstream.decoding import reader_for

Request = TypeVar("Request")


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A delivery, and who keeps what it is written as."""

    result: LoadResult[Any]
    loaders: GalleryLoader

    @property
    def value(self) -> object:
        return self.result.read

    def recall(self, plan: Plan) -> bytes | None:
        return self.result.recall(plan)

    def remember(self, plan: Plan, rendered: bytes) -> None:
        self.loaders.remember(self.result, plan, rendered)

    def kept(self, plan: Plan) -> CachedResponse | None:
        return self.loaders.replayable(self.result, plan)


def _gallery(root: RootSelection) -> PrepareLoad:
    needs = gallery_needs(root.selection)
    if root.is_alone:
        # What else is selected in an operation would not be in the excerpt that one field reads.
        needs = replace(needs, decoder=reader_for(root.plan), is_alone=True)

    def prepare(arguments: Mapping[str, Any]) -> Load:
        request = _request(gallery_request, arguments)
        return _load(lambda loaders: loaders.page(request, needs))

    return prepare


def _project(root: RootSelection) -> PrepareLoad:
    needs = replace(project_needs(root.selection), is_alone=root.is_alone)

    def prepare(arguments: Mapping[str, Any]) -> Load:
        request = _request(project_request, arguments)
        return _load(lambda loaders: loaders.project(request, needs))

    return prepare


def _projects(root: RootSelection) -> PrepareLoad:
    def prepare(arguments: Mapping[str, Any]) -> Load:
        request = _request(connection_request, arguments)

        async def load(context: OperationContext, key: str) -> Connected:
            return await context.load(key, lambda loaders: load_connection(loaders, request, root.selection))

        return load

    return prepare


def _load(call: Callable[[GalleryLoader], Awaitable[LoadResult[Any]]]) -> Load:
    async def load(context: OperationContext, key: str) -> _Loaded:
        return _Loaded(await context.load(key, call), context.known_loaders())

    return load


def _request(build: Callable[..., Request], arguments: Mapping[str, Any]) -> Request:
    named = {to_camel_case(name): name for name in signature(build).parameters}
    return build(**{named[name]: value for name, value in arguments.items()})


COMPILED_ROOTS: Mapping[str, CompiledRoot] = {
    "gallery": _gallery,
    "project": _project,
    "projects": _projects,
}
