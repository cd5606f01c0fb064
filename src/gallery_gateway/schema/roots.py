"""How the root fields load when an operation runs by its plans; the same as their resolvers do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

from strawberry.utils.str_converters import to_camel_case

from gallery_gateway.execution.compiler import CompileRoot, Load, PrepareLoad, RootSelection
from gallery_gateway.execution.plan import Plan
from gallery_gateway.gallery.gallery import CachedResponse, LoadResult
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.schema.connection import Connected, connection_request, load_connection
from gallery_gateway.schema.context import OperationContext
from gallery_gateway.schema.needs import count_images, gallery_needs, project_needs
from gallery_gateway.schema.requests import gallery_request, project_request
from gallery_gateway.upstream.decoding import reader_for


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
    needs, limits = gallery_needs(root.selection)
    if root.is_alone:
        # What else is selected in an operation would not be in the excerpt that one field reads.
        needs = replace(needs, decoder=reader_for(root.plan), is_alone=True)

    def prepare(arguments: Mapping[str, Any]) -> Load:
        request = gallery_request(**{_GALLERY_NAMES[name]: value for name, value in arguments.items()})

        async def load(context: OperationContext, key: str) -> _Loaded:
            found = await context.load(key, lambda loaders: loaders.page(request, needs))
            context.count_images(key, count_images(found.read.projects, limits))
            return _Loaded(found, context.known_loaders())

        return load

    return prepare


def _project(root: RootSelection) -> PrepareLoad:
    needs, limits = project_needs(root.selection)
    needs = replace(needs, is_alone=root.is_alone)

    def prepare(arguments: Mapping[str, Any]) -> Load:
        request = project_request(**{_PROJECT_NAMES[name]: value for name, value in arguments.items()})

        async def load(context: OperationContext, key: str) -> _Loaded:
            found = await context.load(key, lambda loaders: loaders.project(request, needs))
            context.count_images(key, count_images([found.read], limits))
            return _Loaded(found, context.known_loaders())

        return load

    return prepare


def _projects(root: RootSelection) -> PrepareLoad:
    def prepare(arguments: Mapping[str, Any]) -> Load:
        named = {_CONNECTION_NAMES[name]: value for name, value in arguments.items()}
        request = connection_request(**named)

        async def load(context: OperationContext, key: str) -> Connected:
            found = await context.load(key, lambda loaders: load_connection(loaders, request, root.selection))
            context.count_images(key, found.images)
            return found

        return load

    return prepare


def _names(build: Callable[..., object]) -> dict[str, str]:
    """Return the parameters of `build` by the names of their arguments in the graph."""
    return {to_camel_case(name): name for name in signature(build).parameters}


# `inspect.signature` takes too long to be called for each operation.
_GALLERY_NAMES = _names(gallery_request)
_PROJECT_NAMES = _names(project_request)
_CONNECTION_NAMES = _names(connection_request)


COMPILED_ROOTS: Mapping[str, CompileRoot] = {
    "gallery": _gallery,
    "project": _project,
    "projects": _projects,
}
