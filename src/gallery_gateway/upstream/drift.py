"""Drift: where a page differs from the contract, in unknown, missing and mistyped fields.

The structs of `contract.py` say what to expect, so a field that is added there is compared without a second
list. Values are not decoded: the first byte of a JSON value shows its type. While the gateway serves, it
compares a sample of its pages.
"""

import asyncio
import logging
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec
from msgspec import Raw, inspect
from msgspec.json import Decoder

from gallery_gateway.telemetry.logs import log_event
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
        types: how many of them have each JSON type.
        compared: how many objects there are.
    """

    field: str
    is_required: bool
    present: int
    types: Mapping[str, int]
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

_MAX_OBJECTS = 20_000


def compare(body: bytes, *, max_objects: int = _MAX_OBJECTS) -> list[Difference]:
    """Return where a page differs from the contract; nothing if it is not JSON.

    A body that decodes as a `Page` has unknown fields only: a field that may be absent is never missing. The
    time is linear in the size of the body.

    Args:
        body: any bytes.
        max_objects: further objects, in the order of the body, are not compared.
    """
    return list(_surveyed(body, max_objects).differences())


def presence(body: bytes) -> list[Presence]:
    """Return how often each field of the contract is present; nothing if the body is not JSON."""
    return list(_surveyed(body, _MAX_OBJECTS).presence())


def _surveyed(body: bytes, max_objects: int) -> "_Survey":
    survey = _Survey(max_objects)
    for _ in survey.steps(body):
        pass
    return survey


# The names of fields are no values, but an object of another shape may have ids or texts as its names.
_SHOWN_NAME = re.compile("[A-Za-z_]{1,40}")
_MAX_PATHS = len(_FIELDS) + 20


class _Survey:
    """Counts the JSON types of the values at each path."""

    def __init__(self, max_objects: int = _MAX_OBJECTS) -> None:
        self._left = max_objects
        self._types: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def steps(self, body: bytes) -> Iterator[None]:
        """Count the values of a page, in short steps; one step decodes at most one object or list."""
        try:
            yield from self._visit(msgspec.json.decode(body, type=Raw), _PAGE)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._types.clear()

    def _visit(self, value: Raw, field: _Field) -> Iterator[None]:
        json_type = _json_type(value)
        self._types[field.path][json_type] += 1
        yield
        if json_type == "object" and field.members:
            self._left -= 1
            for name, member in _members_decoder.decode(value).items():
                if name in field.members:
                    yield from self._visit(member, field.members[name])
                else:
                    self._types[self._unknown(field.path, name)][_json_type(member)] += 1
                    yield
        elif json_type == "array" and field.item:
            for item in _items_decoder.decode(value):
                if self._left <= 0:
                    return
                yield from self._visit(item, field.item)

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
        for path, field in _FIELDS.items() if self._types else ():
            types = self._types[path]
            if path != "$" and not path.endswith("[]"):
                compared = self._compared(path)
                yield Presence(path, field.is_required, types.total(), dict(types), compared)

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


PAGES_PER_SAMPLE = 200
"""The number of pages of which at most one is compared."""

# After a page has arrived. Until then, its own request has ended.
_DELAY_SECONDS = 1.0

# From one sample to the next: comparing a page takes as long as answering some requests.
_INTERVAL_SECONDS = 10.0

# How long the event loop is stopped, and then free.
_TURN_SECONDS = 0.0005
_PAUSE_SECONDS = 0.005

# msgspec decodes one level of a page at once. Within these limits it takes less than 20 ms, whatever the page
# contains. A page of 1,000 images has 25,000 commas or more.
_MAX_BYTES = 4 * 1024 * 1024
_MAX_COMMAS = 30_000

_LOG_INTERVAL_SECONDS = 3600.0

# Of unknown fields, of which there may be any number.
_MAX_LOGGED = 200


class DriftSampler:
    """Compares pages one at a time, at most one in ten seconds, in short turns of the event loop.

    A page of 1,000 images takes 60 turns of half a millisecond. A thread would keep the GIL for 5 ms a time.

    Attributes:
        compared: the number of compared pages.
        drifted: how many of them differ, by field and kind; all unknown fields are the field `unknown`.
    """

    def __init__(self) -> None:
        self.compared = 0
        self.drifted: Counter[tuple[str, Kind]] = Counter()
        self._is_busy = False
        # On the event loop's clock.
        self._next_at = 0.0
        self._next_turn: asyncio.TimerHandle | None = None
        # When each field and kind was logged.
        self._logged: dict[tuple[str, Kind], float] = {}

    def sample(self, body: bytes) -> bool:
        """Compare a page later, and return True, unless it is too large or the last one is not long ago."""
        loop = asyncio.get_running_loop()
        if self._is_busy or loop.time() < self._next_at or len(body) > _MAX_BYTES:
            return False
        self._is_busy = True
        self._next_at = loop.time() + _INTERVAL_SECONDS
        self._next_turn = loop.call_later(_DELAY_SECONDS, self._begin, body)
        return True

    def close(self) -> None:
        """Give up the page that is being compared; a later one can be sampled."""
        if self._next_turn is not None:
            self._next_turn.cancel()
        self._is_busy, self._next_at = False, 0.0

    def _begin(self, body: bytes) -> None:
        if body.count(b",") > _MAX_COMMAS:
            self._is_busy = False
        else:
            survey = _Survey()
            self._go_on(survey, survey.steps(body))

    def _go_on(self, survey: _Survey, steps: Iterator[None]) -> None:
        until = time.perf_counter() + _TURN_SECONDS
        for _ in steps:
            if time.perf_counter() > until:
                loop = asyncio.get_running_loop()
                self._next_turn = loop.call_later(_PAUSE_SECONDS, self._go_on, survey, steps)
                return
        self._is_busy = False
        self._record(list(survey.differences()), asyncio.get_running_loop().time())

    def _record(self, differences: list[Difference], now: float) -> None:
        self.compared += 1
        self.drifted.update({("unknown" if d.kind == "unknown" else d.field, d.kind) for d in differences})
        self._logged = {logged: at for logged, at in self._logged.items() if now < at + _LOG_INTERVAL_SECONDS}
        for difference in differences:
            self._log(difference, now)

    def _log(self, difference: Difference, now: float) -> None:
        """Log a difference, unless it has been logged in the last hour."""
        key = difference.field, difference.kind
        if key in self._logged or (difference.kind == "unknown" and len(self._logged) >= _MAX_LOGGED):
            return
        self._logged[key] = now
        log_event(
            "upstream.drifted",
            level=logging.WARNING,
            field=difference.field,
            kind=difference.kind,
            types=",".join(difference.types) or "none",
            count=difference.count,
            compared=difference.compared,
        )
