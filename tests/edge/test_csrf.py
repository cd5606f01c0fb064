"""No request that any web page can send without a preflight (a "simple" one) runs an operation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.edge.policy import Policy
from gallery_gateway.edge.request import HTTPRequest
from tests.edge.sending import PREFLIGHTED, codes
from tests.fakes import TOKEN, Client, FakeUpstream, gateway

TOTAL = "{ gallery { pagination { total } } }"
AUTHORIZATION = {"authorization": f"Bearer {TOKEN}"}

# https://fetch.spec.whatwg.org/#cors-safelisted-request-header
SIMPLE = [
    {},
    {"accept": "application/json", "accept-language": "en"},
    {"content-type": ""},
    {"apollo-require-preflight": ""},
    # Something between the page and here may add these by itself, a session's token above all.
    AUTHORIZATION,
    {"x-request-id": "7", "cookie": "session=made-up"},
]
NOT_SIMPLE = [
    PREFLIGHTED,
    {"x-apollo-operation-name": "Totals"},
    {"content-type": "application/json"},
    {"content-type": " Application/JSON ; charset=UTF-8"},
]
# A browser has sent some of these without a preflight request, whatever the Fetch standard says.
OTHER_TYPES = [
    "text/plain",
    "Text/Plain; charset=utf-8",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "message/x",
    "message/rfc822; a=b",
    "application/graphql",
    "application/json+x",
    "application/jsonp",
    "application/json, text/plain",
    "text/plain; application/json",
    "text/plain, application/json",
    "application/json; charset=utf-16",
    "application/json;",
    "application/json; ;charset=utf-8",
    "application/json; charset=utf-8;",
    "application/json; charset=utf-8; charset=utf-8",
    "application/json; charset=utf-8, text/plain",
    "application/json; x=y",
    'application/json; charset="utf-8',
    "application/json\xa0",
    "application / json",
    "json",
    "/",
    ";",
    ",",
    "*/*",
    "\xff",
]


PIECES = ["application/json", "Application/JSON", "text/plain", "message/x", "charset=", "utf-8", "utf-16"]
NEARLY_JSON = st.lists(st.sampled_from([*PIECES, *';,= \t"/x\xa0']), max_size=8).map("".join)


def usual_spelling(content_type: str) -> str:
    """What is left of a content type without blanks around its parts, quotes and capitals."""
    return ";".join(part.strip(" \t") for part in content_type.lower().split(";")).replace('"', "")


@pytest.mark.parametrize("headers", SIMPLE, ids=str)
@pytest.mark.parametrize("document", [TOTAL, "{ __schema { queryType { name } } }"], ids=["data", "schema"])
async def test_a_simple_get_is_refused(
    client: Client, upstream: FakeUpstream, headers: dict[str, str], document: str
) -> None:
    response = await client.http.get("/graphql", params={"query": document}, headers=headers)

    assert response.status_code == 400
    assert codes(response) == ["BAD_REQUEST"]
    assert "apollo-require-preflight" in response.json()["errors"][0]["message"]
    assert upstream.requests == []


@pytest.mark.parametrize("beside", [{}, PREFLIGHTED], ids=["alone", "with the header"])
@pytest.mark.parametrize("content_type", OTHER_TYPES)
async def test_a_get_with_any_content_type_but_json_is_refused(
    client: Client, upstream: FakeUpstream, content_type: str, beside: dict[str, str]
) -> None:
    headers = [(b"content-type", content_type.encode("latin-1"))]
    headers += [(name.encode(), value.encode()) for name, value in (beside | AUTHORIZATION).items()]

    response = await client.http.get("/graphql", params={"query": TOTAL}, headers=headers)

    assert (response.status_code, codes(response)) == (415, ["BAD_REQUEST"])
    assert upstream.requests == []


@given(
    st.one_of(
        NEARLY_JSON,
        st.from_regex(
            r"[ \t]?[A-Za-z*+./-]{0,12}/[A-Za-z*+.-]{0,12}[ \t]?(;[ =;,\"a-zA-Z0-9/-]{0,20})?", fullmatch=True
        ),
        st.sampled_from([*OTHER_TYPES, *map(str.upper, OTHER_TYPES[:-1])]),
        st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=30),
    )
)
def test_no_content_type_but_json_is_taken_for_a_preflight_request(content_type: str) -> None:
    headers = [(b"content-type", content_type.encode("latin-1"))]
    scope = {"method": "GET", "query_string": b"query=x", "headers": headers}

    decision = Policy().decide(HTTPRequest(scope))

    usual = {"application/json", "application/json;charset=utf-8", "application/json;charset=utf8"}
    assert decision.rejection or usual_spelling(content_type) in usual


@pytest.mark.parametrize("headers", NOT_SIMPLE, ids=str)
async def test_a_get_that_a_browser_would_have_asked_about_is_answered(
    client: Client, headers: dict[str, str]
) -> None:
    response = await client.http.get("/graphql", params={"query": TOTAL}, headers=headers | AUTHORIZATION)

    assert response.json() == {"data": {"gallery": {"pagination": {"total": 1}}}}


@pytest.mark.parametrize(
    "headers", [*SIMPLE[:3], *({"content-type": kind} for kind in OTHER_TYPES[:7])], ids=str
)
async def test_a_simple_post_is_refused_whatever_stands_beside_it(
    client: Client, upstream: FakeUpstream, headers: dict[str, str]
) -> None:
    sent = headers | PREFLIGHTED | AUTHORIZATION

    response = await client.http.post("/graphql", content=f'{{"query": "{TOTAL}"}}', headers=sent)

    assert response.status_code == 415
    assert upstream.requests == []


async def test_a_browser_that_visits_gets_the_page_all_the_same(client: Client) -> None:
    response = await client.http.get("/graphql", headers={"accept": "text/html,*/*;q=0.8"})

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")


async def test_the_prevention_is_switched_off_by_its_setting(upstream: FakeUpstream) -> None:
    async with gateway(upstream, csrf_prevention=False) as client:
        response = await client.http.get("/graphql", params={"query": TOTAL}, headers=AUTHORIZATION)

    assert response.json() == {"data": {"gallery": {"pagination": {"total": 1}}}}
