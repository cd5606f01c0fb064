"""Automatic persisted queries, by Apollo's protocol."""

import hashlib
import json
from typing import Any

import httpx
import pytest

from tests.edge.sending import GRAPHQL_RESPONSE, codes
from tests.fakes import OTHER_TOKEN, TOKEN, Client, FakeUpstream, gateway, page_body, project_body

NAMES = "query Names($n: Int) { gallery(perPage: $n) { projects { projectName } } }"
# Apollo Client sends these with every request, by GET too.
HEADERS = {
    "content-type": "application/json",
    "accept": "application/graphql-response+json,application/json;q=0.9",
}
NOT_FOUND = [{"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def persisted(text: str, *, version: object = 1) -> dict[str, Any]:
    return {"persistedQuery": {"version": version, "sha256Hash": sha256(text)}}


async def post(client: Client, *, token: str = TOKEN, **body: Any) -> httpx.Response:
    return await client.http.post(
        "/graphql", json=body, headers=HEADERS | {"authorization": f"Bearer {token}"}
    )


async def get(client: Client, *, token: str = TOKEN, **parameters: Any) -> httpx.Response:
    texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in parameters.items()}
    headers = HEADERS | {"authorization": f"Bearer {token}"}
    return await client.http.get("/graphql", params=texts, headers=headers)


@pytest.mark.parametrize("send", [post, get])
@pytest.mark.parametrize("send_text", [post, get])
async def test_a_client_sends_a_hash_then_the_document_and_from_then_on_the_hash(
    client: Client, upstream: FakeUpstream, send: Any, send_text: Any
) -> None:
    hashed = {"operationName": "Names", "variables": {"n": 3}, "extensions": persisted(NAMES)}

    unknown = await send(client, **hashed)
    told = await send_text(client, query=NAMES, **hashed)
    answers = [await send(client, **hashed) for _ in range(3)]

    assert (unknown.status_code, unknown.json()) == (200, {"errors": NOT_FOUND})
    assert unknown.headers["cache-control"] == "no-store"
    assert told.json()["data"]["gallery"]["projects"] == [{"projectName": "Project 7"}]
    assert {answer.content for answer in answers} == {told.content}
    assert len(upstream.requests) == 1


async def test_an_id_with_the_prefix_of_the_specification_is_as_good(client: Client) -> None:
    await post(client, query=NAMES, documentId=f"sha256:{sha256(NAMES)}")

    for name in ("documentId", "doc_id"):
        for send in (post, get):
            answer = await send(client, **{name: f"sha256:{sha256(NAMES)}"})

            assert "errors" not in answer.json()


async def test_a_document_is_never_kept_under_the_hash_of_another(client: Client) -> None:
    forged = await post(client, query="{ __typename }", extensions=persisted(NAMES))
    answer = await post(client, extensions=persisted(NAMES))

    assert forged.status_code == 400
    assert codes(forged) == ["BAD_REQUEST"]
    assert "sha does not match" in forged.text
    assert answer.json() == {"errors": NOT_FOUND}


@pytest.mark.parametrize("text", ["{ nothing }", "{ ", "{" + " __typename" * 40 + "}"])
async def test_a_document_that_is_refused_is_not_kept(client: Client, text: str) -> None:
    await post(client, query=text, extensions=persisted(text))

    assert (await post(client, extensions=persisted(text))).json() == {"errors": NOT_FOUND}


async def test_what_one_caller_has_sent_another_may_ask_for_with_a_token_of_their_own(
    client: Client, upstream: FakeUpstream
) -> None:
    await post(client, query=NAMES, extensions=persisted(NAMES))
    upstream.answer(json=page_body(project_body(8)))

    other = await post(client, token=OTHER_TOKEN, extensions=persisted(NAMES))

    assert other.json()["data"]["gallery"]["projects"] == [{"projectName": "Project 8"}]
    assert [request.headers["authorization"] for request in upstream.requests] == [
        f"Bearer {TOKEN}",
        f"Bearer {OTHER_TOKEN}",
    ]


@pytest.mark.parametrize(
    "extension",
    [
        {"version": 1},
        {"version": 1, "sha256Hash": 7},
        {"version": "1", "sha256Hash": "x"},
        {"version": 2, "sha256Hash": sha256(NAMES)},
        {"sha256Hash": sha256(NAMES)},
        [],
        "x",
        7,
    ],
)
@pytest.mark.parametrize("send", [post, get])
async def test_an_extension_that_is_not_one_is_a_bad_request(
    client: Client, send: Any, extension: object
) -> None:
    answer = await send(client, query=NAMES, extensions={"persistedQuery": extension})

    assert answer.status_code == 400
    assert codes(answer) == ["BAD_REQUEST"]


@pytest.mark.parametrize("extensions", [{}, {"persistedQuery": None}, {"other": 1}, None])
async def test_an_extension_that_is_not_there_asks_for_nothing(client: Client, extensions: object) -> None:
    answer = await post(client, query="{ __typename }", extensions=extensions)

    assert answer.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("digest", ["", "x", sha256(NAMES).upper(), sha256(NAMES)[:-1], "\u00e9", "../etc"])
async def test_a_hash_that_is_none_is_not_found(client: Client, digest: str) -> None:
    await post(client, query=NAMES, extensions=persisted(NAMES))

    answer = await post(client, extensions={"persistedQuery": {"version": 1, "sha256Hash": digest}})

    assert answer.json() == {"errors": NOT_FOUND}


async def test_an_id_of_another_kind_is_not_supported(client: Client) -> None:
    answer = await post(client, documentId="x-own:1")

    assert codes(answer) == ["PERSISTED_QUERY_NOT_SUPPORTED"]


async def test_without_a_budget_they_are_not_supported(upstream: FakeUpstream) -> None:
    async with gateway(upstream, persisted_queries_max_bytes=0) as client:
        answers = [
            await post(client, extensions=persisted(NAMES)),
            await post(client, query=NAMES, extensions=persisted(NAMES)),
            await get(client, extensions=persisted(NAMES)),
        ]

    for answer in answers:
        assert answer.status_code == 200
        assert answer.json()["errors"] == [
            {
                "message": "PersistedQueryNotSupported",
                "extensions": {"code": "PERSISTED_QUERY_NOT_SUPPORTED"},
            }
        ]


async def test_the_least_recently_used_are_forgotten_beyond_the_budget(upstream: FakeUpstream) -> None:
    texts = [f"{{ a{number}: __typename }}" for number in range(3)]
    async with gateway(upstream, persisted_queries_max_bytes=2 * len(texts[0])) as client:
        for text in texts:
            await post(client, query=text, extensions=persisted(text))
        answers = [await post(client, extensions=persisted(text)) for text in texts]

    assert ["errors" in answer.json() for answer in answers] == [True, False, False]


async def test_a_document_beyond_the_budget_is_run_and_not_kept(upstream: FakeUpstream) -> None:
    async with gateway(upstream, persisted_queries_max_bytes=10) as client:
        first = await post(client, query=NAMES, extensions=persisted(NAMES))
        again = await post(client, extensions=persisted(NAMES))

    assert "errors" not in first.json()
    assert again.json() == {"errors": NOT_FOUND}


async def test_a_mutation_is_not_run_by_get_under_its_hash(client: Client) -> None:
    text = "mutation { set }"

    answer = await get(client, query=text, extensions=persisted(text))

    assert answer.status_code == 405


async def test_a_request_with_neither_a_document_nor_an_id_is_a_bad_request(client: Client) -> None:
    for answer in (await post(client, variables={}), await get(client, documentId="", extensions={})):
        assert answer.status_code == 400
        assert codes(answer) == ["BAD_REQUEST"]


async def test_a_browser_that_asks_by_hash_gets_the_answer_and_no_page(client: Client) -> None:
    await post(client, query=NAMES, extensions=persisted(NAMES))

    answer = await client.http.get(
        "/graphql",
        params={"extensions": json.dumps(persisted(NAMES))},
        headers=HEADERS | {"accept": "text/html,application/json;q=0.9", "authorization": f"Bearer {TOKEN}"},
    )

    assert "data" in answer.json()


async def test_an_answer_by_hash_has_a_validator_of_its_own(client: Client) -> None:
    await post(client, query=NAMES, extensions=persisted(NAMES))
    first = await get(client, extensions=persisted(NAMES))

    again = await client.http.get(
        "/graphql",
        params={"extensions": json.dumps(persisted(NAMES))},
        headers=HEADERS | {"authorization": f"Bearer {TOKEN}", "if-none-match": first.headers["etag"]},
    )

    assert again.status_code == 304


async def test_under_the_response_type_too_not_found_is_200(client: Client) -> None:
    answer = await client.http.post(
        "/graphql", json={"extensions": persisted(NAMES)}, headers={"accept": GRAPHQL_RESPONSE}
    )

    assert answer.status_code == 200
