"""Nothing that the API sends is in an output, a file or a log line: every field and header holds canaries."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gallery_gateway.cli import main
from gallery_gateway.demo.server import create_upstream
from gallery_gateway.verify.session import Token
from tests.fakes import page_body
from tests.verify.opening import DEMO_TOKENS, served, still_upstream

CANARY = "canary"
NUMBER = 7_654_321_000
# As they are, and as evidence shows numbers.
SINGS = re.compile(r"canary|7,?654,?321|demo-\w+-token|127\.0\.0\.1", re.IGNORECASE)

# What probes read of headers, and what they do not; the names of some are canaries too.
HEADERS = {
    "Server": CANARY,
    "Set-Cookie": f"session={CANARY}",
    "X-Canary": "1",
    "X-Request-Id": CANARY,
    "Via": f"1.1 {CANARY}",
    "ETag": f'"{CANARY}"',
    "Last-Modified": CANARY,
    "Cache-Control": f"public, max-age=9, {CANARY}, s-maxage={NUMBER}",
    "Age": CANARY,
    "Expires": CANARY,
    "Vary": CANARY,
    "WWW-Authenticate": f'Bearer realm="{CANARY}"',
    "Location": f"https://{CANARY}.example/",
    "Link": f"<https://{CANARY}.example/>",
    "X-RateLimit-Limit": CANARY,
    "RateLimit-Policy": CANARY,
    "Retry-After": CANARY,
    "X-Cache": CANARY,
}

Change = Callable[[Any], Any]


def every_value(value: Any) -> Any:
    """Return JSON with a canary for each scalar; unknown members with canaries in each object."""
    if isinstance(value, dict):
        changed = {name: every_value(member) for name, member in value.items()}
        return {**changed, "added": {"deep": [CANARY, NUMBER]}, "added_number": NUMBER}
    if isinstance(value, list):
        return [every_value(item) for item in value]
    return CANARY


def texts_and_ids(value: Any, name: str = "") -> Any:
    """Return JSON with canaries where the contract allows any text or number, so that most probes go on."""
    if isinstance(value, dict):
        changed = {key: texts_and_ids(member, key) for key, member in value.items()}
        return {**changed, "added": CANARY}
    if isinstance(value, list):
        return [texts_and_ids(item, name) for item in value]
    if name in {"full_size", "thumbnail"} and value is not None:
        return value.replace("/pictures", f"/{CANARY}").replace("Signature=", f"Signature={CANARY}")
    if name in {"project_id", "id"}:
        return NUMBER + value % 1000
    if isinstance(value, str):
        return value if name == "status" else f"{CANARY} {value}"
    return value


def other_vocabulary(value: Any, name: str = "") -> Any:
    """Return JSON whose open vocabularies and dates are canaries."""
    if isinstance(value, dict):
        return {key: other_vocabulary(member, key) for key, member in value.items()}
    if isinstance(value, list):
        return [other_vocabulary(item, name) for item in value]
    return (
        CANARY
        if name in {"status", "feedback", "review_status", "created_at", "original_filename"}
        else value
    )


def singing(change: Change, *, app: ASGIApp) -> ASGIApp:
    """Change the JSON of an API, and add canaries to the headers of each response."""

    async def changed(scope: Scope, receive: Receive, send: Send) -> None:
        body, status = b"", 0

        async def keep(message: Message) -> None:
            nonlocal body, status
            status = message.get("status", status)
            body += message.get("body", b"")

        await app(scope, receive, keep)
        if Request(scope).url.path != "/gallery/by-project":
            status = 200
        body = json.dumps(change(json.loads(body))).encode() if body.startswith(b"{") else CANARY.encode()
        await Response(body, status, headers=HEADERS)(scope, receive, send)

    return changed


async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer everything with a page of another kind."""
    await Response(json.dumps([page_body(), CANARY]), 200, headers=HEADERS)(scope, receive, send)


WORLDS = {
    "every value": singing(every_value, app=still_upstream()),
    "texts and ids": singing(texts_and_ids, app=still_upstream()),
    "other vocabulary": singing(other_vocabulary, app=still_upstream()),
    "only headers": singing(lambda body: body, app=create_upstream()),
    "no page": refusing,
}


@pytest.fixture
def _tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_VERIFY_TOKEN", DEMO_TOKENS[Token.OURS])
    monkeypatch.setenv("GALLERY_GATEWAY_VERIFY_OTHER_TOKEN", DEMO_TOKENS[Token.OTHER])
    monkeypatch.setenv("GALLERY_GATEWAY_LOG_LEVEL", "debug")


@pytest.mark.usefixtures("_tokens")
@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "JSON"])
def test_nothing_that_the_api_sends_is_shown(
    capsys: pytest.CaptureFixture[str], world: str, form: tuple[str, ...]
) -> None:
    with served(WORLDS[world]) as url:
        status = main(["verify", "--url", url, "--links", "--save", "evidence.json", *form])

    captured = capsys.readouterr()
    saved = Path("evidence.json").read_text()
    assert status in {1, 2}
    assert "holds" in captured.out
    assert "holds" in saved
    assert [line for line in (captured.out + captured.err + saved).splitlines() if SINGS.search(line)] == []


def test_canaries_sing() -> None:
    assert all(map(SINGS.search, [CANARY, f"{NUMBER + 1}", f"{NUMBER + 1:,}", *DEMO_TOKENS.values()]))
