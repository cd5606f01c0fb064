"""The examples of `docs/explain.md` and the README are what the command prints."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from gallery_gateway.cli import main
from tests.fakes import FakeUpstream, gateway

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def examples(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield the arguments of each command on a page, and what it prints."""
    for block in blocks(text, "console"):
        command, _, printed = block.partition("\n")
        program, *arguments = shlex.split(command.removeprefix("$ "))
        if program == "gallery-gateway":
            yield arguments, printed


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The files of the page, and the settings of a reader without any."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("GALLERY_GATEWAY_"):
            monkeypatch.delenv(name)
    [document] = blocks(PAGE, "graphql")
    [manifest] = blocks(PAGE, "json")
    Path("dashboard.graphql").write_text(document, encoding="utf-8")
    Path("trusted.json").write_text(manifest, encoding="utf-8")


def test_the_page_shows_one_plan_and_one_failed_budget() -> None:
    assert [arguments[1] for arguments, _ in examples(PAGE)] == ["dashboard.graphql", "--manifest"]


def test_the_plan_on_the_page_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    [(arguments, printed), _] = examples(PAGE)

    status = main(arguments)

    assert (status, capsys.readouterr().out) == (0, printed)


async def test_the_gateway_makes_the_calls_of_the_plan_on_the_page(upstream: FakeUpstream) -> None:
    [(_, printed), _] = examples(PAGE)
    [document] = blocks(PAGE, "graphql")

    async with gateway(upstream) as client:
        response = await client.ask(document)

    assert len(response["data"]) == 10
    lines = [
        line.split("/gallery/by-project?")[1] for line in printed.splitlines() if line.startswith("curl")
    ]
    assert [f"{request.url.query.decode()}'" for request in upstream.requests] == lines


def test_the_budget_on_the_page_fails_with_the_name_and_the_price_of_one_document(
    capsys: pytest.CaptureFixture[str],
) -> None:
    [_, (arguments, printed)] = examples(PAGE)

    status = main(arguments)

    out, err = capsys.readouterr()
    assert (status, out + err) == (1, printed)
    assert err == "Start (start) needs 3 upstream calls; the budget is 2.\n"


def test_the_step_of_the_job_is_the_command_on_the_page() -> None:
    [_, (arguments, _)] = examples(PAGE)
    [step] = blocks(PAGE, "yaml")

    assert step == f"- run: gallery-gateway {shlex.join(arguments)}\n"


def test_the_plan_in_the_readme_is_the_beginning_of_what_the_command_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    [(arguments, shown)] = examples(README)

    main(arguments)

    printed = capsys.readouterr().out
    assert printed.startswith(shown)
    assert printed.removeprefix(shown).count("\n") == printed.count("curl ") + 1 == 2
