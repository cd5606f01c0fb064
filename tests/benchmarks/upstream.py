"""A fast stand-in for the REST API: `python -m tests.benchmarks.upstream --port N`.

It writes bodies that it makes once for each `per_page` and `max_images_per_project`, with the number of the
page that was asked for. Below `/slow` it answers after 20 ms; below `/pending`, images are pending.
"""

import argparse
import asyncio
import re
from functools import cache
from typing import cast

import uvloop

from tests.benchmarks.pages import page_json
from tests.benchmarks.queries import FIRST_PAGE

SLOW_PATH = "/slow"
SLOW_SECONDS = 0.02
PENDING_PATH = "/pending"

_END_OF_HEAD = b"\r\n\r\n"
_PARAMETERS = re.compile(rb"[?&](page|per_page|max_images_per_project)=(\d+)")
_DEFAULTS = {b"page": b"1", b"per_page": b"20", b"max_images_per_project": b"50"}


class Endpoint(asyncio.Protocol):
    """A keep-alive connection without pipelining."""

    def __init__(self) -> None:
        self._head = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's class has the methods of asyncio's, but is not a subclass.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        # A GET request has no body, so it ends with its head.
        while (end := self._head.find(_END_OF_HEAD)) >= 0:
            target = self._head[: self._head.find(b"\r\n")]
            self._head = self._head[end + len(_END_OF_HEAD) :]
            if target.startswith(b"GET " + SLOW_PATH.encode("ascii")):
                asyncio.get_running_loop().call_later(SLOW_SECONDS, self._answer, target)
            else:
                self._answer(target)

    def _answer(self, target: bytes) -> None:
        given = {**_DEFAULTS, **dict(_PARAMETERS.findall(target))}
        is_pending = target.startswith(b"GET " + PENDING_PATH.encode("ascii"))
        sizes = given[b"per_page"], given[b"max_images_per_project"]
        before, after = _around_page(*sizes, is_pending=is_pending)
        number = given[b"page"]
        length = len(before) + len(number) + len(after)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % length
        self._transport.writelines([head, before, number, after])


@cache
def _around_page(projects: bytes, images: bytes, *, is_pending: bool) -> tuple[bytes, bytes]:
    """Return what stands before and after the number of the page."""
    body = page_json(projects=int(projects), images=int(images), page=FIRST_PAGE)
    if is_pending:
        body = body.replace(b'"failed_images": 3,', b'"failed_images": 1,')
    before, _, after = body.partition(b"%d" % FIRST_PAGE)
    return before, after


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Endpoint, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))
