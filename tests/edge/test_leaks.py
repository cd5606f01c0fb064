"""Nothing that the gateway stores or shows contains a token, and durations reveal no other caller."""

import gc
import secrets
from collections.abc import Iterator

import httpx
import pytest

from gallery_gateway.edge.policy import Policy
from gallery_gateway.edge.request import HTTPRequest
from gallery_gateway.gallery.caller import Caller
from tests.canary import MARK
from tests.edge.sending import PREFLIGHTED
from tests.fakes import OTHER_TOKEN, TOKEN, Client, gateway, page_body

NAMES = "{ gallery { projects { projectName } } }"


class Forgetful(httpx.AsyncBaseTransport):
    """Answers every request, and keeps none."""

    def __init__(self) -> None:
        self.count = 0

    async def handle_async_request(self, _request: httpx.Request) -> httpx.Response:
        self.count += 1
        return httpx.Response(200, json=page_body())


def held(text: str) -> Iterator[str]:
    """What holds a text with `text` in it, of all that the collector knows; frames do not count."""
    encoded = text.encode()
    for holder in gc.get_objects():
        if type(holder).__name__ in {"frame", "cell"}:
            continue
        for told in gc.get_referents(holder):
            if (isinstance(told, str) and text in told) or (isinstance(told, bytes) and encoded in told):
                yield f"{type(holder).__name__} with {len(told)} characters"


async def ask_in_every_way(client: Client, token: str) -> None:
    headers = {"authorization": f"Bearer {token}", **PREFLIGHTED}
    for _ in range(3):
        await client.ask(NAMES, token=token)
        await client.http.get("/graphql", params={"query": NAMES}, headers=headers)
        await client.post("{", token=token)
        await client.post(NAMES, token=token, headers={"cache-control": "no-cache"})


async def test_no_token_stays_in_memory_once_its_operation_has_ended() -> None:
    token = f"{MARK}-{secrets.token_hex(8)}"

    async with gateway(Forgetful()) as client:
        await ask_in_every_way(client, token)
        gc.collect()

        assert list(held(token)) == []


async def test_a_callers_first_request_uses_no_data_of_another() -> None:
    """Neither from the cache nor from a repeat: so its time is that of a call."""
    endpoint = Forgetful()
    async with gateway(endpoint) as client:
        for _ in range(3):
            await client.ask(NAMES, token=TOKEN)

        response = await client.post(NAMES, token=OTHER_TOKEN, headers={"x-gateway-report": "1"})

    assert endpoint.count == 2
    assert response.json()["extensions"]["upstream"]["calls"] == 1
    assert response.json()["extensions"]["upstream"]["hits"] == 0


@pytest.mark.parametrize("show", [repr, str, ascii, "{}".format, "{!r}".format])
def test_no_object_that_holds_a_token_shows_it(show: object) -> None:
    authorization = (b"authorization", f"Bearer {TOKEN}".encode())
    scope = {"method": "POST", "query_string": b"", "headers": [authorization]}
    request = HTTPRequest(scope)

    holders = [request, request.headers, Policy().decide(request), Caller(TOKEN, secret=b"s" * 32)]

    assert callable(show)
    assert not any(MARK in show(holder) for holder in holders)
    assert "authorization" in repr(request.headers)
