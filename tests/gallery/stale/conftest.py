from collections.abc import AsyncIterator

import pytest

from tests.fakes import Client, FakeUpstream
from tests.gallery.endpoints import ManualClock
from tests.gallery.stale.pages import stale_gateway


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def client(upstream: FakeUpstream, clock: ManualClock) -> AsyncIterator[Client]:
    async with stale_gateway(upstream, clock) as client:
        yield client
