"""Every probe in a world of the stand-in where its answer holds, and in one where it differs."""

from collections.abc import Iterator

import pytest

from gallery_gateway.demo.server import create_upstream, serve_in_thread
from gallery_gateway.verify.command import PROBES
from gallery_gateway.verify.probe import Results, Verdict, run_probes
from tests.verify.opening import session


@pytest.fixture
def stand_in() -> Iterator[str]:
    with serve_in_thread(create_upstream()) as url:
        yield url


async def test_all_that_can_be_seen_holds_in_the_stand_in_within_60_calls(stand_in: str) -> None:
    results: Results = {}

    async with session(stand_in) as opened:
        await run_probes(PROBES, opened, results, progress=lambda _probe: None)

    found = {probe.id: finding.verdict for probe, finding in results.items()}
    assert {name for name, verdict in found.items() if verdict is not Verdict.HOLDS} == {"links.open"}
    assert opened.calls <= 60
