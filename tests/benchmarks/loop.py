"""Runs a coroutine on uvloop where it is installed, so that what surrounds the measured server is fast."""

from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    try:
        import uvloop  # noqa: PLC0415  # not there on every platform
    except ImportError:
        import asyncio  # noqa: PLC0415  # only then

        return asyncio.run(coroutine)
    return uvloop.run(coroutine)
