"""The context that the resolvers of one operation share."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import strawberry
from graphql import GraphQLResolveInfo

from gallery_gateway.errors import GatewayError, UnauthenticatedError
from gallery_gateway.execution.limits import TooManyImagesError
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.entry import has_pending_images
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import Accepts
from gallery_gateway.gallery.usage import Budget, OperationUsage
from gallery_gateway.schema.needs import ImageLimits
from gallery_gateway.telemetry.telemetry import ReportedCall

Value = TypeVar("Value")

NO_TOKEN = "Send your access token in the header `Authorization: Bearer <token>`."  # noqa: S105  # not a token

# An operation that skips the cache asks for the state of now. So long, "now" is the same for all of them.
_NOW_SECONDS = 1.0


@dataclass(slots=True)
class OperationContext:
    """The loader and the counts of one operation; without a caller there is no loader.

    A root field is loaded once in an operation, also if the operation is executed by plans first and plainly
    afterwards: values and errors are kept by the response key of the field.

    Args:
        token_seconds: how long the token was valid when the operation began; infinite if it does not say so.
    """

    usage: OperationUsage
    loader: GalleryLoader | None
    caller: Caller | None = None
    token_seconds: float = math.inf
    _outcomes: dict[str, Any] = field(default_factory=dict)
    _images: dict[str, int] = field(default_factory=dict)

    async def load(self, key: str, load: Callable[[GalleryLoader], Awaitable[Value]]) -> Value:
        """Return what `load` gives, or what the first load under this response key gave.

        Raises:
            UnauthenticatedError: there is no caller.
            Exception: `load` raised it, now or the first time.
        """
        if self.loader is None:
            raise UnauthenticatedError(NO_TOKEN if self.caller is None else None)
        if key not in self._outcomes:
            try:
                self._outcomes[key] = await load(self.loader)
            except Exception as exc:  # noqa: BLE001  # raised below, and for later fields under this key
                self._outcomes[key] = exc
        outcome: Value | Exception = self._outcomes[key]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def count_images(self, key: str, images: int) -> None:
        """Count the images below a root field.

        Raises:
            TooManyImagesError: the root fields loaded so far have more images than a response may hold.
        """
        self._images[key] = images
        total = sum(self._images.values())
        if total > self.usage.budget.max_images:
            raise TooManyImagesError(total, max_images=self.usage.budget.max_images)

    @property
    def has_pending_images(self) -> bool:
        """Whether a loaded project has images that are neither completed nor failed."""
        return any(_is_unfinished(loaded) for loaded in self._outcomes.values() if hasattr(loaded, "value"))

    @property
    def links_seconds(self) -> float:
        """How long the links in the response can be used; infinite if they do not say, or there are none."""
        results = [loaded.source for loaded in self._outcomes.values() if getattr(loaded, "source", None)]
        with_links = [result for result in results if result.key.needs_links]
        return min(
            (each.entry.links_until - each.gallery.clock.wall() for each in with_links), default=math.inf
        )

    @property
    def retry_after_seconds(self) -> int:
        """How long to wait before the next attempt, if a failed load says so; otherwise 0."""
        errors = [outcome for outcome in self._outcomes.values() if isinstance(outcome, GatewayError)]
        return max((error.retry_after_seconds or 0 for error in errors), default=0)

    def extensions(self, *, calls: Sequence[ReportedCall] | None) -> dict[str, object]:
        """Return the `extensions` of the response: stale root fields, and the usage if it reports `calls`."""
        extensions: dict[str, object] = {}
        if self.usage.stale:
            extensions["stale"] = [
                {"path": [key], "ageSeconds": math.floor(stale.age_seconds), "reason": stale.reason}
                for key, loaded in self._outcomes.items()
                if (stale := getattr(loaded, "staleness", None)) is not None
            ]
        if calls is not None:
            extensions["upstream"] = self.usage.report(calls)
        return extensions


def _is_unfinished(loaded: Any) -> bool:
    """Return whether the value of a root field has images that are neither completed nor failed."""
    response = getattr(loaded.source, "response", None)
    if response is not None:
        # The value was freed.
        return bool(response.is_unfinished)
    return has_pending_images(getattr(loaded.value, "projects", [loaded.value]))


def images_in(projects: Iterable[object], limits: ImageLimits) -> int:
    """Return how many images a response holds that lists the images of `projects` once for each limit."""
    if not limits:
        return 0
    # Instead of a project there may be None or an error, and instead of its images None.
    lists = [getattr(project, "images", None) for project in projects]
    lengths = [len(images) for images in lists if isinstance(images, list)]
    return sum(
        sum(lengths) if limit is None else sum(min(length, limit) for length in lengths) for limit in limits
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Opens operations, each with its own budget and loader.

    Args:
        secret: the key of the HMAC that makes caller keys.
        timeout_seconds: the maximum duration of an operation.
        narrows: whether loaders request only as many images as are selected.
    """

    gallery: Gallery
    secret: bytes
    budget: Budget
    timeout_seconds: float
    narrows: bool = True

    def caller_of(self, token: str | None) -> Caller | None:
        return None if token is None else Caller(token, secret=self.secret)

    def open(
        self,
        token: str | None,
        *,
        skips_cache: bool,
        if_error_seconds: float,
        timeout_seconds: float,
        is_poll: bool = False,
    ) -> OperationContext:
        """Return the context of an operation that begins now.

        Args:
            token: the caller's bearer token; without one, nothing is loaded.
            skips_cache: whether only pages fetched from now on are accepted, or within the last second for
                another operation with `skips_cache`.
            if_error_seconds: how long past its freshness a page is accepted if the REST API fails.
            timeout_seconds: the client's own limit.
            is_poll: whether this is a poll of a subscription. It waits for a new page instead of being served
                a stale one that is revalidated, and is refused once the token has expired.
        """
        usage = OperationUsage(self.budget)
        caller = self.caller_of(token)
        if caller is None:
            return OperationContext(usage, None)
        token_seconds = caller.expires_at - self.gallery.clock.wall()
        if is_poll and token_seconds <= 0:
            return OperationContext(usage, None, caller)
        forced_since = self.gallery.clock.monotonic() - _NOW_SECONDS if skips_cache else math.inf
        loader = GalleryLoader(
            self.gallery,
            caller,
            usage,
            narrows=self.narrows,
            accepts=Accepts(
                fresh=not skips_cache,
                forced_since=forced_since,
                revalidating=not is_poll,
                if_error_seconds=if_error_seconds,
            ),
            until=asyncio.get_running_loop().time() + min(timeout_seconds, self.timeout_seconds),
        )
        return OperationContext(usage, loader, caller, token_seconds)


class Info(strawberry.Info[OperationContext, None]):
    """Strawberry's info, with access to graphql-core's."""

    @property
    def resolve_info(self) -> GraphQLResolveInfo[Any]:
        return self._raw_info

    @property
    def key(self) -> str:
        """The response key of a root field."""
        return str(self.path.key)
