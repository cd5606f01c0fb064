"""Drift: where a page differs from the contract, in unknown, missing and mistyped fields.

The structs of `contract.py` say what to expect, so a field that is added there is compared without a second
list. Values are not decoded: the first byte of a JSON value shows its type.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec
from msgspec import Raw, inspect
from msgspec.json import Decoder

from gallery_gateway.upstream.contract import Page

Kind = Literal["unknown", "missing", "mistyped"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between a page and the contract; it holds no value of the page.

    Args:
        field: the path of the field, as in `projects[].images[].status`; `$` is the page itself. An unknown
            name that could be an id or a text ends it as `?`.
        types: the JSON types of the values that differ, sorted; empty if the field is missing.
        count: how many of the objects differ, or of the items if the path ends in `[]`.
        compared: how many were compared.
    """

    field: str
    kind: Kind
    types: tuple[str, ...]
    count: int
    compared: int


@dataclass(frozen=True, slots=True)
class Presence:
    """How often an object has a field of the contract.

    Args:
        field: the path of the field, as in a `Difference`.
        is_required: whether it may not be absent.
        present: how many of the objects have it.
        nulls: how many of them have null in it.
        compared: how many objects there are.
    """

    field: str
    is_required: bool
    present: int
    nulls: int
    compared: int


class _Field(NamedTuple):
    """What the contract says about a field, or about the items of a list."""

    path: str
    types: frozenset[str]
    is_required: bool
    members: Mapping[str, "_Field"]
    item: "_Field | None"


_TYPES_OF = {
    inspect.StructType: {"object"},
    inspect.ListType: {"array"},
    inspect.StrType: {"string"},
    inspect.IntType: {"integer"},
    inspect.FloatType: {"integer", "number"},
    inspect.BoolType: {"boolean"},
    inspect.NoneType: {"null"},
    inspect.RawType: {"object", "array", "string", "integer", "number", "boolean", "null"},
}


def _field_of(path: str, kind: inspect.Type, *, is_required: bool) -> _Field:
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    members: dict[str, _Field] = {}
    item = None
    for part in kinds:
        if isinstance(part, inspect.ListType):
            item = _field_of(f"{path}[]", part.item_type, is_required=False)
        elif isinstance(part, inspect.StructType):
            for field in part.fields:
                name = field.encode_name
                members[name] = _field_of(_below(path, name), field.type, is_required=field.required)
    types = frozenset().union(*(_TYPES_OF[type(part)] for part in kinds))
    return _Field(path, types, is_required, members, item)


def _below(path: str, name: str) -> str:
    return name if path == "$" else f"{path}.{name}"


def _with_all_below(field: _Field) -> Iterator[_Field]:
    yield field
    for below in (*field.members.values(), *filter(None, [field.item])):
        yield from _with_all_below(below)


_PAGE = _field_of("$", inspect.type_info(Page), is_required=True)
_FIELDS = {field.path: field for field in _with_all_below(_PAGE)}

_members_decoder = Decoder(dict[str, Raw])
_items_decoder = Decoder(list[Raw])


def compare(body: bytes, *, max_objects: int = 20_000) -> list[Difference]:
    """Return where a page differs from the contract; nothing if it is not JSON.

    A body that decodes as a `Page` has unknown fields only: a field that may be absent is never missing. The
    time is linear in the size of the body.

    Args:
        body: any bytes.
        max_objects: further objects, in the order of the body, are not compared.
    """
    survey = _surveyed(body, max_objects)
    return [] if survey is None else list(survey.differences())


def presence(body: bytes) -> list[Presence]:
    """Return how often each field of the contract is present; nothing if the body is not JSON."""
    survey = _surveyed(body, 20_000)
    return [] if survey is None else list(survey.presence())


def _surveyed(body: bytes, max_objects: int) -> "_Survey | None":
    survey = _Survey(max_objects)
    try:
        survey.visit(msgspec.json.decode(body, type=Raw), _PAGE)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return survey


# The names of fields are no values, but an object of another shape may have ids or texts as its names.
_SHOWN_NAME = re.compile("[A-Za-z_]{1,40}")
_MAX_PATHS = len(_FIELDS) + 20


class _Survey:
    """Counts the JSON types of the values at each path."""

    def __init__(self, max_objects: int) -> None:
        self._left = max_objects
        self._types: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def visit(self, value: Raw, field: _Field) -> None:
        json_type = _json_type(value)
        self._types[field.path][json_type] += 1
        if json_type == "object" and field.members:
            self._left -= 1
            for name, member in _members_decoder.decode(value).items():
                if name in field.members:
                    self.visit(member, field.members[name])
                else:
                    self._types[self._unknown(field.path, name)][_json_type(member)] += 1
        elif json_type == "array" and field.item:
            for item in _items_decoder.decode(value):
                if self._left <= 0:
                    return
                self.visit(item, field.item)

    def _unknown(self, path: str, name: str) -> str:
        unknown = _below(path, name)
        is_shown = unknown in self._types or len(self._types) < _MAX_PATHS
        return unknown if is_shown and _SHOWN_NAME.fullmatch(name) else _below(path, "?")

    def differences(self) -> Iterator[Difference]:
        for path, types in list(self._types.items()):
            field = _FIELDS.get(path)
            wrong = types if field is None else {name: types[name] for name in types.keys() - field.types}
            if wrong:
                kind: Kind = "unknown" if field is None else "mistyped"
                yield Difference(path, kind, tuple(sorted(wrong)), sum(wrong.values()), self._compared(path))
        for path, field in _FIELDS.items():
            compared = self._compared(path) if field.is_required else 0
            missing = compared - self._types[path].total()
            if missing > 0:
                yield Difference(path, "missing", (), missing, compared)

    def presence(self) -> Iterator[Presence]:
        for path, field in _FIELDS.items():
            types = self._types[path]
            if path != "$" and not path.endswith("[]"):
                compared = self._compared(path)
                yield Presence(path, field.is_required, types.total(), types["null"], compared)

    def _compared(self, path: str) -> int:
        """Return how many objects could have a field, or how many items a list has."""
        if path == "$" or path.endswith("[]"):
            return self._types[path].total()
        holder = path.rpartition(".")[0] or "$"
        return self._types[holder]["object"]


_TYPE_BY_FIRST_BYTE = {
    ord('"'): "string",
    ord("{"): "object",
    ord("["): "array",
    ord("t"): "boolean",
    ord("f"): "boolean",
    ord("n"): "null",
}


def _json_type(value: Raw) -> str:
    name = _TYPE_BY_FIRST_BYTE.get(memoryview(value)[0])
    if name is None:
        name = "integer" if bytes(value).removeprefix(b"-").isdigit() else "number"
    return name
