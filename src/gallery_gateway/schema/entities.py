"""Federation entities: from representations, as a router sends them, to projects."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NoReturn

import strawberry
from graphql import GraphQLError, GraphQLInt
from strawberry.federation.schema import FederationAny

from gallery_gateway.errors import BadUserInputError, GatewayError, RejectedParameterError
from gallery_gateway.execution.selection import selection_of
from gallery_gateway.gallery.bulk import load_projects
from gallery_gateway.schema.context import Info
from gallery_gateway.schema.needs import project_needs
from gallery_gateway.schema.query import Query
from gallery_gateway.schema.requests import rejected_argument
from gallery_gateway.schema.types import Image, Project
from gallery_gateway.upstream import contract
from gallery_gateway.upstream.identity import ProjectIdentity, parse_global_id

ARGUMENT = "representations"

# Ten list pages; a router sends one representation for each object of the other subgraph.
MAX_REPRESENTATIONS = 1_000

_MAX_SHOWN = 50


def referred_project(representation: object) -> int:
    """The number of the project; keys beside its own are for others, and are not looked at.

    Raises:
        BadUserInputError: it refers to nothing that can be found here.
    """
    if not isinstance(representation, Mapping):
        _refuse("A representation must be an object.")
    _check_type(representation.get("__typename"))
    known = {name: read(representation[name]) for name, read in _KEYS.items() if name in representation}
    if not known:
        _refuse("A representation of a Project needs its `id` or its `projectId`.")
    if len(set(known.values())) > 1:
        _refuse("The `id` and the `projectId` of a representation name different projects.")
    return next(iter(known.values()))


def _check_type(type_name: object) -> None:
    if not isinstance(type_name, str):
        _refuse("A representation needs its `__typename`.")
    if type_name == "Image":
        _refuse("An Image cannot be found by its key here; ask for its project.")
    if type_name != "Project":
        _refuse(f"There is no entity of the type {type_name[:_MAX_SHOWN]!r} here.")


def _project_of_id(value: object) -> int:
    try:
        identity = parse_global_id(value) if isinstance(value, str) else None
    except ValueError:
        identity = None
    if not isinstance(identity, ProjectIdentity):
        _refuse("The `id` of a representation is not the id of a Project.")
    return identity.project_id


def _project_of_number(value: object) -> int:
    try:
        number: int = GraphQLInt.parse_value(value)
    except GraphQLError:
        _refuse("The `projectId` of a representation is not an Int.")
    return number


_KEYS: Mapping[str, Callable[[object], int]] = {"id": _project_of_id, "projectId": _project_of_number}


def _refuse(message: str) -> NoReturn:
    raise BadUserInputError(message, argument=ARGUMENT)


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
    ) -> list[contract.UpstreamProject | GatewayError | None]:
        """An error in the place of an entity is graphql-core's way to tell it at its own path."""
        _check_number(representations)
        referred = [_project_or_error(representation) for representation in representations]
        needs, limits = project_needs(selection_of(info.resolve_info, "Project"))
        numbers = [r for r in referred if isinstance(r, int)]
        loaded = await info.context.load(info.key, lambda loader: load_projects(loader, numbers, needs))
        entities = [_translated(loaded.found[r] if isinstance(r, int) else r) for r in referred]
        info.context.count_images(info.key, entities, limits)
        return entities

    @strawberry.field(
        name="_service", graphql_type=Service, description="For federation composers: this subgraph."
    )
    def service(self, info: Info) -> Service:
        return Service(sdl=info.subgraph.sdl)


def _check_number(representations: Sequence[object]) -> None:
    """Raises: BadUserInputError: there are more than `MAX_REPRESENTATIONS`."""
    number = len(representations)
    if number > MAX_REPRESENTATIONS:
        message = (
            f"`{ARGUMENT}` holds {number} representations; the limit is {MAX_REPRESENTATIONS}."
            " Ask for fewer at once."
        )
        raise BadUserInputError(message, argument=ARGUMENT)


def _project_or_error(representation: object) -> int | GatewayError:
    try:
        return referred_project(representation)
    except BadUserInputError as exc:
        return exc


def _translated(found: Any) -> contract.UpstreamProject | GatewayError | None:
    if isinstance(found, RejectedParameterError):
        return rejected_argument(found, {"project_id": ARGUMENT})
    entity: contract.UpstreamProject | GatewayError | None = found
    return entity
