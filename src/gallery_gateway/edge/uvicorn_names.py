"""The private names of uvicorn that `wire` and `repeating` rely on, checked when a server starts.

uvicorn changes them without notice, so it is pinned to a minor version, and a missing name stops the start
instead of weakening a limit.
"""

from types import FunctionType
from typing import Final

import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

UVICORN_NAMES: Final[dict[type, frozenset[str]]] = {
    HttpToolsProtocol: frozenset(
        {
            "_start_asgi_task",
            "app_state",
            "connection_lost",
            "connection_made",
            "cycle",
            "data_received",
            "expect_100_continue",
            "flow",
            "headers",
            "loop",
            "on_header",
            "on_headers_complete",
            "on_message_begin",
            "on_message_complete",
            "parser",
            "pause_writing",
            "pipeline",
            "resume_writing",
            "scope",
            "send_400_response",
            "server_state",
            "timeout_keep_alive",
            "timeout_keep_alive_handler",
            "timeout_keep_alive_task",
            "transport",
            "url",
        }
    ),
    RequestResponseCycle: frozenset(
        {
            "disconnected",
            "keep_alive",
            "message_event",
            "more_body",
            "on_response",
            "response_complete",
            "response_started",
            "scope",
        }
    ),
    FlowControl: frozenset({"pause_reading", "resume_reading", "write_paused"}),
    ServerState: frozenset({"default_headers", "total_requests"}),
}


class UnsupportedServerError(Exception):
    """The installed uvicorn is not the one that the edge was written for."""


def check_uvicorn() -> None:
    """Raise `UnsupportedServerError` if uvicorn lacks a name that is relied on."""
    missing = sorted(
        f"{kind.__name__}.{name}" for kind, names in UVICORN_NAMES.items() for name in names - _names_in(kind)
    )
    if missing:
        raise UnsupportedServerError(
            f"uvicorn {uvicorn.__version__} is not supported: it has no {', '.join(missing)}."
        )


def _names_in(kind: type) -> set[str]:
    """Return the names of a class: its attributes, and all that its methods use or set on an instance."""
    methods = [value for value in vars(kind).values() if isinstance(value, FunctionType)]
    return set(dir(kind)).union(*(method.__code__.co_names for method in methods))
