"""The faults by their names."""

from collections.abc import Awaitable, Callable
from types import ModuleType

from tests.faults import bodies, connections, statuses
from tests.faults.exchanges import Exchange

Fault = Callable[[Exchange], Awaitable[None]]


def _named(module: ModuleType) -> dict[str, Fault]:
    """The public functions of a module, with dashes in their names."""
    return {
        name.removeprefix("status_").replace("_", "-"): value
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
    }


# Those that take a listener, and so every connection.
REFUSED = "refused"
UNREACHABLE = "unreachable"
OF_THE_LISTENER = frozenset({REFUSED, UNREACHABLE})

FAULTS: dict[str, Fault] = {**_named(connections), **_named(bodies), **_named(statuses)}
"""Those that take one request."""

NAMES = (*sorted(OF_THE_LISTENER), *FAULTS)
