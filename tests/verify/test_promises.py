"""What the probes of callers conclude where two callers cannot be told apart."""

import pytest

from gallery_gateway.verify import promises
from gallery_gateway.verify.probe import Probe, not_seen
from gallery_gateway.verify.session import Token
from tests.verify.opening import DEMO_TOKENS, finding_of
from tests.verify.worlds import World, each_page, growing, holding, stand_in

OURS = DEMO_TOKENS[Token.OURS]
UNREADABLE = stand_in(edit=each_page(holding("pagination", 7)))


@pytest.mark.parametrize(
    ("probe", "world", "reason"),
    [
        (
            promises.other_token,
            stand_in(tokens={Token.OURS: OURS, Token.OTHER: OURS}),
            "both access tokens are the same",
        ),
        (promises.other_token, growing(after_calls=1_000), "both access tokens list the same projects"),
        (promises.other_token, UNREADABLE, "the gateway answers the first token without projects"),
        (promises.wrong_token, UNREADABLE, "the gateway answers the right token without projects"),
    ],
    ids=["one token", "one account", "no projects", "no projects instead"],
)
async def test_callers_that_cannot_be_told_apart_have_no_verdict(
    probe: Probe, world: World, reason: str
) -> None:
    async with world() as opened:
        assert await finding_of(probe, opened) == not_seen(reason)
