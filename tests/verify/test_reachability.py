"""The probes of the connection, of tokens, links and caching headers."""

from gallery_gateway.demo.server import create_upstream, serve_in_thread
from gallery_gateway.verify import reachability
from gallery_gateway.verify.probe import Verdict
from tests.verify.opening import finding_of, session


async def test_the_stand_in_refuses_calls_without_a_token_as_documented() -> None:
    with serve_in_thread(create_upstream()) as url:
        async with session(url, tokens={}) as opened:
            finding = await finding_of(reachability.no_token, opened)

    assert finding.verdict is Verdict.HOLDS
    assert finding.evidence == "401 with no body: UNAUTHENTICATED"
