"""What stands around the calls of the endpoint, put together from settings."""

import stamina.instrumentation

from gallery_gateway.gallery.clock import Clock
from gallery_gateway.settings import Settings
from gallery_gateway.upstream.resilience.breaker import Breaker
from gallery_gateway.upstream.resilience.gate import Gate
from gallery_gateway.upstream.resilience.limit import AdaptiveLimit
from gallery_gateway.upstream.resilience.pauses import Pauses
from gallery_gateway.upstream.resilience.resilience import Resilience
from gallery_gateway.upstream.resilience.retries import Retries, RetryBudget

# Where the adaptive limit begins, and what it leaves an endpoint that copes with nothing.
_FIRST_CALLS = 20
_LEAST_CALLS = 4


def build_resilience(settings: Settings, clock: Clock) -> Resilience:
    # Retries log themselves; stamina's own hooks would do so again, and into whatever metrics it finds.
    stamina.instrumentation.set_on_retry_hooks([])
    limit = AdaptiveLimit(least=_LEAST_CALLS, first=_FIRST_CALLS, most=settings.upstream_max_connections)
    return Resilience(
        breaker=_breaker(settings, clock),
        gate=Gate(
            limit,
            max_waiting=settings.upstream_queue_max_calls,
            max_wait_seconds=settings.upstream_queue_timeout_seconds,
        ),
        retries=_retries(settings, clock),
        pauses=Pauses(clock=clock.monotonic),
        slow_seconds=settings.upstream_slow_seconds,
        clock=clock.monotonic,
    )


def _breaker(settings: Settings, clock: Clock) -> Breaker:
    return Breaker(
        failure_share=settings.upstream_breaker_failure_percent / 100,
        slow_share=settings.upstream_breaker_slow_percent / 100,
        least_calls=settings.upstream_breaker_least_calls,
        window_seconds=settings.upstream_breaker_window_seconds,
        open_seconds=settings.upstream_breaker_open_seconds,
        clock=clock.monotonic,
    )


def _retries(settings: Settings, clock: Clock) -> Retries:
    budget = RetryBudget(
        share=settings.upstream_retry_percent / 100,
        least_per_second=settings.upstream_retry_least_per_second,
        clock=clock.monotonic,
    )
    return Retries(
        budget,
        max_attempts=settings.upstream_max_attempts,
        first_wait_seconds=settings.upstream_retry_first_wait_seconds,
        max_wait_seconds=settings.upstream_retry_max_wait_seconds,
    )
