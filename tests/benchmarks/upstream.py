"""A fast stand-in for the REST API: `python -m tests.benchmarks.upstream --port N`.

It writes a prepared body, chosen by `max_images_per_project`, and looks at nothing else of the request: what
it costs must not show in what the gateway is measured at.
"""

import argparse
import asyncio
from typing import cast

from tests.benchmarks.loop import run
from tests.benchmarks.pages import page_json
from tests.benchmarks.queries import QUERIES

PROJECTS = 20
DEFAULT_IMAGES = 50

_END_OF_HEAD = b"\r\n\r\n"
_PARAMETER = b"max_images_per_project="


class Endpoint(asyncio.Protocol):
    """A keep-alive connection without pipelining.

    Args:
        answers: whole HTTP responses by `max_images_per_project`, in ASCII digits.
    """

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
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
            self._transport.write(self._answer(target))

    def _answer(self, target: bytes) -> bytes:
        start = target.find(_PARAMETER)
        if start < 0:
            return self._answers[b"%d" % DEFAULT_IMAGES]
        digits = target[start + len(_PARAMETER) :].replace(b"&", b" ").split(b" ", 1)[0]
        return self._answers[digits]


def _response(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


async def serve(port: int) -> None:
    asked = {query.max_images or DEFAULT_IMAGES for query in QUERIES}
    answers = {b"%d" % images: _response(page_json(projects=PROJECTS, images=images)) for images in asked}
    server = await asyncio.get_running_loop().create_server(lambda: Endpoint(answers), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    run(serve(parser.parse_args().port))
