"""What the resolvers of one operation share, and the graph as a federation subgraph."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeVar, cast

import strawberry
from graphql import GraphQLResolveInfo
from strawberry import federation
from strawberry.schema.config import StrawberryConfig

from gallery_gateway.errors import UnauthenticatedError
from gallery_gateway.execution.limits import TooManyImagesError
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import Accepts, Staleness
from gallery_gateway.gallery.usage import Budget, OperationUsage
from gallery_gateway.schema.needs import ImageLimits
from gallery_gateway.structs import ProjectionSource

# The newest that composers agree on: Strawberry's own default is beyond some of them.
_FEDERATION_VERSION: Final = "2.9"


class Subgraph(federation.Schema):
    """Strawberry's schema for federation, pinned to one version of it."""

    def __init__(self, query: type, config: StrawberryConfig) -> None:
        super().__init__(query=query, config=config, federation_version=_FEDERATION_VERSION)

    @cached_property
    def sdl(self) -> str:
        """What `_service` tells a composer, and what is committed in `schema.graphql`."""
        return self.as_str() + "\n"


Value = TypeVar("Value")


@dataclass(slots=True)
class OperationContext:
    """Made for each operation; without a caller there are no loaders, and so no upstream call."""

    usage: OperationUsage
    loader: GalleryLoader | None
    caller: Caller | None = None
    _outcomes: dict[str, Any] = field(default_factory=dict)
    _images: dict[str, int] = field(default_factory=dict)

    async def load(self, key: str, call: Callable[[GalleryLoader], Awaitable[Value]]) -> Value:
        """What a root field loads, asked for once in an operation, whichever way the field is run.

        `key` is the response key of the root field.

        Raises:
            Exception: what was raised the first time.
        """
        if key not in self._outcomes:
            try:
                self._outcomes[key] = await call(self.known_loaders())
            except Exception as exc:  # noqa: BLE001  # a fence: it is raised again below, and for who comes next
                self._outcomes[key] = exc
        outcome: Value | Exception = self._outcomes[key]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def count_images(self, key: str, projects: Iterable[object], limits: ImageLimits) -> None:
        """Count the images below a root field before the response is written.

        Raises:
            TooManyImagesError: the root fields loaded so far have more images than a response may hold.
        """
        self._images[key] = images_in(projects, limits)
        total = sum(self._images.values())
        if total > self.usage.budget.max_images:
            raise TooManyImagesError(total, max_images=self.usage.budget.max_images)

    def extensions(self, *, reports: bool) -> dict[str, object]:
        """What the answer says of itself: what of it is stale, and the bill if it `reports`."""
        extensions: dict[str, object] = {}
        if self.usage.stale:
            extensions["stale"] = [
                {"path": [key], "ageSeconds": math.floor(stale.age_seconds), "reason": stale.reason}
                for key, stale in self._staleness()
            ]
        if reports:
            extensions["upstream"] = self.usage.report()
        return extensions

    def _staleness(self) -> Iterator[tuple[str, Staleness]]:
        """Of whatever a root field has loaded; what can be stale says so by its `staleness`."""
        for key, loaded in self._outcomes.items():
            stale: Staleness | None = getattr(loaded, "staleness", None)
            if stale is not None:
                yield key, stale

    def known_loaders(self) -> GalleryLoader:
        """Raises: UnauthenticatedError: there is no caller."""
        if self.loader is None:
            raise UnauthenticatedError(
                "Send your access token in the header `Authorization: Bearer <token>`."
            )
        return self.loader


def images_in(projects: Iterable[object], limits: ImageLimits) -> int:
    """Return how many images a response holds that lists the images of `projects` once for each limit."""
    if not limits:
        return 0
    # A damaged page may hold None instead of a project, or instead of its images.
    lists = [project.images for project in projects if isinstance(project, ProjectionSource)]
    lengths = [len(images) for images in lists if isinstance(images, list)]
    return sum(
        sum(lengths) if limit is None else sum(min(length, limit) for length in lengths) for limit in limits
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Opens operations, each with a budget and loaders of its own.

    Args:
        secret: the key of the HMAC that callers are known by.
        timeout_seconds: the longest time for one operation.
        narrows: whether loaders ask for no more images than are selected.
    """

    gallery: Gallery
    secret: bytes
    budget: Budget
    timeout_seconds: float
    narrows: bool = True

    def open(
        self, token: str | None, *, skips_cache: bool, if_error_seconds: float, timeout_seconds: float
    ) -> OperationContext:
        """Return the context of an operation that begins now.

        Args:
            token: the caller's bearer token; without one, nothing is loaded.
            skips_cache: whether only pages that are fetched from now on may answer.
            if_error_seconds: how long past its freshness a page may answer if upstream fails.
            timeout_seconds: the client's own limit.
        """
        usage = OperationUsage(self.budget)
        if token is None:
            return OperationContext(usage, None)
        caller = Caller(token, secret=self.secret)
        loader = GalleryLoader(
            self.gallery,
            caller,
            usage,
            narrows=self.narrows,
            accepts=Accepts(fresh=not skips_cache, if_error_seconds=if_error_seconds),
            until=asyncio.get_running_loop().time() + min(timeout_seconds, self.timeout_seconds),
        )
        return OperationContext(usage, loader, caller)


class Info(strawberry.Info[OperationContext, None]):
    """Strawberry's info, with graphql-core's own behind it."""

    @property
    def resolve_info(self) -> GraphQLResolveInfo[Any]:
        return self._raw_info

    @property
    def key(self) -> str:
        """The response key of a root field."""
        return str(self.path.key)

    @property
    def subgraph(self) -> Subgraph:
        return cast("Subgraph", self.schema)
