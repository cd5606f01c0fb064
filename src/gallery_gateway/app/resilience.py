"""The resilience rules, put together from settings."""

from gallery_gateway.gallery.clock import Clock
from gallery_gateway.settings import Settings
from gallery_gateway.upstream.resilience.breaker import BreakerRules
from gallery_gateway.upstream.resilience.breakers import CircuitBreakers
from gallery_gateway.upstream.resilience.gate import Gate
from gallery_gateway.upstream.resilience.limit import AdaptiveLimit
from gallery_gateway.upstream.resilience.pauses import Pauses
from gallery_gateway.upstream.resilience.resilience import Resilience
from gallery_gateway.upstream.resilience.retries import Retries, RetryBudgets

# Where the adaptive limit begins, and what it leaves an API that copes with nothing.
_FIRST_CALLS = 20
_MIN_CALLS = 4


def build_resilience(settings: Settings, clock: Clock) -> Resilience:
    limit = AdaptiveLimit(
        min_calls=_MIN_CALLS, first_calls=_FIRST_CALLS, max_calls=settings.upstream_max_connections
    )
    return Resilience(
        breakers=CircuitBreakers(_breaker_rules(settings), clock.monotonic),
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


def _breaker_rules(settings: Settings) -> BreakerRules:
    return BreakerRules(
        failure_share=settings.upstream_breaker_failure_percent / 100,
        slow_share=settings.upstream_breaker_slow_percent / 100,
        min_calls=settings.upstream_breaker_least_calls,
        window_seconds=settings.upstream_breaker_window_seconds,
        open_seconds=settings.upstream_breaker_open_seconds,
    )


def _retries(settings: Settings, clock: Clock) -> Retries:
    budgets = RetryBudgets(
        share=settings.upstream_retry_percent / 100,
        min_per_second=settings.upstream_retry_least_per_second,
        clock=clock.monotonic,
    )
    return Retries(
        budgets,
        max_attempts=settings.upstream_max_attempts,
        first_wait_seconds=settings.upstream_retry_first_wait_seconds,
        max_wait_seconds=settings.upstream_retry_max_wait_seconds,
    )
