"""Faults of the body: what came whole, and is not what the contract says."""

import asyncio
import copy
import gzip
import json
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from tests.faults.exchanges import Exchange

_MEBIBYTE = 1024 * 1024
_SPACES = b" " * _MEBIBYTE

# What the contract does not know.
_EXTRA: dict[str, Any] = {"added": {"later": [1, None]}, "camelCase": True, "": 0}


async def empty(exchange: Exchange) -> None:
    await exchange.answer(b"")


async def no_content(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 204 No Content\r\n\r\n")


async def not_json(exchange: Exchange) -> None:
    await exchange.answer(b"Internal state: fine.")


async def html(exchange: Exchange) -> None:
    await exchange.answer(b"<!doctype html><title>Sign in</title>", "Content-Type: text/html")


async def cut_json(exchange: Exchange) -> None:
    """Whole for HTTP, cut for JSON: as a proxy does that knows the length of what it has."""
    await exchange.answer(exchange.body[: len(exchange.body) // 2])


async def nested_deeply(exchange: Exchange) -> None:
    await exchange.answer(b'{"pagination":' + b"[" * 100_000)


async def wrong_charset(exchange: Exchange) -> None:
    text = json.dumps(exchange.page, ensure_ascii=False)
    await exchange.answer(text.encode("utf-16"), "Content-Type: application/json; charset=utf-16")


async def bad_utf8(exchange: Exchange) -> None:
    await exchange.answer(exchange.body.replace(b"Project", b"Pr\xf8ject"))


async def not_a_page(exchange: Exchange) -> None:
    await exchange.answer(b'{"error": "Something is wrong"}')


async def too_large(exchange: Exchange) -> None:
    """More than 30 MB, as it announces."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (32 * _MEBIBYTE))
    for _ in range(32):
        await exchange.send(_SPACES)


async def endless(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"%x\r\n%b\r\n" % (_MEBIBYTE, _SPACES)
    while not exchange.writer.is_closing():
        await exchange.send(piece)
        # A writer that is never blocked would never let go.
        await asyncio.sleep(0)


async def gzip_bomb(exchange: Exchange) -> None:
    await exchange.answer(_bomb(), "Content-Encoding: gzip")


async def unknown_compression(exchange: Exchange) -> None:
    await exchange.answer(exchange.body, "Content-Encoding: br")


@cache
def _bomb() -> bytes:
    """64 MiB in 300 KiB."""
    return gzip.compress(b" " * 64 * _MEBIBYTE, compresslevel=1)


def _damaged(damage: Callable[[dict[str, Any]], object]) -> Callable[[Exchange], Awaitable[None]]:
    async def fault(exchange: Exchange) -> None:
        page = copy.deepcopy(exchange.page)
        damage(page)
        await exchange.answer(json.dumps(page).encode())

    return fault


def _first_image(page: dict[str, Any]) -> dict[str, Any]:
    image: dict[str, Any] = page["projects"][0]["images"][0]
    return image


def _mistype(page: dict[str, Any]) -> None:
    page["projects"][0]["total_images"] = "many"
    _first_image(page)["quality_score"] = {"of": 1}


def _nullify(page: dict[str, Any]) -> None:
    page["projects"][0].update(project_name=None, total_images=None)
    _first_image(page).update(status=None, quality_score=None, inputs=None, output=None)


def _strip(page: dict[str, Any]) -> None:
    page["projects"][0].pop("project_name")
    for name in ("status", "quality_score", "output"):
        _first_image(page).pop(name)


def _extend(page: dict[str, Any]) -> None:
    for part in (page, page["pagination"], page["projects"][0], _first_image(page)):
        part.update(_EXTRA)


wrong_types = _damaged(_mistype)
wrong_list = _damaged(lambda page: page["projects"][0].update(images={"0": "none"}))
wrong_identity = _damaged(lambda page: _first_image(page).update(job_id=None))
wrong_project = _damaged(lambda page: page["projects"].insert(0, "gone"))
unknown_enum = _damaged(lambda page: _first_image(page).update(status="vitrified", feedback="shrug"))
nulls = _damaged(_nullify)
missing_fields = _damaged(_strip)
missing_pagination = _damaged(lambda page: page.pop("pagination"))
extra_fields = _damaged(_extend)
huge_number = _damaged(lambda page: page["projects"][0].update(total_images=10**30))
