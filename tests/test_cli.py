"""The command line: each command in a process of its own where it serves, and its exit status."""

import asyncio
import contextlib
import json
import logging
import os
import re
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gallery_gateway import __version__
from gallery_gateway.cli import main

_DEADLINE_SECONDS = 40


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No settings but a test's own, and no log handler left behind."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("GALLERY_GATEWAY_"):
            monkeypatch.delenv(name)
    yield
    for name in ("gallery_gateway", "uvicorn"):
        logging.getLogger(name).handlers = []


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


class Command:
    """The gateway's command in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def read_until(self, pattern: str, *, errors: bool = False) -> re.Match[str]:
        """The first match in a line of what it prints, or logs."""
        stream = self._process.stderr if errors else self._process.stdout
        assert stream
        read = b""
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while line := await stream.readline():
                if match := re.search(pattern, line.decode()):
                    return match
                read += line
        raise AssertionError(f"ended without {pattern}:\n{read.decode()}")

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    async def end(self, how: signal.Signals) -> tuple[int | None, str]:
        """Its exit status, and what it logged to the end."""
        self._process.send_signal(how)
        async with asyncio.timeout(_DEADLINE_SECONDS):
            _, errors = await self._process.communicate()
        return self._process.returncode, errors.decode()


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[Command]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gallery_gateway",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        # A shell starts background jobs with SIGINT ignored, and a test run can be one.
        preexec_fn=_heed_interrupts,
    )
    try:
        yield Command(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


async def paste(curl: str) -> Any:
    """What the printed curl line would answer."""
    _, url, *options = shlex.split(curl)
    given = list(zip(options[::2], options[1::2], strict=True))
    headers = dict(value.split(": ", 1) for option, value in given if option == "-H")
    (body,) = (value for option, value in given if option == "-d")
    async with httpx.AsyncClient(trust_env=False, timeout=_DEADLINE_SECONDS) as http:
        return (await http.post(url, headers=headers, content=body)).json()


async def get(url: str, **headers: str) -> httpx.Response:
    # With several workers, uvicorn logs the address before any of them listens. Seven retries take 30 s.
    transport = httpx.AsyncHTTPTransport(retries=7)
    async with httpx.AsyncClient(transport=transport) as http:
        return await http.get(url, headers=headers)


def status_of(*arguments: str) -> int:
    try:
        return main(arguments)
    except SystemExit as exc:
        return int(exc.code or 0)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    status = status_of("--version")

    assert (status, capsys.readouterr().out) == (0, f"{__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--help"], ["serve", "demo", "schema", "verify"]),
        (["serve", "--help"], ["--host", "--port", "--workers", "GALLERY_GATEWAY_"]),
        (["demo", "--help"], ["--port", "--upstream-port", "--once", "FILE", "--upstream-only"]),
        (["schema", "--help"], ["schema"]),
        (
            ["explain", "--help"],
            ["FILE", "--manifest", "--variables", "--operation", "--max-calls", "--json"],
        ),
        (
            ["verify", "--help"],
            ["--url", "--json", "--save", "--max-calls", "--links", "GALLERY_GATEWAY_VERIFY_"],
        ),
    ],
)
def test_each_command_explains_itself(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: list[str]
) -> None:
    status = status_of(*arguments)

    printed = capsys.readouterr().out
    assert status == 0
    assert [word for word in told if word not in printed] == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["schema", "more"],
        ["serve", "--port", "x"],
        ["demo", "--port", "x"],
        ["demo", "--upstream-port", "70000"],
        ["demo", "--upstream-port", "-1"],
        ["demo", "--upstream-port", "x"],
        ["demo", "--once", "--upstream-only"],
        ["verify", "--max-calls", "0"],
        ["verify", "--max-calls", "61"],
        ["verify", "--max-calls", "x"],
        ["verify", "--token", "x"],
    ],
)
def test_wrong_arguments_are_reported(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    status = status_of(*arguments)

    assert status == 2
    assert "gallery-gateway" in capsys.readouterr().err


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    status = status_of("schema")

    printed = capsys.readouterr().out
    assert status == 0
    assert "type Query {" in printed
    assert printed.endswith("}\n")
    assert not printed.endswith("\n\n")


def test_the_schema_is_printed_without_federation_for_clients(capsys: pytest.CaptureFixture[str]) -> None:
    status = status_of("schema", "--api")

    printed = capsys.readouterr().out
    assert status == 0
    assert "type Query {" in printed
    assert "_entities" not in printed


def test_an_example_is_run_once(capsys: pytest.CaptureFixture[str]) -> None:
    status = status_of("demo", "--once")

    answer = json.loads(capsys.readouterr().out)
    assert status == 0
    assert len(answer["data"]["gallery"]["projects"]) == 2


def test_running_once_logs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    status_of("demo", "--once")

    assert capsys.readouterr().err == ""


def test_the_operation_of_a_file_is_run_once(capsys: pytest.CaptureFixture[str]) -> None:
    Path("operation.graphql").write_text("# \u00e9\n{ gallery { pagination { page } } }")

    status = status_of("demo", "--once", "operation.graphql")

    answer = json.loads(capsys.readouterr().out)
    assert (status, answer["data"]) == (0, {"gallery": {"pagination": {"page": 1}}})


@pytest.mark.parametrize("operation", ["", "{ nothing }", "{ gallery(page: 0) { pagination { page } } }"])
def test_an_operation_that_fails_has_status_1(capsys: pytest.CaptureFixture[str], operation: str) -> None:
    Path("operation.graphql").write_text(operation)

    status = status_of("demo", "--once", "operation.graphql")

    answer = json.loads(capsys.readouterr().out)
    assert status == 1
    assert answer["errors"]


@pytest.mark.parametrize("name", ["missing.graphql", ".", "binary.graphql"])
def test_a_file_that_cannot_be_read_is_reported(capsys: pytest.CaptureFixture[str], name: str) -> None:
    Path("binary.graphql").write_bytes(b"\xff\xfe")

    status = status_of("demo", "--once", name)

    captured = capsys.readouterr()
    assert (status, captured.out) == (2, "")
    assert captured.err.startswith(f"{name} cannot be read: ")


@pytest.mark.parametrize(
    "arguments", [["serve"], ["demo"], ["demo", "--once"], ["demo", "--upstream-only"], ["verify"]]
)
def test_a_wrong_setting_stops_the_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_CACHE_TTL_SECONDS", "-1")

    status = status_of(*arguments)

    captured = capsys.readouterr()
    assert (status, captured.out) == (2, "")
    assert captured.err.startswith("GALLERY_GATEWAY_CACHE_TTL_SECONDS: ")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["serve", "--port", "70000"], "--port"),
        (["serve", "--workers", "0"], "--workers"),
        (["serve", "--host", ""], "--host"),
        (["demo", "--port", "-1"], "--port"),
        (["verify", "--url", "ftp://api.example"], "--url"),
    ],
)
def test_a_wrong_option_is_reported_by_its_own_name(
    capsys: pytest.CaptureFixture[str], arguments: list[str], name: str
) -> None:
    status = status_of(*arguments)

    assert status == 2
    assert capsys.readouterr().err.startswith(f"{name}: ")


@pytest.mark.parametrize("option", [["--port", "0"], ["--host", "127.0.0.1"]])
def test_options_of_the_gateway_are_not_ignored_where_there_is_none(
    capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    status = status_of("demo", "--upstream-only", *option)

    captured = capsys.readouterr()
    assert (status, captured.out) == (2, "")
    assert "--upstream-port" in captured.err


@pytest.mark.parametrize(
    ("option", "told"),
    [("--port", "The gateway cannot listen on "), ("--upstream-port", "The stand-in cannot listen: ")],
)
def test_a_port_that_is_in_use_is_reported(
    capsys: pytest.CaptureFixture[str], taken_port: int, option: str, told: str
) -> None:
    status = status_of("demo", "--port", "0", option, str(taken_port))

    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert (status, captured.out) == (1, "")
    assert line.startswith(told)
    assert "ddress already in use" in line


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("setting", "told"),
    [("port", "The gateway cannot listen on "), ("metrics_port", "The metrics cannot be served: ")],
)
def test_serve_reports_a_port_that_is_in_use(
    capsys: pytest.CaptureFixture[str], taken_port: int, workers: int, setting: str, told: str
) -> None:
    settings = {"port": 0, "workers": workers, setting: taken_port}
    Path(".env").write_text("".join(f"GALLERY_GATEWAY_{key.upper()}={settings[key]}\n" for key in settings))

    status = status_of("serve")

    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert (status, captured.out) == (1, "")
    assert line.startswith(told)
    assert "ddress already in use" in line


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("form", ["json", "text"])
async def test_serve_tells_its_urls_and_how_to_stop_in_one_line(
    monkeypatch: pytest.MonkeyPatch, form: str, workers: str
) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_LOG_FORMAT", form)
    monkeypatch.setenv("GALLERY_GATEWAY_GRAPHIQL_PATH", "/tools")
    async with started("serve", "--port", "0", "--workers", workers) as command:
        line = await command.read_until(r"running on (http://127\.0\.0\.1:\d+)(.*)", errors=True)
        await command.read_until("Application startup complete", errors=True)
        _, rest = await command.end(signal.SIGINT)

    assert f"(GraphQL: {line[1]}/graphql, GraphiQL: {line[1]}/tools). Press Ctrl-C to stop." in line[2]
    assert "running on" not in rest.lower()


async def test_serve_names_the_port_of_the_metrics(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_METRICS_PORT", str(free_port))
    async with started("serve", "--port", "0") as command:
        line = await command.read_until("running on (.*)", errors=True)

    assert f"metrics: port {free_port})" in line[1]


async def test_the_demo_tells_how_to_stop_and_leaves_the_lines_of_the_server_out() -> None:
    async with started("demo", "--port", "0") as command:
        await command.read_until(r"^The gateway: http://127\.0\.0\.1:\d+/graphql")
        await command.read_until(r"^Press Ctrl-C to stop\.$")
        status, errors = await command.end(signal.SIGINT)

    assert (status, errors) == (0, "")


# Runs the command, and sends the signal at a step after the announcement: a call of any function counts.
_SIGNALLED = """
import os, signal, sys

_, number, steps, *arguments = sys.argv
from gallery_gateway import cli
remaining = None

def count(frame, event, argument):
    global remaining
    if event == "call" and remaining is None and frame.f_code.co_name == "_run":
        remaining = int(steps)
    elif event == "call" and remaining is not None:
        remaining -= 1
        if remaining == 0:
            sys.setprofile(None)
            signal.raise_signal(int(number))

sys.setprofile(count)
status = cli.main(arguments)
assert remaining == 0, f"{remaining} steps too many"
sys.exit(status)
"""


@pytest.mark.parametrize("arguments", [("demo", "--port", "0"), ("serve", "--port", "0")], ids=" ".join)
@pytest.mark.parametrize(
    ("number", "steps"),
    [
        (signal.SIGINT, 20),
        (signal.SIGINT, 60),
        (signal.SIGINT, 150),
        (signal.SIGINT, 800),
        (signal.SIGTERM, 60),
    ],
)
async def test_a_signal_at_any_step_of_the_start_ends_the_command(
    number: int, steps: int, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_LOG_LEVEL", "warning")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", _SIGNALLED, str(int(number)), str(steps), *arguments),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=_heed_interrupts,
    )
    async with asyncio.timeout(_DEADLINE_SECONDS):
        _, errors = await process.communicate()

    assert (process.returncode, errors.decode()) == (0, "")


async def test_a_host_with_several_addresses_is_served_on_each() -> None:
    found = socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    async with started("serve", "--port", "0", "--host", "localhost") as command:
        url = await command.read_until(r"running on http://localhost:(\d+)", errors=True)
        responses = [
            await get(f"http://{f'[{host}]' if ':' in host else host}:{url[1]}/livez")
            for host in {str(address[0]) for *_, address in found}
            if _is_ours(host)
        ]

    assert responses
    assert {response.status_code for response in responses} == {200}


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
async def test_the_unspecified_address_of_ipv6_is_served_over_ipv4_too() -> None:
    async with started("serve", "--port", "0", "--host", "::") as command:
        url = await command.read_until(r"running on http://\[::\]:(\d+)", errors=True)
        response = await get(f"http://127.0.0.1:{url[1]}/livez")

    assert response.status_code == 200


@pytest.mark.parametrize("command_name", ["serve", "demo"])
async def test_a_second_interrupt_ends_without_a_traceback(command_name: str) -> None:
    async with started(command_name, "--port", "0") as command:
        url = await command.read_until(r"127\.0\.0\.1:(\d+)", errors=command_name == "serve")
        await get(f"http://127.0.0.1:{url[1]}/readyz")
        _, writer = await asyncio.open_connection("127.0.0.1", int(url[1]))
        # The body never arrives, so the first interrupt waits for it.
        head = ["POST /graphql HTTP/1.1", "host: x", "content-type: application/json", "content-length: 9"]
        writer.write("\r\n".join([*head, "", ""]).encode())
        await writer.drain()
        await get(f"http://127.0.0.1:{url[1]}/readyz")
        command.interrupt()
        await _is_closed("127.0.0.1", int(url[1]))
        status, errors = await command.end(signal.SIGINT)
        writer.close()

    assert status == 0
    assert "Traceback" not in errors
    assert "Error" not in errors


async def _is_closed(host: str, port: int) -> None:
    """Wait until no connection is accepted."""
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, port)
            except OSError:
                return
            writer.close()


def _is_ours(host: str) -> bool:
    """Whether this machine has the address."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


@pytest.mark.parametrize("arguments", [["demo", "--once"], ["schema"], ["demo", "--port", "0"]])
async def test_a_reader_that_has_enough_is_no_error(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gallery_gateway", *arguments, stdout=writing, stderr=asyncio.subprocess.PIPE
    )
    os.close(writing)

    async with asyncio.timeout(_DEADLINE_SECONDS):
        _, errors = await process.communicate()

    assert (process.returncode, errors) == (141, b"")


@pytest.mark.parametrize(("how", "statuses"), [(signal.SIGTERM, {0, -signal.SIGTERM}), (signal.SIGINT, {0})])
async def test_the_demo_answers_its_own_curl_line_and_ends_quietly(
    how: signal.Signals, statuses: set[int]
) -> None:
    async with started("demo", "--port", "0", "--upstream-port", "0") as command:
        beginning = await command.read_until(r"^curl .*")
        rest = await command.read_until(r"^  -H.*")
        answer = await paste(beginning[0].rstrip("\\") + rest[0])
        status, errors = await command.end(how)

    assert len(answer["data"]["gallery"]["projects"]) == 3
    assert status in statuses
    assert "Traceback" not in errors


@pytest.mark.parametrize(("setting", "max_age"), [(None, 0), ("7", 6)])
async def test_progress_is_fresh_for_a_second_in_the_demo_unless_it_is_set(
    monkeypatch: pytest.MonkeyPatch, setting: str | None, max_age: int
) -> None:
    if setting is not None:
        monkeypatch.setenv("GALLERY_GATEWAY_CACHE_UNFINISHED_TTL_SECONDS", setting)

    async with started("demo", "--port", "0") as command:
        url = await command.read_until(r"^The gateway: (\S+)")
        token = await command.read_until(r"  \w+: (Bearer \S+)")
        # The first page of a caller always has pending images.
        query = "{gallery{projects{pendingImages}}}"
        response = await get(
            f"{url[1]}?query={query}", Authorization=token[1], **{"apollo-require-preflight": "1"}
        )

    # In whole seconds, of which a part has passed.
    assert response.headers["cache-control"] == f"private, max-age={max_age}"


@pytest.mark.parametrize(("how", "statuses"), [(signal.SIGTERM, {0, -signal.SIGTERM}), (signal.SIGINT, {0})])
async def test_the_stand_in_is_served_alone(how: signal.Signals, statuses: set[int]) -> None:
    async with started("demo", "--upstream-only") as command:
        upstream = await command.read_until(r"REST API: (\S+)")
        caller = await command.read_until(r"  (\w+): (Bearer \S+)")
        response = await get(upstream[1], Authorization=caller[2])
        status, errors = await command.end(how)

    assert response.json()["pagination"]["page"] == 1
    assert status in statuses
    assert "Traceback" not in errors


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_serve_is_alive_and_ends_on_sigterm(workers: str) -> None:
    async with started("serve", "--port", "0", "--workers", workers) as command:
        url = await command.read_until(r"running on (http://\S+)", errors=True)
        response = await get(f"{url[1]}/livez")
        status, errors = await command.end(signal.SIGTERM)

    assert response.json() == {"status": "alive"}
    assert status in {0, -signal.SIGTERM}
    assert "Traceback" not in errors


@pytest.fixture
def _env_file() -> None:
    Path(".env").write_text("GALLERY_GATEWAY_PORT=0\nGALLERY_GATEWAY_CSRF_PREVENTION=false\n")


@pytest.mark.usefixtures("_env_file")
async def test_serve_reads_its_settings_from_the_env_file() -> None:
    async with started("serve") as command:
        url = await command.read_until(r"running on (http://\S+)", errors=True)
        response = await get(f"{url[1]}/graphql?query={{__typename}}")

    assert response.status_code == 200
