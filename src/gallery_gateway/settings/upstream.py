"""The REST endpoint: where it is, and how long and how much is waited for."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, HttpUrl

from gallery_gateway.settings.units import MEBIBYTE


def _without_query(url: HttpUrl) -> HttpUrl:
    if url.query is not None or url.fragment is not None or url.username or url.password:
        raise ValueError("a URL without user, query and fragment")
    return url


class UpstreamSettings(BaseModel):
    """Calls of the REST endpoint."""

    upstream_url: Annotated[HttpUrl, AfterValidator(_without_query)] = Field(
        HttpUrl("https://v2.api.piktid.com"), description="base URL of the REST API"
    )
    upstream_connect_timeout_seconds: float = Field(3.0, gt=0, le=60, description="time to open a connection")
    upstream_first_byte_timeout_seconds: float = Field(
        15.0, gt=0, le=300, description="longest silence before an answer; no more than the next one"
    )
    upstream_read_timeout_seconds: float = Field(
        20.0, gt=0, le=300, description="longest silence within an answer"
    )
    upstream_total_timeout_seconds: float = Field(
        30.0, gt=0, le=600, description="time for one upstream call from start to end"
    )
    upstream_max_connections: int = Field(
        100,
        ge=1,
        le=10_000,
        description="open connections to the REST API, and most calls at a time;"
        " one caller alone gets two thirds",
    )
    upstream_max_bytes: int = Field(
        64 * MEBIBYTE,
        ge=1024,
        le=1024 * MEBIBYTE,
        description="largest answer that is read, compressed or inflated",
    )
    upstream_accept_encoding: Literal["identity", "gzip"] = Field(
        "identity", description="compression asked for; `gzip` pays on slow links only"
    )
    upstream_max_attempts: int = Field(
        3, ge=1, le=10, description="calls that are made for one page, retries and all; 1 = no retries"
    )
    upstream_retry_first_wait_seconds: float = Field(
        0.1, ge=0, le=60, description="longest wait before the first retry, doubled before each other"
    )
    upstream_retry_max_wait_seconds: float = Field(
        2.0,
        ge=0,
        le=60,
        description="longest wait before any retry, and longest `Retry-After` that is waited for",
    )
    upstream_retry_percent: float = Field(
        20.0, ge=0, le=100, description="retries in a hundred recent calls that are no retries"
    )
    upstream_retry_least_per_second: float = Field(
        1.0, ge=0, le=1_000, description="retries that there may be however few calls there are"
    )
    upstream_slow_seconds: float = Field(
        10.0, gt=0, le=600, description="from when on a call counts as slow, for the breaker and the limit"
    )
    upstream_breaker_failure_percent: float = Field(
        50.0,
        gt=0,
        le=100,
        description="failed calls in a hundred at which the breaker of a caller, or of the API, opens",
    )
    upstream_breaker_slow_percent: float = Field(
        90.0, gt=0, le=100, description="likewise of calls that are slow"
    )
    upstream_breaker_least_calls: int = Field(
        20, ge=1, le=100_000, description="calls in the window below which the breaker stays closed"
    )
    upstream_breaker_window_seconds: float = Field(
        10.0, gt=0, le=600, description="how long a call counts for the breaker"
    )
    upstream_breaker_open_seconds: float = Field(
        5.0, gt=0, le=600, description="how long no call is made before one is tried"
    )
    upstream_queue_max_calls: int = Field(
        1_000, ge=0, le=1_000_000, description="calls that may wait for their turn; the next is `OVERLOADED`"
    )
    upstream_queue_timeout_seconds: float = Field(
        2.0, gt=0, le=600, description="how long a call may wait for its turn"
    )
