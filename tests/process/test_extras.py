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


WORKERS = ["1", "2"]


def refusal(*arguments: str, without: str = "nothing", **settings: str) -> str:
    """The one line of a command whose settings are wrong."""
    ended = run(*arguments, without=without, **settings)
    (line,) = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout) == (2, "")
    return line


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("library", ["redis", "zstandard", "cryptography"])
def test_a_shared_cache_without_its_libraries_stops_the_start_and_says_why(
    library: str, workers: str
) -> None:
    line = refusal("serve", "--port", "0", "--workers", workers, without=library, **SHARED)

    assert line.startswith("GALLERY_GATEWAY_SHARED_CACHE_URL: install the extra `shared`")


@pytest.mark.parametrize("workers", WORKERS)
def test_traces_without_their_libraries_stop_the_start_and_say_why(workers: str) -> None:
    line = refusal("serve", "--port", "0", "--workers", workers, without="opentelemetry.sdk", TRACES="true")

    assert line.startswith("GALLERY_GATEWAY_TRACES: install the extra `traces`")


@pytest.mark.parametrize("workers", WORKERS)
def test_a_wrong_variable_of_opentelemetry_stops_the_start_and_is_named(
    monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1")

    line = refusal("serve", "--port", "0", "--workers", workers, TRACES="true")

    assert line.startswith("GALLERY_GATEWAY_TRACES: ")
    assert "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT" in line


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("rest", [":99999/0", ":1/0?foo=canary"])
def test_a_wrong_url_of_the_shared_cache_stops_the_start(workers: str, rest: str) -> None:
    settings = {**SHARED, "SHARED_CACHE_URL": f"redis://user:canary@127.0.0.1{rest}"}

    line = refusal("serve", "--port", "0", "--workers", workers, **settings)

    assert line.startswith("GALLERY_GATEWAY_SHARED_CACHE_URL: must be ")
    assert "canary" not in line


@pytest.mark.parametrize("library", ["redis", "zstandard", "cryptography", "opentelemetry.sdk"])
def test_nothing_else_needs_an_extra(library: str) -> None:
    ended = run("demo", "--once", without=library)

    assert ended.returncode == 0, ended.stderr
