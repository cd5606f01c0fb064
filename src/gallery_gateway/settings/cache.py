"""The cache: how long pages are fresh, how much of them is kept, and under which key."""

from pydantic import BaseModel, Field, SecretStr

from gallery_gateway.settings.units import MEBIBYTE


class CacheSettings(BaseModel):
    """Pages that are kept."""

    cache_ttl_seconds: float = Field(
        30.0, ge=0, le=86_400, description="how long a page is fresh; 0 = no cache"
    )
    cache_max_bytes: int = Field(
        256 * MEBIBYTE, ge=0, le=1024 * 1024 * MEBIBYTE, description="all cached pages of a process"
    )
    cache_caller_max_bytes: int = Field(
        64 * MEBIBYTE, ge=0, le=1024 * 1024 * MEBIBYTE, description="cached pages of one caller"
    )
    cache_unfinished_ttl_seconds: float = Field(
        3.0, ge=0, le=3_600, description="how long a page is fresh on which images are still being made"
    )
    stale_while_revalidate_seconds: float = Field(
        30.0,
        ge=0,
        le=86_400,
        description="how long past its freshness a page answers while it is renewed in the background",
    )
    stale_if_error_seconds: float = Field(
        3_600.0,
        ge=0,
        le=604_800,
        description="how long past its freshness a page answers when the REST API fails",
    )
    link_margin_seconds: float = Field(
        30.0, ge=0, le=3_600, description="how long before its expiry a link is no longer given out"
    )
    caller_key_secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="key of the HMAC that tells callers apart; by default random for each process",
    )
