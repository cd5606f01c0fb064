"""What a federation router asks: entities by their keys, and the SDL that they stand in."""

from collections.abc import Sequence
from typing import Annotated, Any

import strawberry
from strawberry.federation.schema import FederationAny

from gallery_gateway.errors import BadUserInputError, GatewayError, RejectedParameterError
from gallery_gateway.execution.selection import selection_of
from gallery_gateway.schema.arguments import rejected_argument
from gallery_gateway.schema.context import Info
from gallery_gateway.schema.demands import project_demand
from gallery_gateway.schema.images import Image
from gallery_gateway.schema.query import Query
from gallery_gateway.schema.representations import ARGUMENT, referred_project
from gallery_gateway.schema.types import Project
from gallery_gateway.upstream import contract

Entity = Annotated[
    Image | Project, strawberry.union("_Entity", description="What other subgraphs may refer to by a key.")
]


@strawberry.type(name="_Service", description="This subgraph, for a composer.")
class Service:
    """What is told of the subgraph itself."""

    sdl: str = strawberry.field(description="Its SDL, with the directives of federation.")


@strawberry.type(name="Query")
class SubgraphQuery(Query):
    """The root of the graph, with the fields for a router."""

    @strawberry.field(
        name="_entities",
        graphql_type=list[Entity | None],
        description="For federation routers: the entities that are referred to, in the same order.",
    )
    async def entities(
        self,
        info: Info,
        representations: Annotated[
            list[FederationAny],
            strawberry.argument(description="`__typename` and the fields of a key, for each of them."),
        ],
    ) -> list[contract.Project | GatewayError | None]:
        """An error in the place of an entity is graphql-core's way to tell it at its own path."""
        _check_number(representations, most=info.subgraph.max_representations)
        referred = [_project_or_error(representation) for representation in representations]
        demand = project_demand(selection_of(info.resolve_info, "Project"))
        numbers = [r for r in referred if isinstance(r, int)]
        loaded = await info.context.load(info.key, lambda loaders: loaders.projects(numbers, demand))
        return [_translated(loaded.found[r] if isinstance(r, int) else r) for r in referred]

    @strawberry.field(
        name="_service", graphql_type=Service, description="For federation composers: this subgraph."
    )
    def service(self, info: Info) -> Service:
        return Service(sdl=info.subgraph.sdl)


def _check_number(representations: Sequence[object], *, most: int) -> None:
    """Raises: BadUserInputError: they are more than the setting allows."""
    if len(representations) > most:
        message = (
            f"`{ARGUMENT}` are {len(representations)}; ENTITIES_MAX_REPRESENTATIONS allows {most}."
            " Ask for fewer at once."
        )
        raise BadUserInputError(message, argument=ARGUMENT)


def _project_or_error(representation: object) -> int | GatewayError:
    try:
        return referred_project(representation)
    except BadUserInputError as exc:
        return exc


def _translated(found: Any) -> contract.Project | GatewayError | None:
    if isinstance(found, RejectedParameterError):
        return rejected_argument(found, {"project_id": ARGUMENT})
    entity: contract.Project | GatewayError | None = found
    return entity
