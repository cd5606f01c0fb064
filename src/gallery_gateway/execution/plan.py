"""Plans: a struct for each selected object, which msgspec fills from a source struct and encodes.

A field of a plan reads an attribute of the source, and is encoded under its response key. The schema says
which attribute: a field without a resolver reads its Python name; a field with one can only be planned if its
metadata replaces the resolver.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from graphql import GraphQLList, GraphQLNonNull, GraphQLObjectType, GraphQLOutputType, GraphQLScalarType
from strawberry.types.field import StrawberryField

from gallery_gateway import structs
from gallery_gateway.execution.selection import SelectedField, Selection
from gallery_gateway.structs import Plan

ATTRIBUTE = "attribute"
"""Metadata of a field: the attribute that its resolver returns."""

LIMITED_BY = "limited_by"
"""Metadata of a field: the argument that limits the length of its list; null = no limit."""

NEVER_NULL = "never_null"
"""Metadata of a field: plain execution replaces a null value or item by an error."""

_SCALARS: dict[str, Any] = {
    # Larger ones are left to plain execution, which makes strings of them.
    "BigInt": Annotated[int, msgspec.Meta(ge=-(2**53) + 1, le=2**53 - 1)],
    "Boolean": bool,
    "Float": float,
    "ID": str,
    # 32 bits (GraphQL specification, section 3.5.1).
    "Int": Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)],
    "JSON": msgspec.Raw,
    "String": str,
}


class UnplannableError(Exception):
    """The selection needs plain execution."""


def plan_selection(selection: Selection) -> Plan:
    """Raises: UnplannableError: a field has a resolver without metadata, or an unknown type."""
    fields: list[tuple[str, Any, Any]] = []
    response_keys: dict[str, str] = {}
    for response_key, field in selection.by_response_key.items():
        default: Any = msgspec.NODEFAULT
        if field.definition is None:
            # `__typename`: sources do not have this attribute, so the field takes its default.
            attribute, kind, default = "typename_", str, selection.object_type.name
        else:
            attribute, kind = _attribute(field), _kind_of(field.definition.type, field)
        if attribute in response_keys:
            attribute = structs.again(attribute, len(fields))
        fields.append((attribute, kind, default))
        response_keys[attribute] = response_key
    name = f"{selection.object_type.name}Plan"
    return msgspec.defstruct(name, fields, kw_only=True, frozen=True, gc=False, rename=response_keys)


def _strawberry_field(field: SelectedField) -> StrawberryField:
    definition = field.definition
    strawberry_field = definition and definition.extensions.get("strawberry-definition")
    if not isinstance(strawberry_field, StrawberryField):
        raise UnplannableError(field.name)
    return strawberry_field


def _attribute(field: SelectedField) -> str:
    strawberry_field = _strawberry_field(field)
    if strawberry_field.base_resolver is None:
        return strawberry_field.python_name
    metadata: Mapping[Any, Any] = strawberry_field.metadata
    if ATTRIBUTE not in metadata:
        raise UnplannableError(field.name)
    attribute = str(metadata[ATTRIBUTE])
    limit = field.arguments().get(metadata[LIMITED_BY]) if LIMITED_BY in metadata else None
    if limit is None:
        return attribute
    if limit < 0:
        # Plain execution reports the error.
        raise UnplannableError(field.name)
    return structs.first(attribute, limit)


def _kind_of(graphql_type: GraphQLOutputType, field: SelectedField) -> Any:
    """Return the Python type of a GraphQL type in a plan."""
    if isinstance(graphql_type, GraphQLNonNull):
        return _kind_of_nonnull(graphql_type.of_type, field)
    kind = _kind_of_nonnull(graphql_type, field)
    # Raw includes a JSON null.
    is_optional = kind is not msgspec.Raw and NEVER_NULL not in _strawberry_field(field).metadata
    return kind | None if is_optional else kind


def _kind_of_nonnull(graphql_type: Any, field: SelectedField) -> Any:
    if isinstance(graphql_type, GraphQLList):
        return list[_kind_of(graphql_type.of_type, field)]  # type: ignore[misc]  # a type made at run time
    if isinstance(graphql_type, GraphQLObjectType):
        return plan_selection(field.selection())
    if isinstance(graphql_type, GraphQLScalarType) and graphql_type.name in _SCALARS:
        return _SCALARS[graphql_type.name]
    raise UnplannableError(field.name)
