"""The bases of the frozen structs that plans read, some of whose attributes can be read under aliases.

An alias is an attribute's name with a suffix: `images__first_3` is a list's first three items, and
`images__again_1` the same value under another name. So msgspec, which reads attributes by their name, can
read one of them several times, or a part of it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec


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
