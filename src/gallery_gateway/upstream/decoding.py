"""Decoding of pages: in one step if a body follows the contract, or else field by field.

A damaged body yields the same structs. A scalar of the wrong type is kept, so that it costs its own field
when it is selected. An object or list of the wrong type becomes `None`, and so does a missing required field.
"""

import asyncio
import codecs
import types
import typing
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.json import Decoder

from gallery_gateway.errors import UpstreamContractError
from gallery_gateway.structs import subset_of
from gallery_gateway.upstream.contract import InvalidRequest, Page, UpstreamPagination

# Each takes microseconds. A page of 20 projects with 50 images each has twice as many.
_MAX_SALVAGED_VALUES = 50_000

# Each takes a few milliseconds.
_SLICE_BYTES = 1024 * 1024

_members_decoder = Decoder(dict[str, msgspec.Raw])
_items_decoder = Decoder(list[msgspec.Raw])


class _Outline(Struct):
    """A page whose projects are not decoded."""

    pagination: msgspec.Raw
    projects: list[msgspec.Raw]


_outline_decoder = Decoder(_Outline)


class PageDecoder:
    """Makes a page from its JSON.

    Args:
        struct: `Page`, or a subset of it; then only damage in the subset matters.
        slice_bytes: bodies of more than four times this size are decoded in slices of several projects.
    """

    def __init__(self, struct: type[Any] = Page, *, slice_bytes: int = _SLICE_BYTES) -> None:
        self._decoder: Decoder[Page] = Decoder(struct)
        self._slice_bytes = slice_bytes

    def __call__(self, body: bytes) -> Page:
        """Raises: UpstreamContractError: the body is not JSON in UTF-8, or not a page."""
        try:
            # msgspec does not check UTF-8 inside Raw, which goes to the client unchanged.
            if not body.isascii():
                body.decode()
            try:
                return self._decoder.decode(body)
            except msgspec.ValidationError as exc:
                return _salvaged_page(body, exc)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as exc:
            raise UpstreamContractError("The gallery API's response is not JSON.", kind="not_json") from exc

    async def decode(self, body: bytes, lock: asyncio.Lock) -> Page:
        """Return the same page; other tasks run between the slices of a large body.

        Args:
            body: the JSON.
            lock: held while a large body is decoded.

        Raises:
            UpstreamContractError: the body is not JSON in UTF-8, or not a page.
        """
        if len(body) <= 4 * self._slice_bytes:
            return self(body)
        try:
            async with lock:
                return await self._decode_in_slices(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
            # What is intact of a damaged page is found in the page as a whole.
            return self(body)

    async def _decode_in_slices(self, body: bytes) -> Page:
        # The parts of the body have just been joined.
        await asyncio.sleep(0)
        outline = _outline_decoder.decode(body)
        await _check_utf8(body)
        listed = outline.projects
        step = max(1, len(listed) * self._slice_bytes // len(body))
        pages: list[Page] = []
        for start in range(0, max(1, len(listed)), step):
            await asyncio.sleep(0)
            part = outline.pagination, b",".join(listed[start : start + step])
            pages.append(self._decoder.decode(b'{"pagination":%b,"projects":[%b]}' % part))
        projects = [project for page in pages for project in page.projects]
        return msgspec.structs.replace(pages[0], projects=projects)


async def _check_utf8(body: bytes) -> None:
    """Raises: UnicodeDecodeError: the body is not UTF-8."""
    await asyncio.sleep(0)
    if not body.isascii():
        decoder = codecs.getincrementaldecoder("utf-8")()
        for start in range(0, len(body), _SLICE_BYTES):
            await asyncio.sleep(0)
            decoder.decode(body[start : start + _SLICE_BYTES])


parse_page = PageDecoder()
"""Makes a complete page."""


def parse_rejected_parameter(body: bytes) -> str | None:
    """Return the first parameter that an error body names, or `None`."""
    try:
        detail = msgspec.json.decode(body, type=InvalidRequest).detail
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return next((entry.field for entry in detail if entry.field), None)


class _RequiredImage(Struct):
    status: Any


class _RequiredProject(Struct):
    project_id: Any
    pending_images: Any
    images: list[_RequiredImage]


class _RequiredPage(Struct):
    """The fields that the gateway itself reads of every page: its projects, and whether they are finished."""

    pagination: UpstreamPagination
    projects: list[_RequiredProject]


# One for each subset of a page.
_MAX_DECODERS = 512


def decoder_for(plan: type[Struct]) -> PageDecoder:
    """Return a decoder of only those fields that a plan reads; equal plans share one."""
    return _page_decoder_of(subset_of(Page, _RequiredPage, plan))


_page_decoder_of = lru_cache(_MAX_DECODERS)(PageDecoder)


def _salvaged_page(body: bytes, error: msgspec.ValidationError) -> Page:
    page = _salvage(body, Page, iter(range(_MAX_SALVAGED_VALUES)))
    if (
        isinstance(page, Page)
        and isinstance(page.pagination, UpstreamPagination)
        and isinstance(page.projects, list)
    ):
        return page
    raise UpstreamContractError(
        "The gallery API's response is not a page of projects.", kind="not_a_page"
    ) from error


# In a value whose type is wrong.
_MAX_NESTING = 100

# Making one of these takes longer than decoding a value.
_decoder_of: Callable[[Any], Decoder[Any]] = lru_cache(maxsize=256)(Decoder)
_fields_of = lru_cache(maxsize=32)(msgspec.structs.fields)


def _salvage(raw: bytes | msgspec.Raw, kind: Any, budget: Iterator[int]) -> Any:
    """Return `raw` as `kind`, with damaged values kept or left out; each value takes one of the budget."""
    if next(budget, None) is None:
        raise UpstreamContractError("Too much of the gallery API's response is damaged.", kind="not_a_page")
    try:
        return _decoder_of(kind).decode(raw)
    except msgspec.ValidationError:
        pass
    if isinstance(kind, types.UnionType):
        kind = next(part for part in typing.get_args(kind) if part is not types.NoneType)
    is_list = typing.get_origin(kind) is list
    if not is_list and not issubclass(kind, Struct):
        value = msgspec.json.decode(raw)
        is_nested = isinstance(value, list | dict) and sum(map(bytes(raw).count, (b"[", b"{"))) > _MAX_NESTING
        # Deeply nested, it could not even be printed in an error.
        return type(value)() if is_nested else value
    try:
        parts: Any = (_items_decoder if is_list else _members_decoder).decode(raw)
    except msgspec.ValidationError:
        return None
    if is_list:
        return [_salvage(item, typing.get_args(kind)[0], budget) for item in parts]
    return _salvage_struct(parts, kind, budget)


def _salvage_struct(members: dict[str, msgspec.Raw], kind: type[Struct], budget: Iterator[int]) -> Struct:
    values: dict[str, Any] = {}
    for field in _fields_of(kind):
        if field.encode_name in members:
            values[field.name] = _salvage(members[field.encode_name], field.type, budget)
        elif field.required:
            values[field.name] = None
    return kind(**values)
