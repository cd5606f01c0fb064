"""The command as a whole, in front of APIs that work, fail, hang and refuse; its outputs and exit status."""

import asyncio
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp

from gallery_gateway.cli import main
from gallery_gateway.verify.command import PROBES
from gallery_gateway.verify.session import Token
from tests.fakes import TOKEN
from tests.verify.apis import Megabytes, empty_account, faulty
from tests.verify.opening import DEMO_TOKENS, served, still_upstream
from tests.verify.page import PAGE, with_blocks, without_numbers

OURS, OTHER = DEMO_TOKENS[Token.OURS], DEMO_TOKENS[Token.OTHER]


@pytest.fixture
def _tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_VERIFY_TOKEN", OURS)
    monkeypatch.setenv("GALLERY_GATEWAY_VERIFY_OTHER_TOKEN", OTHER)


def run(app: ASGIApp, *options: str) -> int:
    with served(app) as url:
        return main(["verify", "--url", url, *options])


def verdicts(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, str], str]:
    """Return the verdict of each probe from the JSON on standard output, and errors without progress."""
    captured = capsys.readouterr()
    found = {probe["id"]: probe["verdict"] for probe in json.loads(captured.out)["probes"]}
    return found, without_progress(captured.err)


def without_progress(errors: str) -> str:
    return re.sub(r"^\d+/\d+ [a-z]+\n", "", errors, flags=re.MULTILINE)


@pytest.mark.usefixtures("_tokens")
@pytest.mark.timeout(10)
def test_everything_holds_in_front_of_the_stand_in(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(still_upstream(), "--links", "--json")

    found, errors = verdicts(capsys)
    assert {name: verdict for name, verdict in found.items() if verdict != "holds"} == {}
    assert (status, errors) == (0, "")


@pytest.mark.usefixtures("_tokens")
def test_the_page_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    run(still_upstream(), "--links")

    page = PAGE.read_text(encoding="utf-8")
    expected = with_blocks(page, output=capsys.readouterr().out, probes=PROBES)
    assert without_numbers(page) == without_numbers(expected), "run python -m tests.verify.page"


def test_the_page_and_the_probes_speak_of_requests_and_checks() -> None:
    texts = [PAGE.read_text(encoding="utf-8"), *(f"{probe.question} {probe.meaning}" for probe in PROBES)]

    # Words for a person who wants something, not for a call (the house style).
    assert [found for text in texts for found in re.findall(r"(?i)\bask\w*", text)] == []


@pytest.mark.usefixtures("_tokens")
def test_the_output_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    run(still_upstream())

    assert capsys.readouterr().out.isascii()


def test_without_a_token_the_way_and_the_refusals_are_verified(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(still_upstream(), "--json")

    found, errors = verdicts(capsys)
    assert [name for name, verdict in found.items() if verdict == "holds"] == [
        *("reachability.dns", "reachability.tcp", "reachability.tls"),
        *("authentication.no_token", "authentication.wrong_token"),
        *("reachability.clock", "reachability.keep_alive", "caching.rate_limits"),
    ]
    assert set(found.values()) == {"holds", "not seen"}
    assert (status, errors) == (
        2,
        "Not everything was verified: there is no access token; set GALLERY_GATEWAY_VERIFY_TOKEN.\n",
    )


@pytest.mark.usefixtures("_tokens")
def test_an_api_that_is_down_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        status = main(["verify", "--json", "--url", f"http://127.0.0.1:{unused.getsockname()[1]}"])

    found, errors = verdicts(capsys)
    assert {name for name, verdict in found.items() if verdict != "not seen"} == {
        "reachability.dns",
        "reachability.tcp",
    }
    reason = "there is no connection: the API accepts no connection"
    assert (status, errors) == (2, f"Not everything was verified: {reason}.\n")


HTML = HTMLResponse("<html>Sign in</html>")


@pytest.mark.usefixtures("_tokens")
@pytest.mark.parametrize(
    ("app", "reason"),
    [
        (
            faulty(Response(status_code=401), at=lambda _: True),
            "the access token gets no page: 401 with no body",
        ),
        (faulty(HTML, at=lambda _: True), "3 calls in a row got no page: the API answers 200 with HTML"),
        (faulty(Response(status_code=503), at=lambda number: number > 2), "503 with no body"),
        (faulty(Megabytes(200), at=lambda number: number > 2), "larger than `UPSTREAM_MAX_BYTES`"),
    ],
    ids=["refusal", "HTML", "failure", "200 MB"],
)
@pytest.mark.timeout(30)
def test_an_api_that_gives_no_page_ends_the_command(
    capsys: pytest.CaptureFixture[str], app: ASGIApp, reason: str
) -> None:
    status = run(app, "--json")

    found, errors = verdicts(capsys)
    (line,) = errors.splitlines()
    assert reason in line
    assert status == 2
    assert found["reachability.tcp"] == "holds"
    assert "holds" not in {verdict for name, verdict in found.items() if name.startswith("links.")}


@pytest.mark.usefixtures("_tokens")
def test_a_failure_of_the_first_page_alone_does_not_end_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = run(faulty(Response(status_code=503), at=lambda number: number == 3), "--json")

    found, errors = verdicts(capsys)
    assert {name for name, verdict in found.items() if verdict != "holds"} == {
        "authentication.right_token",
        "links.open",
    }
    assert (status, errors) == (0, "")


@pytest.mark.usefixtures("_tokens")
@pytest.mark.timeout(30)
def test_silence_after_some_calls_loses_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_UPSTREAM_FIRST_BYTE_TIMEOUT_SECONDS", "0.1")

    status = run(faulty(None, at=lambda number: number > 4), "--json")

    found, errors = verdicts(capsys)
    assert found["authentication.right_token"] == found["authentication.other_token"] == "holds"
    assert found["links.signing"] == "not seen"
    assert errors.startswith("Not everything was verified: 3 calls in a row got no page: no response: ")
    assert status == 2


@pytest.mark.usefixtures("_tokens")
@pytest.mark.timeout(30)
def test_a_429_to_every_second_call_slows_the_command_and_is_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    limited = Response(status_code=429, headers={"Retry-After": "0"})

    status = run(faulty(limited, at=lambda number: number % 2 == 0), "--json")

    captured = capsys.readouterr()
    shape = json.loads(captured.out)
    found = {probe["id"]: probe for probe in shape["probes"]}
    assert found["caching.rate_limits"]["verdict"] == "differs"
    assert re.fullmatch(
        r"\d+ of \d+ calls got 429, \d+ of them with Retry-After", found["caching.rate_limits"]["evidence"]
    )
    assert found["authentication.right_token"]["verdict"] == "holds"
    assert shape["calls"] <= 60
    assert "GALLERY_GATEWAY_UPSTREAM_MAX_CONNECTIONS=10" in shape["settings"]
    assert status == 1


@pytest.mark.usefixtures("_tokens")
@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (OURS, "both access tokens are the same"),
        ("made-up-token-of-nobody", "the API refuses the second access token (401)"),
    ],
)
def test_callers_that_were_not_compared_are_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, token: str, reason: str
) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_VERIFY_OTHER_TOKEN", token)

    status = run(still_upstream(), "--json")

    found, errors = verdicts(capsys)
    assert found["promises.other_token"] == "not seen"
    expected = f"Not everything was verified: the callers could not be compared: {reason}.\n"
    assert (status, errors) == (2, expected)


@pytest.mark.usefixtures("_tokens")
def test_an_account_without_projects_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(empty_account(), "--json")

    found, errors = verdicts(capsys)
    # An account with projects answers these in the same way.
    assert {name for name, verdict in found.items() if verdict == "holds"} <= {
        *(probe.id for probe in PROBES if probe.group in {"reachability", "authentication", "caching"}),
        *("lists.repeat", "lists.numbers", "lists.total"),
    }
    assert (status, errors) == (2, "Not everything was verified: the account has no projects.\n")


@pytest.mark.usefixtures("_tokens")
def test_a_429_with_a_long_pause_is_reported_although_nothing_else_is_seen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    limited = Response(status_code=429, headers={"Retry-After": "3600"})

    status = run(faulty(limited, at=lambda _: True), "--json")

    found, errors = verdicts(capsys)
    assert found["caching.rate_limits"] == "differs"
    assert (status, errors) == (2, "Not everything was verified: the API wants a pause of 3600 s (429).\n")


@pytest.mark.usefixtures("_tokens")
@pytest.mark.parametrize("max_calls", [1, 3, 6])
def test_no_more_calls_are_made_than_allowed(capsys: pytest.CaptureFixture[str], max_calls: int) -> None:
    status = run(still_upstream(), "--json", "--max-calls", str(max_calls))

    captured = capsys.readouterr()
    assert json.loads(captured.out)["calls"] == max_calls
    errors = without_progress(captured.err)
    assert errors == f"Not everything was verified: the budget of {max_calls} calls is spent.\n"
    assert status == 2


@pytest.mark.usefixtures("_tokens")
def test_the_evidence_is_saved_without_what_is_for_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Path("evidence.json").write_text("of an earlier run " * 10_000)

    run(still_upstream(), "--json", "--save", "evidence.json")

    printed = json.loads(capsys.readouterr().out)
    for probe in printed["probes"]:
        del probe["local"]
    assert json.loads(Path("evidence.json").read_text()) == printed


@pytest.mark.usefixtures("_tokens")
def test_a_run_that_cannot_start_leaves_files_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_VERIFY_TOKEN", "two words")
    Path("old.json").write_text("of an earlier run")

    statuses = [main(["verify", "--save", name]) for name in ("old.json", "new.json")]

    assert statuses == [2, 2]
    assert Path("old.json").read_text() == "of an earlier run"
    assert not Path("new.json").exists()


@pytest.mark.usefixtures("_tokens")
def test_the_evidence_is_saved_although_nobody_reads_the_output() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "gallery_gateway", "verify", "--save", "evidence.json"]
    with served(still_upstream()) as url:
        process = subprocess.run(  # noqa: S603  # of our own words
            [*command, "--url", url, "--max-calls", "3"], stdout=writing, stderr=subprocess.PIPE, check=False
        )
    os.close(writing)

    # Not 1, which says that clients notice a difference.
    assert process.returncode == 141
    assert json.loads(Path("evidence.json").read_text())["calls"] == 3


def test_a_report_is_printed_although_it_cannot_be_saved(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(still_upstream(), "--save", "/dev/full")

    captured = capsys.readouterr()
    assert status == 2
    assert "holds     tcp" in captured.out
    assert "/dev/full cannot be written: " in captured.err


def test_a_file_that_cannot_be_written_is_reported_before_any_call(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["verify", "--url", "http://127.0.0.1:1", "--save", "missing/evidence.json"])

    captured = capsys.readouterr()
    assert (status, captured.out) == (2, "")
    assert captured.err.startswith("missing/evidence.json cannot be written: ")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("VERIFY_TOKEN", f"Bearer {TOKEN}", "A token must be one word in ASCII, without Bearer.\n"),
        ("VERIFY_OTHER_TOKEN", "\u00e9", "A token must be one word in ASCII, without Bearer.\n"),
        ("VERIFY_TOKEM", "x", "GALLERY_GATEWAY_VERIFY_TOKEM: unknown"),
        ("TRUSTED_DOCUMENTS", "binary", "GALLERY_GATEWAY_TRUSTED_DOCUMENTS: "),
    ],
)
def test_wrong_settings_and_tokens_stop_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    Path("binary").write_bytes(b"\xff")
    monkeypatch.setenv(f"GALLERY_GATEWAY_{name}", value)

    status = main(["verify", "--url", "http://127.0.0.1:1"])

    captured = capsys.readouterr()
    assert (status, captured.out) == (2, "")
    assert captured.err.startswith(message)


def test_the_tokens_may_stand_in_the_env_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path(".env").write_text(f"GALLERY_GATEWAY_VERIFY_TOKEN={OURS}\n")

    run(still_upstream(), "--json")

    assert verdicts(capsys)[0]["authentication.right_token"] == "holds"


def in_a_terminal(url: str, typed: bytes) -> str:
    """Run the command in a terminal, type something at its prompt, and return what the terminal shows."""
    ours, theirs = pty.openpty()
    arguments = [sys.executable, "-m", "gallery_gateway", "verify", "--url", url, "--max-calls", "4"]
    process = subprocess.Popen(  # noqa: S603  # of our own words
        arguments,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # makes it the terminal of getpass
    )
    os.close(theirs)
    shown = b""
    with process:
        try:
            while b"Access token" not in shown:
                shown += os.read(ours, 4096)
            os.write(ours, typed)
            while part := os.read(ours, 4096):
                shown += part
        except OSError:
            # Linux reports the end of the other side so.
            pass
        finally:
            process.kill()
            os.close(ours)
    return shown.decode()


def test_ctrl_d_at_the_prompt_is_no_token() -> None:
    with served(still_upstream()) as url:
        shown = in_a_terminal(url, b"\x04")

    assert "Traceback" not in shown
    assert "there is no access token" in shown


@pytest.mark.usefixtures("_tokens")
def test_without_a_terminal_a_line_shows_each_group(capsys: pytest.CaptureFixture[str]) -> None:
    run(still_upstream())

    lines = capsys.readouterr().err.splitlines()
    count = len(PROBES)
    assert lines[:4] == [
        *(f"1/{count} reachability", f"4/{count} authentication", f"8/{count} reachability"),
        f"11/{count} fields",
    ]
    assert lines[-1] == f"{count - 1}/{count} reachability"
    assert all(re.fullmatch(rf"\d+/{count} [a-z]+", line) for line in lines)


def test_a_terminal_shows_which_probe_runs_and_not_the_token_that_is_typed() -> None:
    with served(still_upstream()) as url:
        shown = in_a_terminal(url, OURS.encode() + b"\n")

    assert OURS not in shown
    assert "holds     right_token" in shown
    assert f"\r\x1b[K1/{len(PROBES)} {PROBES[0].id}\r\x1b[K2/{len(PROBES)} {PROBES[1].id}" in shown
    assert f"\r\x1b[K{len(PROBES)}/{len(PROBES)} {PROBES[-1].id}\r\x1b[K" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_command_prints_and_saves_what_it_found(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_VERIFY_TOKEN", OURS)
    reached = threading.Event()
    with served(faulty(None, at=lambda call: call > 3, reached=reached.set)) as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "gallery_gateway", "verify", "--url", url, "--json", "--save", "evidence.json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # A shell starts background jobs with SIGINT ignored, and a test run can be one.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        await asyncio.to_thread(reached.wait)
        process.send_signal(number)
        async with asyncio.timeout(30):
            out, errors = await process.communicate()

    shape = json.loads(out)
    found: dict[str, Any] = {probe["id"]: probe for probe in shape["probes"]}
    assert found["authentication.right_token"]["verdict"] == "holds"
    assert found["caching.validators"]["evidence"] == "it was interrupted"
    saved = json.loads(Path("evidence.json").read_text())  # noqa: ASYNC240  # the test waits for nothing else
    assert saved["incomplete"] == "it was interrupted"
    assert (process.returncode, without_progress(errors.decode())) == (
        130,
        "Not everything was verified: it was interrupted.\n",
    )
