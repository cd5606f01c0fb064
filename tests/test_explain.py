"""The command `explain`: its table, its `curl` lines, its prices, and what it says of wrong input."""

import json
import os
import shlex
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from gallery_gateway.cli import main
from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.server import create_upstream, serve_in_thread
from gallery_gateway.upstream.identity import project_global_id
from tests.fakes import TOKEN, FakeUpstream, gateway

DASHBOARD = """
query Dashboard($first: Int!) {
  total: gallery { pagination { total } }
  recent: gallery { projects { projectName images(first: $first) { status } } }
  again: gallery { projects { images(first: $first) { jobId } } }
  detail: project(projectId: 7, maxImages: 3) { images { status } }
}
query Other { __typename }
"""
TOTAL = "{ pagination { total } }"
TRUSTED = {
    "1f": "query List($size: Int!) { gallery(perPage: $size) { projects { images(first: 4) { id } } } }",
    "2f": f"query Two($text: String!) {{ a: gallery(search: $text) {TOTAL} b: gallery {TOTAL} }}",
}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings but a test's own."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("GALLERY_GATEWAY_"):
            monkeypatch.delenv(name)


class Explain:
    """Runs the command in the folder of the test."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.status = -1
        self.out = ""
        self.err = ""

    def __call__(self, *arguments: str, **files: object) -> "Explain":
        for name, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            Path(name).write_text(text, encoding="utf-8")
        try:
            self.status = main(["explain", *arguments])
        except SystemExit as exc:
            self.status = int(exc.code or 0)
        self.out, self.err = self._capsys.readouterr()
        return self


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str]) -> Explain:
    return Explain(capsys)


def dashboard(explain: Explain, *options: str, variables: str = '{"first": 3}') -> Explain:
    return explain(
        "dashboard", "--operation", "Dashboard", "--variables", variables, *options, dashboard=DASHBOARD
    )


def test_the_table_has_the_calls_with_the_reason_of_each_field(explain: Explain) -> None:
    shown = dashboard(explain)

    assert (shown.status, shown.err) == (0, "")
    assert shown.out.splitlines()[:9] == [
        "Dashboard makes 1 to 2 upstream calls, for at most 63 images and about 229 KB.",
        "Its budget leaves at least 18 calls and 19,937 images.",
        "",
        "call          fields  reason                           images",
        "1             recent  needs this page                  1,000 to 60",
        "              total   is a part of this page           1,000 to 20",
        "              again   makes the same request           1,000 to 60",
        "              detail  may be listed on this page       3",
        "up to 1 more  detail  unless call 1 lists the project  3",
    ]


async def test_the_json_is_the_plan_that_the_gateway_reports(
    explain: Explain, upstream: FakeUpstream
) -> None:
    shown = dashboard(explain, "--json")
    body = {"query": DASHBOARD, "operationName": "Dashboard", "variables": {"first": 3}}
    headers = {"authorization": f"Bearer {TOKEN}", "x-gateway-report": "plan"}
    async with gateway(upstream) as client:
        response = await client.http.post("/graphql", json=body, headers=headers)

    assert json.loads(shown.out) == response.json()["extensions"]["plan"]


def test_a_pasted_curl_line_makes_the_call_that_the_gateway_makes(
    explain: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = (
        """{ gallery(search: "it's $HOME & `more`", feedback: ["like", "a b"]) { pagination { total } } }"""
    )
    with serve_in_thread(create_upstream()) as url:
        monkeypatch.setenv("GALLERY_GATEWAY_UPSTREAM_URL", f"{url}/")
        [line] = [line for line in explain("f", f=document).out.splitlines() if line.startswith("curl ")]
        program, option, header, target = shlex.split(line.replace("$TOKEN", CALLERS[0].token))
        name, value = header.split(": ")
        response = httpx.get(target, headers={name: value}, trust_env=False)

    assert (program, option) == ("curl", "-H")
    assert target.startswith(f"{url}/gallery/by-project?page=1&per_page=20&")
    assert response.json()["pagination"]["page"] == 1
    assert response.url.params["search"] == "it's $HOME & `more`"
    assert response.url.params.get_list("feedback") == ["a b", "like"]


def test_nothing_is_sent(explain: Explain, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)

    shown = [dashboard(explain).status, explain("--manifest", "trusted", trusted=TRUSTED).status]

    assert shown == [0, 0]


def test_a_line_uses_the_variable_and_holds_no_token(explain: Explain) -> None:
    shown = dashboard(explain)

    assert shown.out.count('curl -H "Authorization: Bearer $TOKEN" ') == 1


@pytest.mark.parametrize("given", ['{"first": 3}', "variables"])
def test_variables_are_json_or_a_file_with_it(explain: Explain, given: str) -> None:
    Path("variables").write_text('{"first": 3}', encoding="utf-8")

    shown = dashboard(explain, variables=given)

    assert "1,000 to 60" in shown.out


def test_the_only_operation_of_a_document_needs_no_name(explain: Explain) -> None:
    shown = explain("f", f="query Only { gallery { pagination { total } } }")

    assert shown.out.startswith("Only makes 1 upstream call,")


LIVE = "subscription Live { gallery(perPage: 3) { projects { pendingImages } } }"


def test_the_calls_of_a_subscription_are_those_of_each_poll(
    explain: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = explain("live", live=LIVE).out
    monkeypatch.setenv("GALLERY_GATEWAY_OPERATION_MAX_IMAGES", "2")
    refused = explain("live", live=LIVE).out

    assert told.startswith("Live makes 1 upstream call at each poll, for at most 3 images and")
    assert refused.startswith("Live would need 1 upstream call at each poll, for at most 3 images;")


def test_a_trusted_subscription_has_the_price_of_one_poll(explain: Explain) -> None:
    told = explain("--manifest", "trusted", trusted={"1": LIVE})

    assert told.status == 0
    assert told.out.splitlines()[1].split() == ["Live", "1", "1", "3", "0"]


def test_an_operation_without_calls_is_one_line(explain: Explain) -> None:
    shown = explain("f", f="{ __typename }")

    assert (shown.status, shown.out) == (0, "The operation makes no upstream calls.\n")


def test_the_headline_counts_what_may_follow(explain: Explain) -> None:
    ids = [project_global_id(number) for number in range(12)]
    document = "query Some($ids: [ID!]!) { nodes(ids: $ids) { id } }"

    shown = explain("f", "--variables", json.dumps({"ids": ids}), f=document)

    headline, _, _, *rows = shown.out.splitlines()[:6]
    assert headline == "Some makes 1 to 13 upstream calls, for at most 403 images and about 1,552 KB."
    assert rows[1].split() == ["1", "nodes", "needs", "this", "page", "100"]
    assert rows[2] == "up to 12 more  nodes   unless call 1 lists all projects  303"


def test_the_settings_decide_the_plan(explain: Explain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_NARROWING", "false")
    monkeypatch.setenv("GALLERY_GATEWAY_OPERATION_MAX_CALLS", "2")

    shown = explain("f", f="{ gallery { pagination { total } } }")

    assert "max_images_per_project=50" in shown.out
    assert "Its budget leaves 1 call and 19,000 images." in shown.out


def test_the_errors_of_an_operation_follow_its_plan(explain: Explain) -> None:
    document = "{\n  gallery(perPage: 0) { pagination { total } }\n  b: gallery { pagination { total } }\n}"

    shown = explain("f", f=document)

    assert (shown.status, shown.err) == (1, "f:2:3: `perPage` must be from 1 to 100, not 0.\n")
    assert "per_page=20" in shown.out


def test_an_operation_above_its_budget_is_shown_as_refused_with_one_error(explain: Explain) -> None:
    pages = " ".join(f"a{page}: gallery(page: {page}) {TOTAL}" for page in range(1, 26))

    shown = explain("f", f=f"{{ {pages} bad: gallery(perPage: 0) {TOTAL} }}")

    assert shown.out.splitlines()[:2] == [
        "The operation would need 25 upstream calls, for at most 500 images; it is refused.",
        "Its budget is 20 calls and 20,000 images.",
    ]
    assert "curl" not in shown.out
    assert shown.status == 1
    assert shown.err.count("This operation needs 25 upstream calls; the limit is 20.") == 1
    assert shown.err.count("`perPage` must be from 1 to 100, not 0.") == 1
    assert len(shown.err.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "none: No such file or directory"),
        (["."], ".: Is a directory"),
        (["binary"], "binary: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (["broken"], "broken:1:2: Syntax Error: Expected Name, found <EOF>."),
        (["invalid"], "invalid:1:3: Cannot query field 'gallerie' on type 'Query'. Did you mean 'gallery'?"),
        (["two"], "two: the document has several operations. Choose one by --operation: A, B"),
        (["two", "--operation", "C"], "two: The document has no operation named 'C'."),
        (
            ["valid", "--variables", "{"],
            "--variables: Expecting property name enclosed in double quotes: line 1",
        ),
        (["valid", "--variables", "[1]"], "--variables: the variables must be a JSON object"),
        (["valid", "--variables", ""], "--variables: must be a JSON object or the path of a file"),
        (["valid", "--variables", "none"], "none: No such file or directory"),
        (
            ["valid", "--variables", "broken"],
            "broken: Expecting property name enclosed in double quotes: line 1",
        ),
        (["valid"], "valid:1:8: Variable '$n' has invalid value: Expected a value of non-null type 'Int!'"),
        (["valid", "--variables", '{"n": "x"}'], "valid:1:8: Variable '$n' has invalid value: Int cannot"),
        (["--manifest", "none"], "none: No such file or directory"),
        (["--manifest", "broken"], "broken: neither Apollo's nor Relay's format: "),
        (
            ["--manifest", "wrong"],
            "wrong: 1 of 2 documents cannot be run; document 'b': Cannot query field 'x'",
        ),
        (["valid", "--max-calls", "1"], "--variables and --operation go with FILE, --max-calls and"),
        (
            ["--manifest", "wrong", "--operation", "A"],
            "--variables and --operation go with FILE, --max-calls and",
        ),
        ([], "gallery-gateway explain: error: one of the arguments FILE --manifest is required"),
        (
            ["valid", "--manifest", "wrong"],
            "gallery-gateway explain: error: argument --manifest: not allowed with",
        ),
        (
            ["--manifest", "wrong", "--max-calls", "x"],
            "gallery-gateway explain: error: argument --max-calls:",
        ),
        (
            ["--manifest", "wrong", "--max-calls", "-3"],
            "gallery-gateway explain: error: argument --max-calls: must be 0 or more",
        ),
        (
            ["--manifest", "wrong", "--max-images", "-1"],
            "gallery-gateway explain: error: argument --max-images: must be 0 or more",
        ),
    ],
    ids=" ".join,
)
def test_wrong_input_gets_one_line_and_exit_status_2(
    explain: Explain, arguments: list[str], message: str
) -> None:
    Path("binary").write_bytes(b"\xff")
    files = {
        "broken": "{",
        "invalid": "{ gallerie { x } }",
        "two": "query A { __typename } query B { __typename }",
        "valid": "query ($n: Int!) { gallery(perPage: $n) { pagination { total } } }",
        "wrong": {"a": "{ __typename }", "b": "{ x }"},
    }

    shown = explain(*arguments, **files)

    assert (shown.status, shown.out) == (2, "")
    *usage, line = shown.err.splitlines()
    assert line.startswith(message)
    # argparse shows how the command is used before its own messages.
    assert not usage or line.startswith("gallery-gateway explain: error: ")


def test_each_trusted_document_has_a_price(explain: Explain) -> None:
    shown = explain("--manifest", "trusted", trusted=TRUSTED)

    assert (shown.status, shown.err) == (0, "")
    assert shown.out.splitlines() == [
        "operation  document  calls  images  further calls",
        "List       1f        1      400     0",
        "Two        2f        2      40      0",
    ]


@pytest.mark.parametrize(
    ("budget", "problems"),
    [
        (["--max-calls", "2", "--max-images", "400"], []),
        (["--max-calls", "1"], ["Two (2f) needs 2 upstream calls; the budget is 1."]),
        (["--max-images", "399"], ["List (1f) needs 400 images; the budget is 399."]),
        (
            ["--max-calls", "0", "--max-images", "0"],
            [
                "List (1f) needs 1 upstream call; the budget is 0. It needs 400 images; the budget is 0.",
                "Two (2f) needs 2 upstream calls; the budget is 0. It needs 40 images; the budget is 0.",
            ],
        ),
    ],
)
def test_a_document_above_its_budget_fails_with_its_name_and_its_price(
    explain: Explain, budget: list[str], problems: list[str]
) -> None:
    shown = explain("--manifest", "trusted", *budget, trusted=TRUSTED)

    assert shown.status == (1 if problems else 0)
    assert shown.err.splitlines() == problems


def test_the_limits_of_the_gateway_are_the_default_budget(
    explain: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_OPERATION_MAX_CALLS", "1")

    shown = explain("--manifest", "trusted", trusted=TRUSTED)

    assert (shown.status, shown.err) == (1, "Two (2f) needs 2 upstream calls; the budget is 1.\n")


def test_prices_as_json_name_each_problem(explain: Explain) -> None:
    shown = explain("--manifest", "trusted", "--max-calls", "1", "--json", trusted=TRUSTED)

    assert json.loads(shown.out) == [
        {
            "document": "1f",
            "operation": "List",
            "price": {"calls": 1, "images": 400, "furtherCalls": 0},
            "problem": None,
        },
        {
            "document": "2f",
            "operation": "Two",
            "price": {"calls": 2, "images": 40, "furtherCalls": 0},
            "problem": "needs 2 upstream calls; the budget is 1.",
        },
    ]


def test_many_ids_are_priced_within_the_limits_of_the_gateway(explain: Explain) -> None:
    entities = "_entities(representations: $r) { ... on Project { projectName } }"
    trusted = {"e": f"query Ent($r: [_Any!]!) {{ {entities} }}"}

    shown = explain("--manifest", "trusted", "--max-calls", "2", "--max-images", "600", trusted=trusted)

    assert (shown.status, shown.err) == (
        1,
        "Ent (e) needs 20 upstream calls; the budget is 2. It needs 2,000 images; the budget is 600.\n",
    )


def test_a_document_without_a_price_fails(explain: Explain) -> None:
    trusted = {"a": "query Bad { gallery(perPage: 0) { pagination { total } } }"}

    shown = explain("--manifest", "trusted", trusted=trusted)

    assert shown.status == 1
    assert shown.out.splitlines()[1:] == ["Bad        a         ?      ?       ?"]
    assert shown.err == "Bad (a) has no price: `perPage` must be from 1 to 100, not 0.\n"


def test_a_manifest_of_apollo_is_priced_too(explain: Explain) -> None:
    operations: list[dict[str, Any]] = [
        {"id": name, "name": "n", "type": "query", "body": text} for name, text in TRUSTED.items()
    ]
    manifest = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}

    shown = explain("--manifest", "trusted", trusted=manifest)

    assert [line.split()[1] for line in shown.out.splitlines()[1:]] == ["1f", "2f"]
