"""What of a request is let in, put together from settings: the policy, and the limits on the wire."""

from gallery_gateway.edge.cors import Origins
from gallery_gateway.edge.shield import shield_headers
from gallery_gateway.edge.terms import Policy
from gallery_gateway.edge.wire import WireLimits
from gallery_gateway.settings import Settings
from gallery_gateway.settings.guard import listed


def build_policy(settings: Settings, *, offers_page: bool) -> Policy:
    return Policy(
        allow_get=settings.graphql_get,
        prevents_csrf=settings.csrf_prevention,
        offers_page=offers_page,
        always_reports=settings.report_always,
        hosts=listed(settings.allowed_hosts),
        origins=Origins(listed(settings.cors_origins), max_age_seconds=settings.cors_max_age_seconds),
        shield=shield_headers(hsts_max_age_seconds=settings.hsts_max_age_seconds),
    )


def build_wire_limits(settings: Settings) -> WireLimits:
    return WireLimits(
        max_head_bytes=settings.max_head_bytes,
        max_body_bytes=settings.max_body_bytes,
        timeout_seconds=settings.request_timeout_seconds,
    )
