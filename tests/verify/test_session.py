"""Polite calls: the budget, the pauses, what is remembered, and when the API is left alone."""

import asyncio
import json
from itertools import pairwise

import pytest

from gallery_gateway.verify.session import NotSeenError, Session, SessionEndedError, SessionTransport, Token
from tests.fakes import OTHER_TOKEN, TOKEN, page_body
from tests.upstream.sockets import always, http_response, serving
from tests.verify.opening import in_turn, json_response, session

PAGE = json_response(page_body())
TOKENS = {Token.OURS: TOKEN, Token.OTHER: OTHER_TOKEN}
LIMITED = http_response(b"", status="429 Too Many Requests")


async def reason_of(opened: Session, page: int = 1, *, token: Token = Token.OURS) -> str:
    with pytest.raises(NotSeenError) as caught:
        await opened.page({"page": page}, token=token)
    return str(caught.value)


async def test_equal_requests_spend_one_call() -> None:
    async with serving(always(PAGE)) as server, session(server.url, tokens=TOKENS) as opened:
        await opened.get({"page": 1, "per_page": 2})
        await opened.get({"per_page": 2, "page": 1})

    assert (opened.calls, len(server.heads)) == (1, 1)


@pytest.mark.parametrize(
    "other",
    [{"token": Token.OTHER}, {"token": Token.NONE}, {"etag": '"1"'}, {"encoding": "gzip"}, {"time": 2}],
    ids=str,
)
async def test_requests_that_differ_spend_a_call_each(other: dict[str, object]) -> None:
    async with serving(always(PAGE)) as server, session(server.url, tokens=TOKENS) as opened:
        await opened.get({"page": 1})
        await opened.get({"page": 1}, **other)  # type: ignore[arg-type]

    assert (opened.calls, len(server.heads)) == (2, 2)


async def test_a_list_of_values_repeats_its_key() -> None:
    async with serving(always(PAGE)) as server, session(server.url, tokens=TOKENS) as opened:
        await opened.get({"feedback": ["like", "dis like"]})

    assert server.heads[0].startswith(b"GET /gallery/by-project?feedback=like&feedback=dis+like HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("token", "sent"),
    [
        (Token.OURS, [f"authorization: Bearer {TOKEN}"]),
        (Token.OTHER, [f"authorization: Bearer {OTHER_TOKEN}"]),
        (Token.WRONG, ["authorization: Bearer not-a-token-of-this-api"]),
        (Token.NONE, []),
    ],
)
async def test_a_call_carries_the_token_that_was_asked_for(token: Token, sent: list[str]) -> None:
    async with serving(always(PAGE)) as server, session(server.url, tokens=TOKENS) as opened:
        await opened.get(token=token)

    lines = server.heads[0].decode().split("\r\n")
    assert [line for line in lines if line.lower().startswith("authorization")] == sent


async def test_the_calls_carry_the_headers_of_the_gateway() -> None:
    settings = {"upstream_headers": "X-Api-Key: 1", "upstream_accept_encoding": "gzip"}
    async with (
        serving(always(PAGE)) as server,
        session(server.url + "/base", tokens=TOKENS, settings=settings) as opened,
    ):
        await opened.get()

    head = server.heads[0].decode().lower()
    assert head.startswith("get /base/gallery/by-project http/1.1\r\n")
    assert "\r\nx-api-key: 1\r\n" in head
    assert "\r\naccept-encoding: gzip\r\n" in head
    assert "\r\nuser-agent: gallery-gateway/" in head


async def test_calls_are_made_one_at_a_time() -> None:
    running = most = 0
    release = asyncio.Event()

    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1
        writer.write(PAGE)

    async with (
        serving(respond) as server,
        session(server.url, tokens=TOKENS) as opened,
        asyncio.TaskGroup() as tasks,
    ):
        for page in range(1, 5):
            tasks.create_task(opened.get({"page": page}))
        await server.wait_for_requests(1)
        begun = opened.calls
        release.set()

    assert (begun, most, opened.calls) == (1, 1, 4)


async def test_the_budget_ends_the_session() -> None:
    async with serving(always(PAGE)) as server, session(server.url, tokens=TOKENS, max_calls=2) as opened:
        await opened.page({"page": 1})
        await opened.page({"page": 2})
        reason = await reason_of(opened, 3)
        known = await opened.page({"page": 1})

    assert reason == "the budget of 2 calls is spent"
    assert (len(server.heads), known["projects"][0]["project_id"]) == (2, 7)


async def test_the_time_ends_the_session() -> None:
    async with serving(always(PAGE)) as server, session(server.url, tokens=TOKENS, max_seconds=0) as opened:
        reason = await reason_of(opened)

    assert (reason, server.heads) == ("the time of 0 s is over", [])


async def test_a_call_is_repeated_after_a_429() -> None:
    respond = in_turn(LIMITED, LIMITED, PAGE)
    async with serving(respond) as server, session(server.url, tokens=TOKENS, pause_seconds=0.01) as opened:
        await opened.page()

    assert (opened.calls, len(server.heads), opened.rate_limited) == (3, 3, [False, False])


@pytest.mark.parametrize(
    ("headers", "seconds"), [([], [0.05, 0.1]), (["Retry-After: 1"], [1.0])], ids=["doubled", "asked for"]
)
async def test_a_pause_is_made_before_the_call_is_repeated(headers: list[str], seconds: list[float]) -> None:
    limited = http_response(b"", *headers, status="429 Too Many Requests")
    answers, times = [*[limited] * len(seconds), PAGE], []

    async def respond(_head: bytes, writer: asyncio.StreamWriter) -> None:
        times.append(asyncio.get_running_loop().time())
        writer.write(answers[len(times) - 1])

    async with serving(respond) as server, session(server.url, tokens=TOKENS, pause_seconds=0.05) as opened:
        await opened.page()

    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert [pause >= wanted for pause, wanted in zip(pauses, seconds, strict=True)] == [True] * len(seconds)


async def test_a_pause_of_no_time_is_heeded_too() -> None:
    limited = http_response(b"", "Retry-After: 0", status="429 Too Many Requests")
    async with (
        serving(in_turn(limited, PAGE)) as server,
        session(server.url, tokens=TOKENS, pause_seconds=59) as opened,
    ):
        await opened.page()

    assert opened.rate_limited == [True]


async def test_a_pause_that_is_too_long_ends_the_session() -> None:
    limited = http_response(b"", "Retry-After: 61", status="429 Too Many Requests")
    async with serving(always(limited)) as server, session(server.url, tokens=TOKENS) as opened:
        reason = await reason_of(opened)

    assert (reason, opened.ended) == ("the API wants a pause of 61 s (429)",) * 2


async def test_a_pause_beyond_the_time_ends_the_session() -> None:
    limited = http_response(b"", "Retry-After: 9", status="429 Too Many Requests")
    async with (
        serving(always(limited)) as server,
        session(server.url, tokens=TOKENS, max_seconds=8) as opened,
    ):
        reason = await reason_of(opened)

    assert reason == "the API wants a pause of 9 s (429)"


async def test_repeats_after_429_count_as_calls() -> None:
    async with (
        serving(always(LIMITED)) as server,
        session(server.url, tokens=TOKENS, max_calls=3, pause_seconds=0.001) as opened,
    ):
        reason = await reason_of(opened)

    assert (reason, len(server.heads)) == ("the budget of 3 calls is spent", 3)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (http_response(b"", status="503 Down"), "the API answers 503 with no body"),
        (http_response(b"<html>"), "the API answers 200 with HTML"),
        (json_response([1]), "the API answers 200 with a JSON list"),
        (http_response(b"", status="403 No"), "the API answers 403 with no body"),
        (b"no HTTP\r\n\r\n", "no response: the bytes are not HTTP/1.1"),
        (http_response(b"x" * 2000), "no usable response: the body is larger than `UPSTREAM_MAX_BYTES`"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
            "no usable response: the connection was closed before the response ended",
        ),
    ],
    ids=["down", "HTML", "another shape", "forbidden", "no HTTP", "large", "cut"],
)
async def test_three_failures_in_a_row_end_the_session(raw: bytes, reason: str) -> None:
    settings = {"upstream_max_bytes": 1024}
    async with (
        serving(always(raw, then_close=True)) as server,
        session(server.url, tokens=TOKENS, settings=settings) as opened,
    ):
        reasons = [await reason_of(opened, page) for page in range(1, 5)]

    assert reasons[:3] == [reason] * 3
    assert reasons[3].startswith("3 calls in a row got no page: ")
    assert len(server.heads) == 3


async def test_a_page_between_failures_starts_their_count_again() -> None:
    failure = http_response(b"", status="500 Fault")
    respond = in_turn(failure, failure, PAGE, failure, failure, PAGE)
    async with serving(respond) as server, session(server.url, tokens=TOKENS) as opened:
        for page in range(1, 7):
            await opened.get({"page": page})

    assert opened.ended is None


async def test_silence_ends_in_bounded_time() -> None:
    async def respond(_head: bytes, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    settings = {"upstream_first_byte_timeout_seconds": 0.05}
    async with serving(respond) as server, session(server.url, tokens=TOKENS, settings=settings) as opened:
        reasons = [await reason_of(opened, page) for page in range(1, 5)]

    assert reasons[0] == "no response: no response began within `UPSTREAM_FIRST_BYTE_TIMEOUT_SECONDS`"
    assert (opened.calls, opened.ended) == (3, f"3 calls in a row got no page: {reasons[0]}")


async def test_a_refused_token_is_not_sent_again() -> None:
    refusal = http_response(b"", status="401 No")
    async with serving(always(refusal)) as server, session(server.url, tokens=TOKENS) as opened:
        await opened.get()
        reason = await reason_of(opened, 2)
        other = await opened.get(token=Token.OTHER)

    assert reason == "the API refuses the access token (401)"
    assert (other.status, len(server.heads)) == (401, 2)


async def test_a_token_that_is_not_there_costs_no_call() -> None:
    async with serving(always(PAGE)) as server, session(server.url, tokens={}) as opened:
        reasons = [await reason_of(opened, token=token) for token in (Token.OURS, Token.OTHER)]

    assert reasons == ["there is no access token", "there is no second access token"]
    assert server.heads == []


@pytest.mark.parametrize(
    ("token", "has_page"),
    [(Token.OURS, True), (Token.OTHER, False), (Token.WRONG, False), (Token.NONE, False)],
)
async def test_only_a_page_for_the_access_token_counts_as_one(token: Token, has_page: bool) -> None:
    async with serving(always(PAGE)) as server, session(server.url, tokens=TOKENS) as opened:
        await opened.get(token=token)

    assert opened.has_page is has_page


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "no body"),
        (b" \n", "no body"),
        (b"{}", "a JSON object"),
        (b"[]", "a JSON list"),
        (b"1", "a JSON scalar"),
        (b" <html>", "HTML"),
        (b"down", "text"),
    ],
)
async def test_a_body_is_described_without_its_content(body: bytes, kind: str) -> None:
    async with serving(always(http_response(body))) as server, session(server.url, tokens=TOKENS) as opened:
        response = await opened.get()

    assert (response.kind, response.seen) == (kind, f"200 with {kind}")


async def test_the_calls_of_a_gateway_over_the_session_count() -> None:
    async with serving(always(PAGE)) as server, session(server.url, tokens=TOKENS, max_calls=1) as opened:
        transport = SessionTransport(opened)
        headers = [(b"host", b"x")]
        timeouts = {"connect": 1.0, "first_byte": 1.0, "read": 1.0, "total": 1.0}
        response = await transport.get(b"/", headers, timeouts, caller_key=b"")  # type: ignore[arg-type]
        with pytest.raises(SessionEndedError, match="the budget of 1 calls is spent"):
            await transport.get(b"/", headers, timeouts, caller_key=b"")  # type: ignore[arg-type]

    assert json.loads(b"".join(response))["projects"][0]["project_id"] == 7


async def test_a_link_is_asked_for_with_head_and_without_credentials() -> None:
    settings = {"upstream_headers": "X-Api-Key: 1"}
    async with (
        serving(always(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")) as server,
        session(server.url, tokens=TOKENS, settings=settings) as opened,
    ):
        status = await opened.head(f"{server.url}/picture?sig=1")

    head = server.heads[0].decode().lower()
    assert (status, opened.calls) == (200, 1)
    assert head.startswith("head /picture?sig=1 http/1.1\r\n")
    assert "authorization" not in head
    assert "x-api-key" not in head


async def test_a_link_is_opened_through_the_proxy() -> None:
    async with serving(always(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")) as proxy:
        settings = {"upstream_proxy_url": proxy.url}
        async with session("http://127.0.0.1:1", tokens=TOKENS, settings=settings) as opened:
            status = await opened.head("http://pictures.invalid/1.jpg")

    assert status == 200
    assert proxy.heads[0].startswith(b"HEAD http://pictures.invalid/1.jpg HTTP/1.1\r\n")


@pytest.mark.parametrize("link", ["https://[", "nothing", "http://127.0.0.1:1/"])
async def test_a_link_that_cannot_be_opened_is_not_seen(link: str) -> None:
    async with session("http://127.0.0.1:1", tokens=TOKENS) as opened:
        with pytest.raises(NotSeenError, match=r"no response \("):
            await opened.head(link)


async def test_what_probes_share_is_made_once_even_if_it_cannot_be_seen() -> None:
    made = []

    async def make(opened: Session) -> str:
        made.append(opened)
        return "made"

    async def fail(opened: Session) -> str:
        made.append(opened)
        raise NotSeenError("nothing to see")

    async with session("http://127.0.0.1:1") as opened:
        assert [await opened.once(make), await opened.once(make)] == ["made", "made"]
        for _ in range(2):
            with pytest.raises(NotSeenError, match="nothing to see"):
                await opened.once(fail)

    assert len(made) == 2
