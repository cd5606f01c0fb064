"""Less of a struct: the same values, with what is read of them, so that all the rest is skipped in C.

What reads are structs too, by the names of their attributes: plans, for example.
"""

import types
import typing
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, cast

import msgspec

from gallery_gateway.execution.projected import Projected

Struct = type[msgspec.Struct]
Shape = tuple[tuple[str, "Shape | None"], ...]
"""Attributes by their names, in the order of the struct, each with the shape of the struct below it."""

# Few shapes are read again and again; each costs half a millisecond to be made a struct of.
_MAX_EXCERPTS = 512


def excerpt_of(struct: type[Projected], *readers: Struct) -> type[Projected]:
    """A struct that decodes from the same JSON as `struct`, and has what the readers read of it.

    Values of the wrong type are an error only where they are read. The same is read by the same excerpt, and
    all of the struct by itself.
    """
    return _excerpt(struct, _shape(struct, readers))


def _shape(struct: type[Projected], readers: Iterable[Struct]) -> Shape:
    read = _read(struct, readers)
    return tuple(
        (field.name, _shape(inner, read[field.name]) if (inner := _struct_in(field.type)) else None)
        for field in msgspec.structs.fields(struct)
        if field.name in read
    )


def _read(struct: type[Projected], readers: Iterable[Struct]) -> Mapping[str, list[Struct]]:
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
def _excerpt(struct: type[Projected], shape: Shape) -> type[Projected]:
    if shape == _shape(struct, (struct,)):
        return struct
    below = dict(shape)
    fields = [
        (field.name, _kind(field.type, below[field.name]), _default(field))
        for field in msgspec.structs.fields(struct)
        if field.name in below
    ]
    derived = {name: value for name, value in vars(struct).items() if isinstance(value, property)}
    excerpt: Any = msgspec.defstruct(
        f"{struct.__name__}Excerpt",
        fields,
        bases=(Projected,),
        namespace=derived,
        kw_only=True,
        frozen=True,
        gc=False,
    )
    return cast("type[Projected]", excerpt)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory, name=field.encode_name)
    return msgspec.field(default=field.default, name=field.encode_name)


def _kind(kind: Any, below: Shape | None) -> Any:
    """The type of an attribute, with the excerpt of the struct in it."""
    if below is None:
        return kind
    if isinstance(kind, types.UnionType):
        return typing.Union[tuple(_kind(part, below) for part in typing.get_args(kind))]  # noqa: UP007
    if typing.get_origin(kind) is list:
        return list[_kind(typing.get_args(kind)[0], below)]  # type: ignore[misc]  # a type made at run time
    return _excerpt(kind, below) if isinstance(kind, type) and issubclass(kind, Projected) else kind


def _struct_in(kind: Any) -> Any:
    """The struct that a value of this type is, or that is the items of a list, or one of several."""
    if isinstance(kind, type) and not typing.get_origin(kind):
        return kind if issubclass(kind, msgspec.Struct) else None
    return next(filter(None, map(_struct_in, typing.get_args(kind))), None)
