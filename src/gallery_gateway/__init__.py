"""A GraphQL gateway over PiktID's gallery endpoint.

`create_app` and `Settings` are imported when they are first used: most of the import time is theirs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gallery_gateway.app import create_app
    from gallery_gateway.settings import Settings

__version__ = "0.1.0"

__all__ = ["Settings", "__version__", "create_app"]

_MODULES = {"create_app": "gallery_gateway.app", "Settings": "gallery_gateway.settings"}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
