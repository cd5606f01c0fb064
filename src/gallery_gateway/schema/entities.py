"""Federation: what routers ask for, projects by representations and the SDL."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, NoReturn, cast

import strawberry
from graphql import GraphQLError, GraphQLInt
from strawberry import federation
from strawberry.federation.schema import FederationAny

from gallery_gateway.errors import BadUserInputError, RejectedParameterError
from gallery_gateway.execution.selection import selection_of
from gallery_gateway.gallery.bulk import Found, load_projects
from gallery_gateway.schema.context import Info, images_in
from gallery_gateway.schema.needs import project_needs
from gallery_gateway.schema.requests import rejected_argument
from gallery_gateway.schema.types import Image, Project
from gallery_gateway.upstream.identity import ProjectIdentity, parse_global_id

_ARGUMENT = "representations"

# Ten list pages. A router sends one representation for each object of another subgraph.
_MAX_REPRESENTATIONS = 1_000

# Characters of a type name in a message.
_MAX_SHOWN = 50


def _project_number(representation: object) -> int | BadUserInputError:
    """Return the number of the project, or why there is none; members other than the keys are ignored."""
    try:
        return _parse(representation)
    except BadUserInputError as exc:
        return exc


def _parse(representation: object) -> int:
    if not isinstance(representation, Mapping):
        _refuse("A representation must be an object.")
    type_name = representation.get("__typename")
    if not isinstance(type_name, str):
        _refuse("A representation needs its `__typename`.")
    if type_name == "Image":
        _refuse("An Image cannot be fetched by its key; ask for its project.")
    if type_name != "Project":
        _refuse(f"This graph has no entity of the type {type_name[:_MAX_SHOWN]!r}.")
    numbers = {parse(representation[name]) for name, parse in _KEYS.items() if name in representation}
    if not numbers:
        _refuse("A representation of a Project needs its `id` or its `projectId`.")
    if len(numbers) > 1:
        _refuse("The `id` and the `projectId` of a representation name different projects.")
    return numbers.pop()


def _number_of_id(value: object) -> int:
    try:
        identity = parse_global_id(value) if isinstance(value, str) else None
    except ValueError:
        identity = None
    if not isinstance(identity, ProjectIdentity):
        _refuse("The `id` of a representation is not the id of a Project.")
    return identity.project_id


def _number(value: object) -> int:
    try:
        number: int = GraphQLInt.parse_value(value)
    except GraphQLError:
        _refuse("The `projectId` of a representation is not an Int.")
    return number


_KEYS: Mapping[str, Callable[[object], int]] = {"id": _number_of_id, "projectId": _number}


def _refuse(message: str) -> NoReturn:
    raise BadUserInputError(message, argument=_ARGUMENT)


Entity = Annotated[
    Image | Project, strawberry.union("_Entity", description="Types that other subgraphs refer to by a key.")
]


@strawberry.type(name="_Service", description="This subgraph, for composers.")
class Service:
    """The subgraph as composers see it."""

    sdl: str = strawberry.field(description="SDL with federation directives.")


class Subgraph(federation.Schema):
    """Strawberry's schema for federation, with an SDL that is printed once."""

    @cached_property
    def sdl(self) -> str:
        """The SDL that `_service` returns and `schema.graphql` holds."""
        return self.as_str() + "\n"


def describe_service(info: Info) -> Service:
    return Service(sdl=cast("Subgraph", info.schema).sdl)


async def load_entities(
    info: Info,
    representations: Annotated[
        list[FederationAny],
        strawberry.argument(description="Objects with `__typename` and the fields of a key."),
    ],
) -> list[Found]:
    """Return a project, an error or `None` for each representation; graphql-core reports each error."""
    if len(representations) > _MAX_REPRESENTATIONS:
        _refuse(
            f"`{_ARGUMENT}` holds {len(representations)} representations; the limit is"
            f" {_MAX_REPRESENTATIONS}. Ask for fewer at once."
        )
    numbers = [_project_number(representation) for representation in representations]
    needs, limits = project_needs(selection_of(info.resolve_info, "Project"))
    valid = [number for number in numbers if isinstance(number, int)]
    loaded = await info.context.load(info.key, lambda loader: load_projects(loader, valid, needs))
    entities = [_entity(loaded.found[n] if isinstance(n, int) else n) for n in numbers]
    info.context.count_images(info.key, images_in(entities, limits))
    return entities


def _entity(found: Found) -> Found:
    if isinstance(found, RejectedParameterError):
        return rejected_argument(found, {"project_id": _ARGUMENT})
    return found
