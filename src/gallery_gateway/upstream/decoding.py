"""Decodes pages: at once if a body is as the contract says, else field by field.

A damaged body yields the same structs. A scalar of the wrong type is kept as it came, so that it costs its
own field when it is selected; an object or a list of the wrong type becomes None, and so does a required
field that is absent.
"""

import types
import typing
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.json import Decoder

from gallery_gateway.errors import UpstreamContractError
from gallery_gateway.execution.plan import subset_of
from gallery_gateway.structs import ProjectionSource
from gallery_gateway.upstream.contract import InvalidRequest, Page, UpstreamPagination

PageDecoder = Callable[[bytes], Page]
"""Makes a page of its JSON, as `parse_page` does."""

# All of a page of 20 projects with 50 images each, each value damaged, is half as many.
_MAX_SALVAGED_VALUES = 50_000

_page_decoder = msgspec.json.Decoder(Page)
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items_decoder = msgspec.json.Decoder(list[msgspec.Raw])


def parse_page(body: bytes, decoder: msgspec.json.Decoder[Page] = _page_decoder) -> Page:
    """The page; as an excerpt of it, if the decoder is that of one and nothing in the excerpt is damaged.

    Raises:
        UpstreamContractError: not UTF-8 JSON, or no page at all.
    """
    try:
        # msgspec does not look into Raw, where bad UTF-8 would pass unseen to the client.
        if not body.isascii():
            body.decode()
        return _parse_strictly_or_salvage(body, decoder)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as exc:
        raise UpstreamContractError(
            "The gallery's answer could not be read as JSON.", kind="not_json"
        ) from exc


def parse_rejected_parameter(body: bytes) -> str | None:
    """The first parameter that an error body names, if it is the contract's and names one."""
    try:
        detail = msgspec.json.decode(body, type=InvalidRequest).detail
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return next((entry.field for entry in detail if entry.field), None)


def _parse_strictly_or_salvage(body: bytes, decoder: msgspec.json.Decoder[Page]) -> Page:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as exc:
        page = _salvage(body, Page, _SalvageBudget())
        if (
            isinstance(page, Page)
            and isinstance(page.pagination, UpstreamPagination)
            and isinstance(page.projects, list)
        ):
            return page
        raise UpstreamContractError(
            "The gallery's answer is not a page of projects.", kind="not_a_page"
        ) from exc


# To make these takes longer than to decode a value.
_decoder_of: Callable[[Any], msgspec.json.Decoder[Any]] = lru_cache(maxsize=256)(msgspec.json.Decoder)
_fields_of = lru_cache(maxsize=32)(msgspec.structs.fields)


class _SalvageBudget:
    """How many values of a damaged page are looked at one by one, since each takes microseconds."""

    def __init__(self, values: int = _MAX_SALVAGED_VALUES) -> None:
        self._left = values

    def spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise UpstreamContractError("Too much of the gallery's answer is damaged.", kind="not_a_page")


def _salvage(raw: bytes | msgspec.Raw, kind: Any, budget: _SalvageBudget) -> Any:
    """`raw` as `kind`, with whatever is wrong in it kept or left out."""
    budget.spend()
    try:
        return _decoder_of(kind).decode(raw)
    except msgspec.ValidationError:
        pass
    kind = _without_none(kind)
    if typing.get_origin(kind) is list:
        return _salvage_list(raw, typing.get_args(kind)[0], budget)
    if issubclass(kind, msgspec.Struct):
        return _salvage_struct(raw, kind, budget)
    return msgspec.json.decode(raw)


def _salvage_list(raw: bytes | msgspec.Raw, kind: Any, budget: _SalvageBudget) -> list[Any] | None:
    try:
        items = _items_decoder.decode(raw)
    except msgspec.ValidationError:
        return None
    return [_salvage(item, kind, budget) for item in items]


def _salvage_struct(
    raw: bytes | msgspec.Raw, kind: type[msgspec.Struct], budget: _SalvageBudget
) -> msgspec.Struct | None:
    try:
        members = _members_decoder.decode(raw)
    except msgspec.ValidationError:
        return None
    values: dict[str, Any] = {}
    for field in _fields_of(kind):
        if field.encode_name in members:
            values[field.name] = _salvage(members[field.encode_name], field.type, budget)
        elif field.required:
            values[field.name] = None
    return kind(**values)


def _without_none(kind: Any) -> Any:
    if isinstance(kind, types.UnionType):
        return next(part for part in typing.get_args(kind) if part is not types.NoneType)
    return kind


# As many as there are excerpts.
_MAX_READERS = 512


class _KeptImage(Struct):
    status: Any


class _KeptProject(Struct):
    project_id: Any
    pending_images: Any
    images: list[_KeptImage]


class _KeptPage(Struct):
    """What is looked at of every page: which projects are on it, how long it lasts, and that it is a page."""

    pagination: UpstreamPagination
    projects: list[_KeptProject]


def reader_for(plan: type[Struct]) -> PageDecoder:
    """Reads no more of a page than a plan does; equal plans have the same reader."""
    return _reader(subset_of(Page, _KeptPage, plan))


@lru_cache(_MAX_READERS)
def _reader(subset: type[ProjectionSource]) -> PageDecoder:
    if subset is Page:
        return parse_page
    decoder: Decoder[Any] = Decoder(subset)
    return lambda body: parse_page(body, decoder)
