import gzip
import json
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

import gallery_gateway
from gallery_gateway.app import create_app
from gallery_gateway.edge.explorer import render_page
from gallery_gateway.settings import Settings, SettingsError
from tests.edge.sending import PREFLIGHTED
from tests.fakes import TOKEN, Client, FakeUpstream, gateway

STATIC = Path(gallery_gateway.__file__).parent / "edge" / "graphiql" / "static"
FILES = json.loads((STATIC / "manifest.json").read_bytes())["files"].keys()
ASSETS = sorted(name for name in FILES if name != "index.html" and not name.endswith(".gz"))
SCRIPT = next(name for name in ASSETS if name.endswith(".js"))
FONT = next(name for name in ASSETS if name.endswith(".woff2"))
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
async def moved(upstream: FakeUpstream) -> AsyncIterator[Client]:
    async with gateway(upstream, graphiql_path="/tools/explorer") as client:
        yield client


@pytest.fixture
async def without(upstream: FakeUpstream) -> AsyncIterator[Client]:
    async with gateway(upstream, graphiql=False) as client:
        yield client


class Elements(HTMLParser):
    """The elements of a page with their attributes, as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def config_of(page: str) -> dict[str, str | None]:
    """What the script of the page reads: the `data-` attributes of its element."""
    (element,) = [attributes for _, attributes in Elements(page).found if attributes.get("id") == "graphiql"]
    return {name: value for name, value in element.items() if name.startswith("data-")}


async def get_asset(client: Client, name: str, *, accept_encoding: str | None = None) -> httpx.Response:
    # httpx would ask for gzip by itself.
    return await client.http.get(f"/graphiql/{name}", headers={"accept-encoding": accept_encoding or ""})


async def test_a_browser_gets_the_page(client: Client) -> None:
    response = await client.http.get("/graphql", headers=BROWSER)

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert '<div id="graphiql" ' in response.text


@pytest.mark.parametrize("proof", [PREFLIGHTED, {"content-type": "application/json"}])
async def test_a_query_that_no_other_page_could_send_gets_its_answer(
    client: Client, proof: dict[str, str]
) -> None:
    response = await client.http.get("/graphql", params={"query": "{ __typename }"}, headers=BROWSER | proof)

    assert response.json() == {"data": {"__typename": "Query"}}


async def test_a_browser_that_brings_a_query_gets_the_page_and_nothing_runs(
    client: Client, upstream: FakeUpstream
) -> None:
    query = {"query": "{ gallery { pagination { total } } }", "variables": "{}"}
    headers = BROWSER | {"authorization": f"Bearer {TOKEN}"}

    response = await client.http.get("/graphql", params=query, headers=headers)

    assert response.status_code == 200
    assert '<div id="graphiql" ' in response.text
    assert "pagination" not in response.text
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("parameters", "status"),
    [({"documentId": "a"}, 400), ({"extensions": "{}"}, 400), ({"query": "{ a }", "token": "x"}, 400)],
)
async def test_other_parameters_do_not_lead_to_the_page(
    client: Client, parameters: dict[str, str], status: int
) -> None:
    response = await client.http.get("/graphql", params=parameters, headers=BROWSER)

    assert response.status_code == status
    assert "graphiql" not in response.text


async def test_without_the_page_a_browser_with_a_query_is_refused(without: Client) -> None:
    response = await without.http.get("/graphql", params={"query": "{ __typename }"}, headers=BROWSER)

    assert response.status_code == 400


async def test_a_post_never_gets_the_page(client: Client) -> None:
    response = await client.http.post("/graphql", json={"query": "{ __typename }"}, headers=BROWSER)

    assert response.json() == {"data": {"__typename": "Query"}}


async def test_the_page_may_load_from_here_only(client: Client) -> None:
    response = await client.http.get("/graphql", headers=BROWSER)

    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("vary", "Accept"),
    ],
)
async def test_the_page_says_how_to_treat_it(client: Client, header: str, value: str) -> None:
    response = await client.http.get("/graphql", headers=BROWSER)

    assert response.headers[header] == value


async def test_two_visits_have_request_ids_of_their_own(client: Client) -> None:
    one = await client.http.get("/graphql", headers=BROWSER | {"x-request-id": "one"})
    other = await client.http.get("/graphql", headers=BROWSER | {"x-request-id": "other"})

    assert one.headers.get_list("x-request-id") == ["one"]
    assert other.headers.get_list("x-request-id") == ["other"]


async def test_the_page_holds_no_token_unless_one_is_given(client: Client) -> None:
    response = await client.http.get("/graphql", headers=BROWSER)

    assert config_of(response.text) == {"data-endpoint": "graphql", "data-token": ""}


async def test_the_page_begins_with_the_token_that_is_given(upstream: FakeUpstream) -> None:
    app = create_app(Settings.read(_env_file=None), transport=upstream, explorer_token="made-up")
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):
        response = await http.get("/graphql", headers=BROWSER)

    assert config_of(response.text)["data-token"] == "made-up"


def test_a_token_cannot_end_its_attribute() -> None:
    token = """"'><script>alert(1)</script><!-- & ${root} \u2028"""

    page = render_page("/graphql", token=token)

    assert config_of(page)["data-token"] == token
    assert [tag for tag, _ in Elements(page).found].count("script") == 1


@pytest.mark.parametrize("name", ASSETS)
async def test_every_file_of_the_bundle_is_served_as_it_is(client: Client, name: str) -> None:
    response = await get_asset(client, name)

    assert response.status_code == 200
    assert response.content == (STATIC / name).read_bytes()
    assert "content-encoding" not in response.headers


@pytest.mark.parametrize(
    ("suffix", "content_type"),
    [
        (".js", "text/javascript; charset=utf-8"),
        (".css", "text/css; charset=utf-8"),
        (".svg", "image/svg+xml"),
        (".woff2", "font/woff2"),
        (".txt", "text/plain; charset=utf-8"),
    ],
)
async def test_a_file_has_the_type_of_its_name(client: Client, suffix: str, content_type: str) -> None:
    name = next(name for name in ASSETS if name.endswith(suffix))

    response = await get_asset(client, name)

    assert response.headers["content-type"] == content_type
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_a_file_is_immutable(client: Client) -> None:
    response = await get_asset(client, SCRIPT)

    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_a_file_without_a_hash_in_its_name_is_revalidated(client: Client) -> None:
    response = await get_asset(client, "LICENSES.txt")

    assert response.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("accepted", ["gzip", "br, GZIP;q=0.5", "gzip ; q=0.001"])
async def test_a_client_that_takes_gzip_gets_the_compressed_file(client: Client, accepted: str) -> None:
    response = await get_asset(client, SCRIPT, accept_encoding=accepted)

    compressed = (STATIC / f"{SCRIPT}.gz").read_bytes()
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["content-length"] == str(len(compressed))
    assert response.content == gzip.decompress(compressed)


@pytest.mark.parametrize("accepted", ["", "br", "*", "gzip;q=0", "*, gzip; q=0.000", "identity, *;q=0"])
async def test_a_client_that_does_not_take_gzip_gets_the_plain_file(client: Client, accepted: str) -> None:
    response = await get_asset(client, SCRIPT, accept_encoding=accepted)

    assert "content-encoding" not in response.headers
    assert response.content == (STATIC / SCRIPT).read_bytes()


async def test_a_file_that_comes_in_two_forms_says_so_in_both(client: Client) -> None:
    plain = await get_asset(client, SCRIPT)
    compressed = await get_asset(client, SCRIPT, accept_encoding="gzip")

    assert plain.headers["vary"] == compressed.headers["vary"] == "Accept-Encoding"


async def test_a_file_that_is_compressed_already_comes_in_one_form(client: Client) -> None:
    response = await get_asset(client, FONT, accept_encoding="gzip")

    assert "content-encoding" not in response.headers
    assert "vary" not in response.headers


@pytest.mark.parametrize(
    "path",
    [
        "nothing.js",
        "index.html",
        "manifest.json",
        f"{SCRIPT}.gz",
        SCRIPT.lower(),
        "",
        "../graphql.py",
        "..%2f..%2fgraphql.py",
        "%2e%2e/%2e%2e/graphql.py",
        "..%5cgraphql.py",
        f"%2fetc%2fpasswd%00{SCRIPT}",
        f"x/{SCRIPT}",
    ],
)
async def test_nothing_but_the_bundle_is_served(client: Client, path: str) -> None:
    response = await client.http.get(
        httpx.URL("http://gateway").copy_with(raw_path=f"/graphiql/{path}".encode())
    )

    assert response.status_code == 404


async def test_a_file_is_for_reading_only(client: Client) -> None:
    response = await client.http.post(f"/graphiql/{SCRIPT}")

    assert response.status_code == 405


async def test_a_page_that_was_moved_is_where_it_was_moved_to(moved: Client) -> None:
    response = await moved.http.get("/tools/explorer", headers=BROWSER)

    assert response.status_code == 200
    assert '<div id="graphiql" ' in response.text


async def test_a_page_that_was_moved_finds_its_files_and_the_endpoint(moved: Client) -> None:
    page = (await moved.http.get("/tools/explorer", headers=BROWSER)).text
    here = httpx.URL("http://gateway/tools/explorer")

    files = [here.join(reference).path for reference in re.findall(r'(?:src|href)="([^"]*)"', page)]

    assert here.join(str(config_of(page)["data-endpoint"])).path == "/graphql"
    assert [(await moved.http.get(path)).status_code for path in files] == [200, 200, 200]


async def test_a_page_that_was_moved_leaves_the_endpoint_to_operations(moved: Client) -> None:
    response = await moved.http.get("/graphql", headers={"accept": "text/html"})

    assert response.status_code == 406
    assert response.headers["content-type"].startswith("application/json")


async def test_a_page_that_is_off_is_not_at_the_endpoint(without: Client) -> None:
    response = await without.http.get("/graphql", headers={"accept": "text/html"})

    assert response.status_code == 406


async def test_a_page_that_is_off_has_no_files(without: Client) -> None:
    response = await get_asset(without, SCRIPT)

    assert response.status_code == 404


@pytest.mark.parametrize("path", ["/graphql", "/graphiql", "/a/b-c_d.e~f/9", "/..."])
def test_a_plain_path_is_taken(path: str) -> None:
    settings = Settings.read(_env_file=None, graphiql_path=path)

    assert settings.graphiql_path == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "graphiql",
        "/graphiql/",
        "//x",
        "/a//b",
        "/../x",
        "/x/.",
        "/x?y",
        "/x#y",
        "/{x}",
        "/a b",
        "/x\n",
    ],
)
def test_any_other_path_stops_the_start_and_says_what_is_wanted(path: str) -> None:
    with pytest.raises(SettingsError, match=r"GRAPHIQL_PATH: (empty|.*absolute path without trailing slash)"):
        Settings.read(_env_file=None, graphiql_path=path)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_a_path_that_is_taken_stops_the_start(path: str) -> None:
    with pytest.raises(SettingsError, match=r"GRAPHIQL_PATH.*something else"):
        Settings.read(_env_file=None, graphiql_path=path)
