"""What a root field has to bring for being compiled: how it is loaded, and what is loaded."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gallery_gateway.execution.plan import Plan
from gallery_gateway.execution.selection import Selection


class Loaded(Protocol):
    """What a root field has loaded: the source of a projection, and what it was rendered to before."""

    @property
    def value(self) -> object: ...

    def recall(self, plan: Plan) -> bytes | None:
        """What the value was written as by this plan, if that is remembered."""

    def remember(self, plan: Plan, rendered: bytes) -> None:
        """Keeps what the value was written as, if it is worth it."""

    def kept(self, plan: Plan) -> "Kept | None":
        """What is remembered, to be given again without running anything."""


class Kept(Protocol):
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
