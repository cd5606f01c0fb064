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
    upstream_read_timeout_seconds: float = Field(
        20.0, gt=0, le=300, description="longest silence while an answer is awaited or read"
    )
    upstream_total_timeout_seconds: float = Field(
        30.0, gt=0, le=600, description="time for one upstream call from start to end"
    )
    upstream_max_connections: int = Field(
        100, ge=1, le=10_000, description="open connections to the REST API"
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
