"""The client's own deadline: how long it will wait for its answer.

Source: Envoy's `x-envoy-expected-rq-timeout-ms`, which a mesh sends by itself; `X-Request-Timeout` says the
same in seconds, for clients that nobody speaks for.
"""

import math
import re

_UNITS = ((b"x-request-timeout", 1.0), (b"x-envoy-expected-rq-timeout-ms", 0.001))

_NUMBER = re.compile(rb"[0-9]{1,9}(\.[0-9]{1,9})?")


def timeout_seconds(headers: dict[bytes, bytes]) -> float:
    """The shortest that the headers name; infinite if they name none. 0 is none, as it is for Envoy."""
    shortest = math.inf
    for name, unit in _UNITS:
        value = headers.get(name)
        if value is not None and _NUMBER.fullmatch(value):
            shortest = min(shortest, float(value) * unit or math.inf)
    return shortest
