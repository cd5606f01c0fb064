"""What the resolvers of one operation share, and the graph as a federation subgraph."""

import math
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeVar, cast

import strawberry
from graphql import GraphQLResolveInfo
from strawberry import federation
from strawberry.schema.config import StrawberryConfig

from gallery_gateway.errors import UnauthenticatedError
from gallery_gateway.execution.limits import TooManyImagesError
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import Staleness
from gallery_gateway.gallery.usage import OperationUsage

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
    loaders: GalleryLoader | None
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

    def count_images(self, key: str, number: int) -> None:
        """Count the images that the response would hold below a root field, before it is written.

        Raises:
            TooManyImagesError: with those of the other root fields, they are more than an operation may have.
        """
        self._images[key] = number
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
        if self.loaders is None:
            raise UnauthenticatedError(
                "Send your access token in the header `Authorization: Bearer <token>`."
            )
        return self.loaders


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
