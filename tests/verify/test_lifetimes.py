"""The probes of links and caching headers, each in a world where it holds and in one where it differs."""

import asyncio
import time
from datetime import UTC, datetime
from email.utils import formatdate

import pytest

from gallery_gateway.verify import lifetimes
from gallery_gateway.verify.probe import Finding, Probe, Verdict, differs, holds, not_seen
from gallery_gateway.verify.session import Token
from tests.fakes import TOKEN, image_body, page_body, project_body
from tests.upstream.sockets import Respond, always, http_response, serving
from tests.verify.opening import finding_of, in_turn, json_response, session

HOST = "https://pictures.example/1.jpg"


def page_with(*links: object) -> dict[str, object]:
    """Return a page with these links and no others."""
    images = [
        image_body(n, inputs=[], output={"full_size": link, "thumbnail": None})
        for n, link in enumerate(links)
    ]
    return page_body(project_body(1, *images))


async def found(probe: Probe, respond: Respond, *, with_links: bool = False) -> Finding:
    async with (
        serving(respond) as server,
        session(server.url, tokens={Token.OURS: TOKEN}, with_links=with_links) as opened,
    ):
        return await finding_of(probe, opened)


def dated(vendor: str, *, lifetime_seconds: int = 900) -> str:
    date = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{HOST}?X-{vendor}-Date={date}&X-{vendor}-Expires={lifetime_seconds}&X-{vendor}-Signature=abc"


@pytest.mark.parametrize(
    ("link", "form"),
    [
        (HOST, "unsigned"),
        (f"{HOST}?v=3", "unsigned"),
        (f"{HOST}?X-Amz-Date=20991231T000000Z&X-Amz-Expires=900&X-Amz-Signature=abc", "S3 version 4"),
        (f"{HOST}?X-Goog-Date=20991231T000000Z&X-Goog-Expires=900&X-Goog-Signature=abc", "GCS version 4"),
        (f"{HOST}?Expires=4000000000&Signature=a&Key-Pair-Id=b", "CloudFront"),
        (f"{HOST}?AWSAccessKeyId=a&Signature=b&Expires=4000000000", "S3 version 2"),
        (f"{HOST}?GoogleAccessId=a&Expires=4000000000&Signature=b", "GCS version 2"),
        (f"{HOST}?sv=2022-11-02&se=2099-01-01T00%3A00%3A00Z&sig=abc", "Azure"),
    ],
)
async def test_the_form_of_a_signature_is_recognised(link: str, form: str) -> None:
    finding = await found(lifetimes.signing, always(json_response(page_with(link, link))))

    assert finding == holds(f"2 {form}")


@pytest.mark.parametrize(
    "link", [f"{HOST}?sig=abc", f"{HOST}?token=abc", f"{HOST}?X-Amz-Signature=abc", f"{HOST}?exp=1"]
)
async def test_a_signature_without_a_readable_expiry_differs(link: str) -> None:
    finding = await found(lifetimes.signing, always(json_response(page_with(link, HOST))))

    assert finding == differs("1 signed in another form, 1 unsigned; 1 signed without a readable expiry")


@pytest.mark.parametrize("probe", [lifetimes.signing, lifetimes.lifetime], ids=lambda probe: probe.id)
async def test_without_links_nothing_is_seen(probe: Probe) -> None:
    finding = await found(probe, always(json_response(page_with(None, 7))))

    assert finding == not_seen("no page had a link")


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(900, Verdict.HOLDS), (50, Verdict.DIFFERS), (-9, Verdict.DIFFERS)]
)
async def test_links_must_outlive_a_page_in_the_cache(seconds: int, verdict: Verdict) -> None:
    page = page_with(dated("Amz", lifetime_seconds=9000), f"{HOST}?Expires={int(time.time()) + seconds}")

    finding = await found(lifetimes.lifetime, always(json_response(page)))

    assert finding.verdict is verdict
    assert finding.evidence.endswith(" s; the cache needs 60 s")


async def test_links_that_do_not_expire_hold() -> None:
    finding = await found(lifetimes.lifetime, always(json_response(page_with(HOST))))

    assert finding == holds("no link says when it expires")


@pytest.mark.parametrize(
    ("query", "status", "finding"),
    [
        ("", "200 OK", holds("HEAD without a token: 200")),
        ("", "302 Found", holds("HEAD without a token: 302")),
        ("", "403 No", differs("HEAD without a token: 403")),
        ("", "401 No", differs("HEAD without a token: 401")),
        ("", "405 No", not_seen("HEAD: 405, which says nothing about GET")),
        (
            "?X-Amz-Date=20260101T000000Z&X-Amz-Expires=9",
            "403 No",
            not_seen("HEAD: 403, which says nothing about GET"),
        ),
    ],
)
async def test_a_link_is_opened_without_the_token(query: str, status: str, finding: Finding) -> None:
    pictures = f"HTTP/1.1 {status}\r\nContent-Length: 9\r\n\r\n".encode()
    async with serving(always(pictures)) as host:
        page = page_with(f"{host.url}/1.jpg{query}")
        seen = await found(lifetimes.opening, always(json_response(page)), with_links=True)

    assert seen == finding


async def test_links_are_opened_only_if_it_is_asked_for() -> None:
    finding = await found(lifetimes.opening, always(json_response(page_with(HOST))))

    assert finding == not_seen("only with --links")


async def test_a_link_to_something_else_than_a_web_server_differs() -> None:
    page = always(json_response(page_with("file:///etc/passwd")))

    assert await found(lifetimes.opening, page, with_links=True) == differs(
        "no link is a URL of http or https"
    )


def revalidating(page: bytes, *, known: bytes) -> Respond:
    async def respond(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(known if b'if-none-match: "1"\r\n' in head.lower() else page)

    return respond


TAGGED = json_response(page_body(), 'ETag: "1"')


@pytest.mark.parametrize(
    ("respond", "finding"),
    [
        (always(json_response(page_body())), holds("no usable ETag: every refresh fetches the page in full")),
        (
            always(json_response(page_body(), "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT")),
            holds("no usable ETag, only a Last-Modified: every refresh fetches the page in full"),
        ),
        (revalidating(TAGGED, known=b"HTTP/1.1 304 Same\r\n\r\n"), holds("304 on If-None-Match")),
        (always(TAGGED), differs("200 for the same page")),
        (in_turn(TAGGED, json_response(page_body(total=9))), not_seen("the page changed meanwhile")),
    ],
    ids=["none", "date", "304", "ignored", "changed"],
)
async def test_etags_are_asked_for_their_use(respond: Respond, finding: Finding) -> None:
    assert await found(lifetimes.validators, respond) == finding


@pytest.mark.parametrize(
    ("header", "finding"),
    [
        ("X-Nothing: 1", holds("no lifetime: CACHE_TTL_SECONDS counts")),
        ("Cache-Control: private, max-age=60", holds("fresh for 60 s")),
        ("Cache-Control: max-age=29", differs("fresh for 29 s")),
        ("Cache-Control: no-cache", differs("fresh for 0 s")),
        ("Cache-Control: no-store", differs("no-store: nothing is kept")),
        (f"Expires: {formatdate(0, usegmt=True)}", differs("fresh for 0 s")),
    ],
)
async def test_caching_headers_decide_how_long_a_page_is_kept(header: str, finding: Finding) -> None:
    assert await found(lifetimes.freshness, always(json_response(page_body(), header))) == finding


NO_DIRECTIVE, NO_VARY = "neither public nor s-maxage", "Vary does not name Authorization"


@pytest.mark.parametrize(
    ("headers", "finding"),
    [
        ([], holds(f"{NO_DIRECTIVE}; {NO_VARY}")),
        (["Cache-Control: private", "Age: 0"], holds(f"{NO_DIRECTIVE}; {NO_VARY}")),
        (["Cache-Control: public, max-age=9"], differs(f"public; {NO_VARY}")),
        (["Cache-Control: S-MaxAge=9", "Vary: Origin"], differs(f"s-maxage; {NO_VARY}")),
        (["Cache-Control: public", "Vary: Origin, Authorization"], holds("public; Vary names Authorization")),
        (["Cache-Control: public", "Vary: *"], holds("public; Vary names Authorization")),
        (["Age: 7"], differs(f"{NO_DIRECTIVE}; {NO_VARY}; the response has an Age")),
    ],
)
async def test_a_cache_in_front_of_the_api_must_tell_callers_apart(
    headers: list[str], finding: Finding
) -> None:
    assert await found(lifetimes.callers, always(json_response(page_body(), *headers))) == finding


async def limits(*responses: bytes) -> Finding:
    async with (
        serving(in_turn(*responses)) as server,
        session(server.url, tokens={Token.OURS: TOKEN}, pause_seconds=0.001) as opened,
    ):
        await opened.get()
        return await finding_of(lifetimes.rate_limits, opened)


async def test_calls_below_the_rate_limit_hold() -> None:
    page, limited = json_response(page_body()), json_response(page_body(), "X-RateLimit-Limit: 9")

    assert await limits(page) == holds("0 of 1 calls got 429; no header says a limit")
    assert await limits(limited) == holds("0 of 1 calls got 429; 1 headers say the limit")


async def test_a_429_differs() -> None:
    status = "429 Too Many Requests"
    refusals = http_response(b"", status=status), http_response(b"", "Retry-After: 0", status=status)

    finding = await limits(*refusals, json_response(page_body()))

    assert finding == differs("2 of 3 calls got 429, 1 of them with Retry-After")


async def test_without_a_response_there_is_no_rate_limit() -> None:
    async with session("http://127.0.0.1:1", tokens={Token.OURS: TOKEN}) as opened:
        finding = await finding_of(lifetimes.rate_limits, opened)

    assert finding == not_seen("there was no response")
