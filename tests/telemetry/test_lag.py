import asyncio
import time

from gallery_gateway.telemetry.exposition import watch_lag


async def test_what_holds_up_the_event_loop_is_told_in_seconds() -> None:
    told: list[float] = []
    has_lagged = asyncio.Event()

    def tell(seconds: float) -> None:
        told.append(seconds)
        if len(told) == 2:
            has_lagged.set()

    watching = asyncio.create_task(watch_lag(tell, interval_seconds=0.01))
    await asyncio.sleep(0)
    time.sleep(0.06)  # noqa: ASYNC251  # just what is not to be done
    await has_lagged.wait()
    watching.cancel()

    assert 0.04 < told[0] < 10
    assert told[1] < told[0]
