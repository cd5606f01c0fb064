"""Trusted documents: only those of a manifest run, in both of its formats."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gallery_gateway.cli import main
from gallery_gateway.settings import SettingsError
from tests.edge.sending import GRAPHQL_RESPONSE, codes
from tests.fakes import TOKEN, Client, FakeUpstream, gateway

NAMES = "query Names {\n  gallery {\n    projects {\n      projectName\n    }\n  }\n}"
TOTALS = 'query Totals { gallery(search: "a, # b") { pagination { total } } }'
NAMES_ID = hashlib.sha256(NAMES.encode()).hexdigest()
MD5 = hashlib.md5(TOTALS.encode(), usedforsecurity=False).hexdigest()

APOLLO = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [
        {"id": NAMES_ID, "name": "Names", "type": "query", "body": NAMES},
        {"id": MD5, "name": "Totals", "type": "query", "body": TOTALS, "clientName": "ours"},
    ],
}
RELAY = {NAMES_ID: NAMES, MD5: TOTALS}


@asynccontextmanager
async def trusting(
    upstream: FakeUpstream, folder: Path, manifest: object = RELAY, **settings: Any
) -> AsyncIterator[Client]:
    path = folder / "manifest.json"
    path.write_text(json.dumps(manifest))
    async with gateway(upstream, trusted_documents=path, **settings) as client:
        yield client


async def post(client: Client, **body: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {TOKEN}", "accept": GRAPHQL_RESPONSE}
    return await client.http.post("/graphql", json=body, headers=headers)


def by_hash(digest: str) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": digest}}


@pytest.mark.parametrize("manifest", [APOLLO, RELAY], ids=["apollo", "relay"])
@pytest.mark.parametrize(
    "body",
    [
        {"extensions": by_hash(NAMES_ID)},
        {"extensions": by_hash(MD5)},
        {"documentId": MD5},
        {"documentId": f"sha256:{NAMES_ID}"},
        {"documentId": hashlib.sha256(TOTALS.encode()).hexdigest()},
        {"doc_id": MD5},
        {"query": NAMES},
        {"query": NAMES, "extensions": by_hash(NAMES_ID)},
        {"query": "query Names{gallery{projects{projectName}}} # ours\n", "documentId": NAMES_ID},
        {"query": 'query Totals,{gallery(search:"a, # b"){pagination{total}}}'},
    ],
)
async def test_a_trusted_document_is_run(
    upstream: FakeUpstream, tmp_path: Path, manifest: object, body: dict[str, Any]
) -> None:
    async with trusting(upstream, tmp_path, manifest) as client:
        answer = await post(client, **body)

    assert answer.status_code == 200
    assert answer.json()["data"]["gallery"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"query": "{ __typename }"}, 403, "QUERY_NOT_IN_SAFELIST"),
        ({"query": NAMES.replace("projectName", "projectKey")}, 403, "QUERY_NOT_IN_SAFELIST"),
        ({"query": TOTALS.replace("a, # b", "a # b")}, 403, "QUERY_NOT_IN_SAFELIST"),
        ({"query": NAMES + " " * 10_000}, 403, "QUERY_NOT_IN_SAFELIST"),
        ({"query": "{ __schema { types { name } } }"}, 403, "QUERY_NOT_IN_SAFELIST"),
        ({"query": ""}, 403, "QUERY_NOT_IN_SAFELIST"),
        ({"documentId": "unknown"}, 404, "PERSISTED_QUERY_NOT_IN_LIST"),
        ({"extensions": by_hash("0" * 64)}, 404, "PERSISTED_QUERY_NOT_IN_LIST"),
        ({"query": TOTALS, "documentId": NAMES_ID}, 400, "BAD_REQUEST"),
        ({"query": "{ __typename }", "documentId": NAMES_ID}, 403, "QUERY_NOT_IN_SAFELIST"),
    ],
)
async def test_nothing_else_is_run(
    upstream: FakeUpstream, tmp_path: Path, body: dict[str, Any], status: int, code: str
) -> None:
    async with trusting(upstream, tmp_path) as client:
        refused = await post(client, **body)
        # Nor can it be made to be, by having it kept.
        again = await post(client, **body)

    for answer in (refused, again):
        assert answer.status_code == status
        assert codes(answer) == [code]
    assert upstream.requests == []


async def test_introspection_is_run_if_the_manifest_has_it(upstream: FakeUpstream, tmp_path: Path) -> None:
    text = "{ __schema { queryType { name } } }"
    async with trusting(upstream, tmp_path, {"introspection": text}) as client:
        answer = await post(client, documentId="introspection")

    assert answer.json()["data"] == {"__schema": {"queryType": {"name": "Query"}}}


@pytest.mark.parametrize("parameters", [{"documentId": MD5}, {"query": NAMES}])
async def test_a_trusted_document_is_run_by_get(
    upstream: FakeUpstream, tmp_path: Path, parameters: dict[str, str]
) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    async with trusting(upstream, tmp_path) as client:
        answers = [await client.http.get("/graphql", params=parameters, headers=headers) for _ in range(2)]

    assert all(answer.json()["data"]["gallery"] for answer in answers)
    assert len(upstream.requests) == 1


WRONG: list[tuple[object, list[str]]] = [
    ({}, ["no document"]),
    ([], ["neither Apollo's nor Relay's"]),
    ({"a": 7}, ["neither Apollo's nor Relay's"]),
    ({"a": None}, ["neither Apollo's nor Relay's"]),
    (APOLLO | {"version": 2}, ["version 1"]),
    (APOLLO | {"format": "other"}, ["apollo-persisted-query-manifest"]),
    (APOLLO | {"operations": []}, ["no document"]),
    (APOLLO | {"operations": [{"id": "a"}]}, ["body"]),
    (
        APOLLO | {"operations": [{"id": "a", "body": NAMES}, {"id": "a", "body": TOTALS}]},
        ["several documents have the id 'a'"],
    ),
    (
        {"good": NAMES, "parsing": "{ ", "unknown": "{ nothing }", "large": "{" + " __typename" * 40 + "}"},
        ["3 of 4", "'parsing': Syntax Error", "'unknown': Cannot query field", "'large': ", "30 root fields"],
    ),
]


@pytest.mark.parametrize(("manifest", "told"), WRONG, ids=range(len(WRONG)))
async def test_an_unusable_manifest_stops_the_start_with_all_its_faults(
    upstream: FakeUpstream, tmp_path: Path, manifest: object, told: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        async with trusting(upstream, tmp_path, manifest):
            pass

    message = str(caught.value)
    assert message.startswith("GALLERY_GATEWAY_TRUSTED_DOCUMENTS: ")
    assert "manifest.json" in message
    for each in told:
        assert each in message


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"a": "\xff"}', b"[" * 100_000, b'"text"'])
def test_a_file_that_is_no_manifest_stops_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    monkeypatch.setenv("GALLERY_GATEWAY_TRUSTED_DOCUMENTS", str(path))

    assert main(["serve", "--port", "0"]) == 2

    assert "neither Apollo's nor Relay's form" in capsys.readouterr().err


def test_a_missing_manifest_stops_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_TRUSTED_DOCUMENTS", str(tmp_path / "nowhere.json"))

    assert main(["serve", "--port", "0"]) == 2

    assert "GALLERY_GATEWAY_TRUSTED_DOCUMENTS: Path does not point to a file" in capsys.readouterr().err
