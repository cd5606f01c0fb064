"""From a representation, as a federation router sends it, to the project that it refers to."""

from collections.abc import Callable, Mapping
from typing import NoReturn

from graphql import GraphQLError, GraphQLInt

from gallery_gateway.errors import BadUserInputError
from gallery_gateway.upstream.identity import ProjectIdentity, parse_global_id

ARGUMENT = "representations"

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
