"""What the parts stand at, read whenever the metrics are looked at."""

from gallery_gateway.execution.documents import Documents
from gallery_gateway.gallery.cache import PageCache
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.telemetry.snapshots import Snapshot, Values
from gallery_gateway.upstream.resilience.breaker import State
from gallery_gateway.upstream.resilience.resilience import Resilience


def read_cache(cache: PageCache) -> Snapshot:
    return Snapshot(
        gauges={
            ("cache_bytes", ()): float(cache.size_bytes),
            ("cache_max_bytes", ()): float(cache.max_bytes),
            ("cache_entries", ()): float(len(cache)),
        }
    )


def read_documents(documents: Documents) -> Snapshot:
    return Snapshot(gauges={("prepared_documents", ()): float(len(documents))})


def read_resilience(resilience: Resilience) -> Snapshot:
    gate = resilience.gate
    # Each state has a series, so that those of several workers can be added up.
    states: Values = {
        ("upstream_breaker", (state.value,)): float(resilience.breakers.api.state is state) for state in State
    }
    return Snapshot(
        counters={
            ("upstream_breaker_opened_total", (scope,)): float(count)
            for scope, count in resilience.breakers.opened.items()
        },
        gauges={
            **states,
            ("upstream_calls_in_flight", ()): float(gate.in_flight),
            ("upstream_calls_waiting", ()): float(gate.waiting),
            ("upstream_calls_limit", ()): float(gate.limit.calls),
        },
    )


def read_sharing(gallery: Gallery) -> Snapshot:
    """Nothing where pages are not meant to be shared."""
    is_sharing = gallery.is_sharing
    return Snapshot() if is_sharing is None else Snapshot(gauges={("shared_cache_up", ()): float(is_sharing)})
