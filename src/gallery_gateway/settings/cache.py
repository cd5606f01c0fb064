"""The cache: how long pages are fresh, how much of them is kept, and under which key."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationInfo, field_validator

from gallery_gateway.settings.units import MEBIBYTE


def _redis_url(url: SecretStr | None) -> SecretStr | None:
    if url is not None and not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("a URL with redis://, rediss:// or unix://")
    return url


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
    shared_cache_url: Annotated[SecretStr | None, AfterValidator(_redis_url)] = Field(
        None,
        description="Redis or Valkey that all processes share pages through, such as `redis://cache:6379/0`;"
        " needs `CALLER_KEY_SECRET`, the same in all of them",
    )
    shared_cache_timeout_seconds: float = Field(
        0.05, gt=0, le=5, description="longest wait for the shared cache; then a process does without it"
    )
    shared_cache_lock_seconds: float = Field(
        3.0, ge=1, le=60, description="how long the others wait for a page whose process has died"
    )
    shared_cache_page_max_bytes: int = Field(
        16 * MEBIBYTE, ge=0, le=256 * MEBIBYTE, description="largest page that is shared, as JSON"
    )
    shared_cache_encrypted: bool = Field(
        default=True, description="pages are encrypted in the shared cache; else they are signed"
    )

    @field_validator("shared_cache_url")
    @classmethod
    def _under_one_secret(cls, url: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
        # What was wrong itself is not among the others, and is told by itself.
        if url is not None and others.data.get("caller_key_secret", url) is None:
            raise ValueError("needs CALLER_KEY_SECRET, the same in all processes")
        return url
