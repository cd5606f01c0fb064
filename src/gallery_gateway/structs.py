"""The bases of the frozen structs that plans read: aliases of their attributes, and subsets of them.

An alias is an attribute's name with a suffix: `images__first_3` is a list's first three items, and
`images__again_1` the same value under another name. So msgspec, which reads attributes by their name, can
read one of them several times, or a part of it.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, Union, cast, get_args, get_origin

import msgspec

Plan = type[msgspec.Struct]
"""A struct type that msgspec fills from the attributes of a source."""


class ProjectionSource(msgspec.Struct, frozen=True, gc=False):
    """A frozen struct; `derived` names, for each property, the attributes that it is computed from."""

    derived: ClassVar[Mapping[str, tuple[str, ...]]] = {}


class AliasedSource(ProjectionSource, frozen=True, gc=False):
    """A source with aliases. Reading any of its attributes takes twice as long as without them."""

    def __getattr__(self, name: str) -> Any:
        attribute, _, suffixes = name.partition("__")
        if not attribute or not suffixes:
            raise AttributeError(name)
        value = getattr(self, attribute)
        for suffix in suffixes.split("__"):
            kind, _, number = suffix.partition("_")
            if kind == "first" and isinstance(value, list):
                value = value[: int(number)]
        return value


def first(attribute: str, limit: int) -> str:
    """Return the alias for the first items of a list."""
    return f"{attribute}__first_{limit}"


def again(attribute: str, number: int) -> str:
    """Return an alias for the same value; each number is another alias."""
    return f"{attribute}__again_{number}"


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
    arguments = get_args(kind)
    if not arguments:
        return _subset(kind, below) if issubclass(kind, ProjectionSource) else kind
    kinds = tuple(_kind_below(argument, below) for argument in arguments)
    if get_origin(kind) is list:
        return list[kinds]  # type: ignore[valid-type]  # a type made at run time
    return Union[kinds]  # noqa: UP007


def _struct_in(kind: Any) -> Any:
    """Return the struct in a type: the type itself, an item of a list, or a member of a union."""
    if isinstance(kind, type) and not get_origin(kind):
        return kind if issubclass(kind, msgspec.Struct) else None
    return next(filter(None, map(_struct_in, get_args(kind))), None)
