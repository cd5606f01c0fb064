"""The plan of a selection: a struct for each selected object, which msgspec fills and encodes in C.

A plan's attribute is one of its source's, and is encoded under the response key. Which attribute a field
reads, the schema says: a field without a resolver reads its Python name, and one with a resolver can be
planned if its metadata says what the resolver comes down to.
"""

import types
import typing
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any, cast

import msgspec
from graphql import GraphQLList, GraphQLNonNull, GraphQLObjectType, GraphQLOutputType, GraphQLScalarType
from strawberry.types.field import StrawberryField

from gallery_gateway import structs
from gallery_gateway.execution.selection import SelectedField, Selection
from gallery_gateway.structs import ProjectionSource

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
            attribute = structs.again(attribute, len(fields))
        fields.append((attribute, kind, default))
        response_keys[attribute] = response_key
    name = f"{selection.object_type.name}Plan"
    return msgspec.defstruct(name, fields, kw_only=True, frozen=True, gc=False, rename=response_keys)


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
    return structs.first(metadata[ATTRIBUTE], limit)


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


Struct = type[msgspec.Struct]
Shape = tuple[tuple[str, "Shape | None"], ...]
"""Attributes by their names, in the order of the struct, each with the shape of the struct below it."""

# Few shapes are read again and again; each costs half a millisecond to be made a struct of.
_MAX_EXCERPTS = 512


def subset_of(struct: type[ProjectionSource], *readers: Struct) -> type[ProjectionSource]:
    """A struct that decodes from the same JSON as `struct`, and has what the readers read of it.

    Values of the wrong type are an error only where they are read. The same is read by the same excerpt, and
    all of the struct by itself.
    """
    return _subset(struct, _shape(struct, readers))


def _shape(struct: type[ProjectionSource], readers: Iterable[Struct]) -> Shape:
    read = _read(struct, readers)
    return tuple(
        (field.name, _shape(inner, read[field.name]) if (inner := _struct_in(field.type)) else None)
        for field in msgspec.structs.fields(struct)
        if field.name in read
    )


def _read(struct: type[ProjectionSource], readers: Iterable[Struct]) -> Mapping[str, list[Struct]]:
    """What is read of the struct's own attributes, each with the structs that read on below it."""
    own = {field.name for field in msgspec.structs.fields(struct)}
    read: dict[str, list[Struct]] = {}
    for reader in readers:
        for field in msgspec.structs.fields(reader):
            name = field.name.partition("__")[0]
            below = _struct_in(field.type)
            for attribute in (name,) if name in own else struct.derived.get(name, ()):
                read.setdefault(attribute, []).extend((below,) if below else ())
    return read


@lru_cache(_MAX_EXCERPTS)
def _subset(struct: type[ProjectionSource], shape: Shape) -> type[ProjectionSource]:
    if shape == _shape(struct, (struct,)):
        return struct
    below = dict(shape)
    fields = [
        (field.name, _kind_below(field.type, below[field.name]), _default(field))
        for field in msgspec.structs.fields(struct)
        if field.name in below
    ]
    derived = {name: value for name, value in vars(struct).items() if isinstance(value, property)}
    subset: Any = msgspec.defstruct(
        f"{struct.__name__}Excerpt",
        fields,
        bases=(ProjectionSource,),
        namespace=derived,
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
    """The type of an attribute, with the excerpt of the struct in it."""
    if below is None:
        return kind
    if isinstance(kind, types.UnionType):
        return typing.Union[tuple(_kind_below(part, below) for part in typing.get_args(kind))]  # noqa: UP007
    if typing.get_origin(kind) is list:
        return list[_kind_below(typing.get_args(kind)[0], below)]  # type: ignore[misc]  # a type made at run time
    return _subset(kind, below) if isinstance(kind, type) and issubclass(kind, ProjectionSource) else kind


def _struct_in(kind: Any) -> Any:
    """The struct that a value of this type is, or that is the items of a list, or one of several."""
    if isinstance(kind, type) and not typing.get_origin(kind):
        return kind if issubclass(kind, msgspec.Struct) else None
    return next(filter(None, map(_struct_in, typing.get_args(kind))), None)
