"""Checks the promises of the image on a running container."""

import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gallery_gateway import __version__
from tests.image.container import PATIENCE_SECONDS, Container, Image

_QUESTION = json.dumps({"query": "{ gallery { pagination { total } } }"}).encode()

# Runs in the container: finds every folder that the process can write to.
_FIND_WRITABLE = """
import os
for folder, folders, _ in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(folder, name) != "/proc"]
    if os.access(folder, os.W_OK):
        print(folder)
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until_ready(port: int, running: "subprocess.Popen[str]") -> None:
    """Wait until the container is ready, has ended, or the time is over."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and running.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.01)
    running.kill()
    raise AssertionError(f"never ready:\n{running.communicate()[0]}")


def ask(port: int, token: str) -> Any:
    headers = {"content-type": "application/json", "authorization": token}
    request = urllib.request.Request(  # our own URL
        f"http://127.0.0.1:{port}/graphql", data=_QUESTION, headers=headers
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:  # noqa: S310  # our own URL
        return json.load(response)


def check_description(image: Image) -> None:
    labels = image.described["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__, labels
    assert image.described["User"] == "10001:10001"
    assert image.described["StopSignal"] == "SIGTERM"


def check_nothing_installs(image: Image) -> None:
    """Check that pip and build tools stay in the build stage."""
    tools = re.compile(r"(pip|ensurepip|hatchling|setuptools|wheel|uv|gcc|cc|make)(3?|-[\d.]+\.dist-info)")
    roots = [image.files / "usr/local", image.files / "opt", image.files / "usr/bin"]
    found = [path for root in roots for path in root.rglob("*") if tools.fullmatch(path.name)]
    assert not found, found


def check_offline_operation(image: Image, folder: Path) -> None:
    """Run an operation on the demo without a network, as an unknown user."""
    with Container(image, folder, user=(54321, 0), has_network=False).run("demo", "--once") as running:
        printed, _ = running.communicate(timeout=PATIENCE_SECONDS)
        assert running.returncode == 0, printed
        assert json.loads(printed)["data"]["gallery"]["pagination"]["total"] > 0


@contextmanager
def stand_in(image: Image, folder: Path) -> Iterator[tuple[str, str]]:
    """Start the stand-in in a container; yield its URL and the Authorization of one caller."""
    container = Container(image, folder)
    with container.run("demo", "--upstream-only") as running:
        assert running.stdout
        url = token = None
        for line in running.stdout:
            url = url or re.search(r"REST API: (http://[^/]+)", line)
            if token := re.search(r": (Bearer \S+)", line):
                break
        assert url
        assert token
        yield url[1], token[1]


def check_serving(image: Image, folder: Path, *, workers: int) -> dict[str, str]:
    """Run `serve` from start to end, and return the times of its steps."""
    port = free_port()
    with stand_in(image, folder) as (upstream_url, token):
        metrics_port = free_port()
        settings = {"PORT": str(port), "UPSTREAM_URL": upstream_url, "WORKERS": str(workers)}
        container = Container(image, folder, settings | {"METRICS_PORT": str(metrics_port)})
        started = time.monotonic()
        with container.run() as running:
            wait_until_ready(port, running)
            seconds = time.monotonic() - started
            answer = ask(port, token)
            assert answer["data"]["gallery"]["pagination"]["total"] > 0, answer
            check_metrics(metrics_port)
            check_confinement(container)
            check_health(container)
            end = check_end(container, running)
    return {f"from start to ready, workers {workers}": f"{seconds:.2f} s", f"end, workers {workers}": end}


def check_metrics(port: int) -> None:
    """The metrics of the first worker."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_SECONDS) as response:
        assert f'version="{__version__}"' in response.read().decode()


def check_confinement(container: Container) -> None:
    status = container.status()
    user, group = container.ids
    assert status["Uid"].split() == [str(user)] * 4
    assert status["Gid"].split() == [str(group)] * 4
    assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    writable = container.execute("python", "-c", _FIND_WRITABLE)
    assert (writable.returncode, writable.stdout) == (0, ""), writable


def check_health(container: Container) -> None:
    """Check that the image's health check passes, and fails where nothing listens."""
    kind, *command = container.image.described["Healthcheck"]["Test"]
    assert kind == "CMD"
    passed = container.execute(*command)
    assert passed.returncode == 0, passed
    assert container.execute(*command, PORT=str(free_port())).returncode == 1


def check_end(container: Container, running: "subprocess.Popen[str]") -> str:
    asked = time.monotonic()
    container.signal("TERM")
    printed, _ = running.communicate(timeout=PATIENCE_SECONDS)
    seconds = time.monotonic() - asked
    assert running.returncode == 0, printed
    assert "Traceback" not in printed, printed
    return f"status {running.returncode} after {seconds:.2f} s"
