"""An embedded app leaves the process as it is, and shares nothing with another one."""

import json
import os
import socket
import subprocess
import sys
from contextlib import AsyncExitStack, ExitStack

import httpx
import pytest

import gallery_gateway
from gallery_gateway import Settings, create_app
from tests.fakes import TOKEN, FakeUpstream, page_body
from tests.telemetry.scraping import scraped

HEADERS = {"authorization": f"Bearer {TOKEN}"}
BODY = {"query": "{ gallery { pagination { total } } }"}

# The state is read after the import: what libraries do on import is theirs.
PROGRAM = """
import asyncio, gc, json, logging, signal, sys, threading, warnings
import httpx
from gallery_gateway import Settings, create_app

def policy():
    with warnings.catch_warnings():
        # Python 3.14 deprecates policies.
        warnings.simplefilter("ignore")
        return repr(asyncio.get_event_loop_policy())

def state():
    loggers = {name: logger for name, logger in logging.root.manager.loggerDict.items()
               if isinstance(logger, logging.Logger)} | {"": logging.root}
    return {
        "signals": {s.name: repr(signal.getsignal(s)) for s in signal.valid_signals() if hasattr(s, "name")},
        "gc": [gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), repr(gc.callbacks), gc.get_debug()],
        "logging": {name: [logger.level, repr(logger.handlers), logger.propagate, logger.disabled,
                           repr(logger.filters)] for name, logger in loggers.items()},
        "logging.disable": logging.root.manager.disable,
        "logging.factory": repr(logging.getLogRecordFactory()),
        "hooks": [repr(getattr(sys, name)) for name in
                  ("excepthook", "unraisablehook", "displayhook", "breakpointhook")],
        "threads.hook": repr(threading.excepthook),
        "tracing": [repr(sys.gettrace()), repr(sys.getprofile())],
        "policy": policy(),
        "asyncgen": repr(sys.get_asyncgen_hooks()),
        "warnings": [repr(f) for f in warnings.filters],
        "showwarning": repr(warnings.showwarning),
        "limits": [sys.getrecursionlimit(), sys.getswitchinterval()],
        "threads": sorted(t.name for t in threading.enumerate()),
    }

async def run():
    seen = {}
    seen["before"] = state()
    upstream = httpx.MockTransport(lambda request: httpx.Response(200, json=PAGE))
    gateway = create_app(Settings.read(_env_file=None), transport=upstream)
    seen["created"] = state()
    async with gateway.router.lifespan_context(gateway):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway), base_url="http://g") as http:
            for _ in range(3):
                answer = await http.post("/graphql", json=BODY, headers={"authorization": "Bearer made-up"})
                assert answer.json()["data"], answer.text
        seen["running"] = state()
    seen["ended"] = state()
    print(json.dumps(seen))
    return seen

loop = asyncio.new_event_loop()
loop.run_until_complete(run())
loop.close()
"""


@pytest.mark.parametrize("moment", ["created", "running", "ended"])
def test_an_embedded_app_leaves_the_process_as_it_is(moment: str) -> None:
    program = f"PAGE = {page_body()!r}\nBODY = {BODY!r}\n{PROGRAM}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GALLERY_")}
    ended = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    seen = json.loads(ended.stdout)
    # Loggers that modules make for themselves are no configuration.
    assert set(seen["before"]["logging"]) <= set(seen[moment]["logging"])
    seen[moment]["logging"] = {name: seen[moment]["logging"][name] for name in seen["before"]["logging"]}
    assert seen[moment] == seen["before"]


def test_the_import_of_the_package_imports_no_other_module() -> None:
    program = (
        "import sys, gallery_gateway; print([name for name in sys.modules if 'gallery_gateway.' in name])"
    )
    ended = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ended.stdout == "[]\n"


def test_the_package_has_no_other_names() -> None:
    assert set(gallery_gateway.__all__) == {"create_app", "Settings", "__version__"}
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        getattr(gallery_gateway, "other")  # noqa: B009  # unknown to the type checker


async def test_apps_of_one_process_share_neither_pages_nor_settings_nor_metrics() -> None:
    lifetimes, upstreams, ports = (30, 30, 0), [FakeUpstream() for _ in range(3)], free_ports(3)
    apps = [
        create_app(
            Settings.read(_env_file=None, metrics_port=port, cache_ttl_seconds=seconds), transport=upstream
        )
        for seconds, upstream, port in zip(lifetimes, upstreams, ports, strict=True)
    ]

    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(app.router.lifespan_context(app))
            http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://outer")
            await stack.enter_async_context(http)
            for _ in range(2):
                await http.post("/graphql", json=BODY, headers=HEADERS)
        metrics = [await scraped(port) for port in ports]

    assert [len(upstream.requests) for upstream in upstreams] == [1, 1, 2]
    assert [calls_in(text) for text in metrics] == [1, 1, 2]


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


def calls_in(metrics: str) -> float:
    name = "gallery_gateway_upstream_call_duration_seconds_count"
    return sum(float(line.split()[1]) for line in metrics.splitlines() if line.startswith(name))
