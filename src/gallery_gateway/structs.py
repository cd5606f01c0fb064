"""Structs that are projected into responses by msgspec."""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

_AGAIN = "again"
_FIRST = "first"


class ProjectionSource(msgspec.Struct, frozen=True, gc=False):
    """The base of all structs that are projected: it understands the hints behind an attribute's name.

    `derived` names, for each property, the attributes that it is made of.
    """

    derived: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    # Called only for names that are no attributes, so plain ones cost nothing.
    def __getattr__(self, name: str) -> Any:
        attribute, _, hints = name.partition("__")
        if not attribute or not hints:
            raise AttributeError(name)
        value = getattr(self, attribute)
        for hint in hints.split("__"):
            kind, _, number = hint.partition("_")
            if kind == _FIRST and isinstance(value, list):
                value = value[: int(number)]
        return value


def first(attribute: str, limit: int) -> str:
    """The name of a list's first items."""
    return f"{attribute}__{_FIRST}_{limit}"


def again(attribute: str, number: int) -> str:
    """A further name of an attribute; each number is another name."""
    return f"{attribute}__{_AGAIN}_{number}"
