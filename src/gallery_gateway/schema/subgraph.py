"""The graph as a federation subgraph: its version, its SDL, and how much a router may ask for at once."""

from functools import cached_property
from typing import Final

from strawberry import federation
from strawberry.schema.config import StrawberryConfig

# The newest that composers agree on: Strawberry's own default is beyond some of them.
_FEDERATION_VERSION: Final = "2.9"


class Subgraph(federation.Schema):
    """Strawberry's schema for federation, pinned to one version of it.

    Args:
        max_representations: how many of them one `_entities` field may be asked for.
    """

    def __init__(self, query: type, config: StrawberryConfig, *, max_representations: int) -> None:
        super().__init__(query=query, config=config, federation_version=_FEDERATION_VERSION)
        self.max_representations = max_representations

    @cached_property
    def sdl(self) -> str:
        """What `_service` tells a composer, and what is committed in `schema.graphql`."""
        return self.as_str() + "\n"
