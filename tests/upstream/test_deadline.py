import asyncio

import pytest

from gallery_gateway.upstream.resilience import Deadline


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_its_block_ends_at_the_deadline() -> None:
    with pytest.raises(TimeoutError):
        async with Deadline(now() + 0.01):
            await asyncio.Event().wait()


async def test_whoever_waits_for_longer_puts_it_off() -> None:
    deadline = Deadline(now() + 0.01)

    async with deadline:
        deadline.extend(now() + 60)
        await asyncio.sleep(0.03)

    assert deadline.remaining_seconds > 50


async def test_nobody_brings_it_forward() -> None:
    deadline = Deadline(now() + 60)

    deadline.extend(now())

    assert deadline.remaining_seconds > 50


async def test_it_can_be_put_off_before_and_after_its_block() -> None:
    deadline = Deadline(now() + 10)
    deadline.extend(now() + 20)

    async with deadline:
        pass
    deadline.extend(now() + 30)

    assert deadline.remaining_seconds > 25
