"""Federation: what routers ask for, projects by representations and the SDL."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Annotated, Any, NoReturn, cast

import strawberry
from graphql import REMOVE, GraphQLError, Visitor, parse, print_ast, visit
from strawberry import federation
from strawberry.federation.schema import FederationAny

from gallery_gateway.errors import BadUserInputError, RejectedParameterError
from gallery_gateway.execution.selection import SelectedField, selection_of
from gallery_gateway.gallery.bulk import Found, first_loads, load_projects
from gallery_gateway.gallery.planning import FirstLoads, KeyOf
from gallery_gateway.gallery.usage import OperationUsage
from gallery_gateway.schema.context import Info, images_in
from gallery_gateway.schema.needs import project_needs
from gallery_gateway.schema.requests import project_number, rejected_argument
from gallery_gateway.schema.scalars import parse_big_int
from gallery_gateway.schema.types import Image, Project
from gallery_gateway.upstream.identity import ProjectIdentity, parse_global_id

_ARGUMENT = "representations"

# Ten list pages. A router sends one representation for each object of another subgraph.
MAX_REPRESENTATIONS = 1_000

# One list page.
MAX_NODES = 100

# Characters of a type name in a message.
_MAX_SHOWN = 50


def _number_or_error(parse: Callable[[Any], int], value: object) -> int | BadUserInputError:
    try:
        return parse(value)
    except BadUserInputError as exc:
        return exc


def _number_of_entity(representation: object) -> int:
    """Return the number of the project; members other than the keys are ignored."""
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
        return parse_big_int(value)
    except GraphQLError:
        _refuse("The `projectId` of a representation is not a BigInt.")


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

    def api_sdl(self) -> str:
        """Return the schema as clients see it, without the directives and types of federation."""
        return print_ast(visit(parse(self.sdl), _FederationRemover())) + "\n"


class _FederationRemover(Visitor):
    """Removes what tools for clients do not know."""

    def enter(self, node: Any, *_: object) -> Any:
        name = getattr(getattr(node, "name", None), "value", "")
        is_unknown = node.kind == "directive" and name not in {"semanticNonNull", "specifiedBy"}
        return REMOVE if is_unknown or name.startswith("_") or node.kind == "schema_definition" else None


def describe_service(info: Info) -> Service:
    return Service(sdl=cast("Subgraph", info.schema).sdl)


async def load_nodes(
    info: Info,
    ids: Annotated[
        list[strawberry.ID], strawberry.argument(description=f"At most {MAX_NODES} values of `Project.id`.")
    ],
) -> list[Found]:
    """Return a project, an error or `None` for each id; graphql-core reports each error."""
    return await _load_each(info, _numbers_of_nodes(ids), argument="ids")


def first_nodes(field: SelectedField, key_of: KeyOf, usage: OperationUsage) -> FirstLoads:
    """Raises: GatewayError, GraphQLError: an argument is refused."""
    return _first_of_each(field, _numbers_of_nodes(field.arguments()["ids"]), key_of, usage)


def _numbers_of_nodes(ids: Sequence[strawberry.ID]) -> list[int | BadUserInputError]:
    if len(ids) > MAX_NODES:
        message = f"`ids` holds {len(ids)} ids; the limit is {MAX_NODES}. Ask for fewer at once."
        raise BadUserInputError(message, argument="ids")
    return [_number_or_error(partial(project_number, "ids"), each) for each in ids]


async def load_entities(
    info: Info,
    representations: Annotated[
        list[FederationAny],
        strawberry.argument(description="Objects with `__typename` and the fields of a key."),
    ],
) -> list[Found]:
    """Return a project, an error or `None` for each representation; graphql-core reports each error."""
    return await _load_each(info, _numbers_of_entities(representations), argument=_ARGUMENT)


def first_entities(field: SelectedField, key_of: KeyOf, usage: OperationUsage) -> FirstLoads:
    """Raises: GatewayError, GraphQLError: an argument is refused."""
    return _first_of_each(field, _numbers_of_entities(field.arguments()[_ARGUMENT]), key_of, usage)


def _numbers_of_entities(representations: Sequence[object]) -> list[int | BadUserInputError]:
    if len(representations) > MAX_REPRESENTATIONS:
        _refuse(
            f"`{_ARGUMENT}` holds {len(representations)} representations; the limit is"
            f" {MAX_REPRESENTATIONS}. Ask for fewer at once."
        )
    return [_number_or_error(_number_of_entity, each) for each in representations]


def _first_of_each(
    field: SelectedField, numbers: Sequence[int | BadUserInputError], key_of: KeyOf, usage: OperationUsage
) -> FirstLoads:
    needs, _ = project_needs(field.selection("Project"))
    first = first_loads(key_of, [number for number in numbers if isinstance(number, int)], needs, usage)
    refused = [((index,), each) for index, each in enumerate(numbers) if not isinstance(each, int)]
    return replace(first, errors=[*refused, *first.errors])


async def _load_each(info: Info, numbers: Sequence[int | BadUserInputError], *, argument: str) -> list[Found]:
    needs, limits = project_needs(selection_of(info.resolve_info, "Project"))
    valid = [number for number in numbers if isinstance(number, int)]
    loaded = await info.context.load(info.key, lambda loader: load_projects(loader, valid, needs))
    found = [loaded.found[number] if isinstance(number, int) else number for number in numbers]
    info.context.count_images(info.key, images_in(found, limits))
    names = {"project_id": argument}
    return [
        rejected_argument(each, names) if isinstance(each, RejectedParameterError) else each for each in found
    ]
