"""A fast stand-in for the REST API: `python -m tests.benchmarks.upstream --port N`.

It writes prepared bodies, chosen by `max_images_per_project`, with the number of the page that was asked for.
Below `/slow` it answers after 20 ms.
"""

import argparse
import asyncio
import re
from typing import cast

import uvloop

from tests.benchmarks.pages import page_json
from tests.benchmarks.queries import FIRST_PAGE, PROJECTS, QUERIES

SLOW_PATH = "/slow"
SLOW_SECONDS = 0.02

_NUMBER = b"%d" % FIRST_PAGE
_END_OF_HEAD = b"\r\n\r\n"
_IMAGES = re.compile(rb"[?&]max_images_per_project=(\d+)")
_PAGE = re.compile(rb"[?&]page=(\d+)")


class Endpoint(asyncio.Protocol):
    """A keep-alive connection without pipelining.

    Args:
        bodies: what stands before and after the number of the page, by `max_images_per_project`.
    """

    def __init__(self, bodies: dict[bytes, tuple[bytes, bytes]]) -> None:
        self._bodies = bodies
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
        images, page = _IMAGES.search(target), _PAGE.search(target)
        number = page[1] if page else b"1"
        before, after = self._bodies[images[1] if images else b"50"]
        length = len(before) + len(number) + len(after)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % length
        self._transport.writelines([head, before, number, after])


async def serve(port: int) -> None:
    bodies = {}
    for images in {query.max_images for query in QUERIES.values()}:
        before, _, after = page_json(projects=PROJECTS, images=images, page=FIRST_PAGE).partition(_NUMBER)
        bodies[b"%d" % images] = before, after
    server = await asyncio.get_running_loop().create_server(lambda: Endpoint(bodies), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))
