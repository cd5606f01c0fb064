"""The plan of a selection: a struct for each selected object, which msgspec fills and writes in C.

A plan's attribute is one of its source's, and is written under the response key. Which attribute a field
reads, the schema says: a field without a resolver reads its Python name, and one with a resolver can be
planned if its metadata says what the resolver comes down to.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from graphql import GraphQLList, GraphQLNonNull, GraphQLObjectType, GraphQLOutputType, GraphQLScalarType
from strawberry.types.field import StrawberryField

from gallery_gateway.execution import projected
from gallery_gateway.execution.selection import SelectedField, Selection

ATTRIBUTE = "attribute"
"""Metadata of a field: its resolver hands on this attribute of the source."""

LIMITED_BY = "limited_by"
"""Metadata of a field: of the list, as many items as this argument says; all if it is null."""

Plan = type[msgspec.Struct]

_SCALARS: dict[str, Any] = {
    "Boolean": bool,
    "Float": float,
    "ID": str,
    # 32 bits (GraphQL specification, 3.5.1).
    "Int": Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)],
    "JSON": msgspec.Raw,
    "String": str,
}


class UnplannableError(Exception):
    """The selection holds something that only plain execution can do."""


def plan_selection(selection: Selection) -> Plan:
    """Raises: UnplannableError: a field is no plain attribute, nor known to come down to one."""
    fields: list[tuple[str, Any, Any]] = []
    response_keys: dict[str, str] = {}
    for response_key, field in selection.by_response_key.items():
        default: Any = msgspec.NODEFAULT
        if field.name == "__typename":
            # No source has this attribute, so that it takes its default.
            attribute, kind, default = "typename_", str, selection.object_type.name
        else:
            attribute, kind = _attribute(field), _kind(field)
        if attribute in response_keys:
            attribute = projected.again(attribute, len(fields))
        fields.append((attribute, kind, default))
        response_keys[attribute] = response_key
    name = f"{selection.object_type.name}Plan"
    return msgspec.defstruct(name, fields, kw_only=True, frozen=True, gc=False, rename=response_keys)


class _Response(msgspec.Struct):
    data: msgspec.Struct


def response_of(response_key: str) -> Callable[[object], msgspec.Struct]:
    """Makes a response out of the projected value of its only root field."""
    data = msgspec.defstruct("Data", [("value", Any)], rename={"value": response_key})
    return lambda value: _Response(data(value))


def _attribute(field: SelectedField) -> str:
    strawberry_field = _strawberry_field(field)
    metadata: Mapping[Any, Any] = strawberry_field.metadata
    if strawberry_field.base_resolver is None:
        return strawberry_field.python_name
    if ATTRIBUTE not in metadata:
        raise UnplannableError(field.name)
    if LIMITED_BY not in metadata:
        return str(metadata[ATTRIBUTE])
    # What will be refused is None here; it is left to plain execution, which says so.
    arguments = field.arguments()
    limit = arguments.get(metadata[LIMITED_BY])
    if limit is None:
        return str(metadata[ATTRIBUTE])
    if limit < 0:
        raise UnplannableError(field.name)
    return projected.first(metadata[ATTRIBUTE], limit)


def _strawberry_field(field: SelectedField) -> StrawberryField:
    definition = field.definition
    strawberry_field = definition and definition.extensions.get("strawberry-definition")
    if not isinstance(strawberry_field, StrawberryField):
        raise UnplannableError(field.name)
    return strawberry_field


def _kind(field: SelectedField) -> Any:
    if field.definition is None:
        raise UnplannableError(field.name)
    return _kind_of(field.definition.type, field)


def _kind_of(graphql_type: GraphQLOutputType, field: SelectedField) -> Any:
    """The Python type that a value of this GraphQL type has in a plan."""
    if isinstance(graphql_type, GraphQLNonNull):
        return _kind_of_nonnull(graphql_type.of_type, field)
    kind = _kind_of_nonnull(graphql_type, field)
    # A JSON null is a null already.
    return kind if kind is msgspec.Raw else kind | None


def _kind_of_nonnull(graphql_type: Any, field: SelectedField) -> Any:
    if isinstance(graphql_type, GraphQLList):
        return list[_kind_of(graphql_type.of_type, field)]  # type: ignore[misc]  # a type made at run time
    if isinstance(graphql_type, GraphQLObjectType):
        return plan_selection(field.selection())
    if isinstance(graphql_type, GraphQLScalarType) and graphql_type.name in _SCALARS:
        return _SCALARS[graphql_type.name]
    raise UnplannableError(field.name)
