"""Runs a coroutine on uvloop where it is installed, to keep the programs around the measured server fast."""

from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    try:
        import uvloop  # noqa: PLC0415  # not available on every platform
    except ImportError:
        import asyncio  # noqa: PLC0415  # only without uvloop

        return asyncio.run(coroutine)
    return uvloop.run(coroutine)
