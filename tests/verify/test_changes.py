"""An account that changes while it is verified: what changes once is no difference."""

import pytest

from gallery_gateway.verify import lists, promises
from gallery_gateway.verify.command import PROBES
from gallery_gateway.verify.parameters import order
from gallery_gateway.verify.probe import Probe, Results, Verdict, run_probes
from tests.verify.worlds import World, growing, moving_on

CYCLE_SECONDS = 360


async def differing(world: World, probes: tuple[Probe, ...]) -> dict[str, str]:
    results: Results = {}
    async with world() as opened:
        await run_probes(probes, opened, results, progress=lambda _probe: None)
        assert opened.ended is None
    return {
        probe.id: finding.evidence for probe, finding in results.items() if finding.verdict is Verdict.DIFFERS
    }


@pytest.mark.parametrize("after_calls", range(8, 50, 6))
@pytest.mark.parametrize("seconds", [200, 10 * CYCLE_SECONDS], ids=["images", "runs"])
async def test_images_that_are_generated_meanwhile_are_no_difference(
    after_calls: int, seconds: float
) -> None:
    assert await differing(moving_on(after_calls=after_calls, seconds=seconds), PROBES) == {}


@pytest.mark.parametrize("after_calls", [*range(1, 24, 2), 1_000])
async def test_a_project_that_is_added_meanwhile_is_no_difference(after_calls: int) -> None:
    probes = (*lists.PROBES, order, *promises.PROBES)

    found = await differing(growing(after_calls=after_calls), probes)

    # It takes any token.
    assert found.keys() == {"promises.wrong_token"}
