"""What needs an extra says so where the extra is not installed, and nothing else needs it."""

import os
import subprocess
import sys

import pytest

SHARED = {
    "SHARED_CACHE_URL": "redis://127.0.0.1:1",
    "CALLER_KEY_SECRET": "a-made-up-secret-of-32-characters",
}


def run(*arguments: str, without: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """The command in a process that cannot import the module `without`."""
    blocked = f"import sys; sys.modules[{without!r}] = None"
    command = f"{blocked}; from gallery_gateway.cli import main; sys.exit(main())"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GALLERY_")}
    environment |= {f"GALLERY_GATEWAY_{name}": value for name, value in settings.items()}
    return subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", command, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("library", ["redis", "zstandard", "cryptography"])
def test_a_shared_cache_without_its_libraries_stops_the_start_and_says_why(library: str) -> None:
    ended = run("serve", "--port", "0", without=library, **SHARED)

    assert ended.returncode == 2
    assert "GALLERY_GATEWAY_SHARED_CACHE_URL: install the extra `shared`" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_traces_without_their_libraries_stop_the_start_and_say_why() -> None:
    ended = run("serve", "--port", "0", without="opentelemetry.sdk", TRACES="true")

    assert ended.returncode == 2
    assert "GALLERY_GATEWAY_TRACES: install the extra `traces`" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("library", ["redis", "zstandard", "cryptography", "opentelemetry.sdk"])
def test_nothing_else_needs_an_extra(library: str) -> None:
    ended = run("demo", "--once", without=library)

    assert ended.returncode == 0, ended.stderr
