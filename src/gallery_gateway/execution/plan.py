"""Plans: a struct for each selected object, which msgspec fills from a source struct and encodes.

A field of a plan reads an attribute of the source, and is encoded under its response key. The schema says
which attribute: a field without a resolver reads its Python name; a field with one can only be planned if its
metadata replaces the resolver.
"""

import typing
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, cast

import msgspec
from graphql import GraphQLList, GraphQLNonNull, GraphQLObjectType, GraphQLOutputType, GraphQLScalarType
from strawberry.types.field import StrawberryField

from gallery_gateway import structs
from gallery_gateway.execution.selection import SelectedField, Selection
from gallery_gateway.structs import AliasedSource, ProjectionSource

ATTRIBUTE = "attribute"
"""Metadata of a field: the attribute that its resolver returns."""

LIMITED_BY = "limited_by"
"""Metadata of a field: the argument that limits the length of its list; null = no limit."""

NEVER_NULL = "never_null"
"""Metadata of a field: plain execution replaces a null value or item by an error."""

Plan = type[msgspec.Struct]

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


class Shape(NamedTuple):
    """What is read of a struct.

    Args:
        attributes: their names in the order of the struct, each with the shape of the struct below it.
        has_aliases: whether some are read under an alias.
    """

    attributes: tuple[tuple[str, "Shape | None"], ...]
    has_aliases: bool


# A shape takes half a millisecond to become a struct, and few shapes are common.
_MAX_SUBSETS = 512


def subset_of(struct: type[ProjectionSource], *plans: Plan) -> type[ProjectionSource]:
    """Return a struct that decodes the same JSON as `struct`, with only the attributes that `plans` read.

    A value of the wrong type is only an error if it is read. Equal subsets are the same struct.
    """
    return _subset(struct, _shape(struct, plans))


def _shape(struct: type[ProjectionSource], plans: Iterable[Plan]) -> Shape:
    read, has_aliases = _attributes_read(struct, plans)
    attributes = tuple(
        (field.name, _shape(inner, read[field.name]) if (inner := _struct_in(field.type)) else None)
        for field in msgspec.structs.fields(struct)
        if field.name in read
    )
    return Shape(attributes, has_aliases)


def _attributes_read(
    struct: type[ProjectionSource], plans: Iterable[Plan]
) -> tuple[Mapping[str, list[Plan]], bool]:
    """Return the attributes of `struct` that are read, each with the plans that read the value below it.

    Also return whether any is read under an alias.
    """
    own = {field.name for field in msgspec.structs.fields(struct)}
    read: dict[str, list[Plan]] = {}
    has_aliases = False
    for plan in plans:
        for field in msgspec.structs.fields(plan):
            name, separator, _ = field.name.partition("__")
            has_aliases = has_aliases or bool(separator)
            below = _struct_in(field.type)
            for attribute in (name,) if name in own else struct.derived.get(name, ()):
                read.setdefault(attribute, []).extend((below,) if below else ())
    return read, has_aliases


@lru_cache(_MAX_SUBSETS)
def _subset(struct: type[ProjectionSource], shape: Shape) -> type[ProjectionSource]:
    below = dict(shape.attributes)
    fields = [
        (field.name, _kind_below(field.type, below[field.name]), _default(field))
        for field in msgspec.structs.fields(struct)
        if field.name in below
    ]
    subset: Any = msgspec.defstruct(
        f"{struct.__name__}Subset",
        fields,
        bases=(AliasedSource if shape.has_aliases else ProjectionSource,),
        namespace={name: value for name, value in vars(struct).items() if isinstance(value, property)},
        kw_only=True,
        frozen=True,
        gc=False,
    )
    return cast("type[ProjectionSource]", subset)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory, name=field.encode_name)
    return msgspec.field(default=field.default, name=field.encode_name)


def _kind_below(kind: Any, below: Shape | None) -> Any:
    """Return the type of an attribute, with the struct in it replaced by its subset."""
    if below is None:
        return kind
    arguments = typing.get_args(kind)
    if not arguments:
        return _subset(kind, below) if issubclass(kind, ProjectionSource) else kind
    kinds = tuple(_kind_below(argument, below) for argument in arguments)
    if typing.get_origin(kind) is list:
        return list[kinds]  # type: ignore[valid-type]  # a type made at run time
    return typing.Union[kinds]  # noqa: UP007


def _struct_in(kind: Any) -> Any:
    """Return the struct in a type: the type itself, an item of a list, or a member of a union."""
    if isinstance(kind, type) and not typing.get_origin(kind):
        return kind if issubclass(kind, msgspec.Struct) else None
    return next(filter(None, map(_struct_in, typing.get_args(kind))), None)
