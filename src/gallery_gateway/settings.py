"""Settings, read once from the environment and `.env`: each with its unit, range and default."""

import re
from typing import Annotated, Literal, Self

from annotated_types import Ge, Gt, Le
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    FilePath,
    HttpUrl,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

MEBIBYTE = 1024 * 1024


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


# RFC 3986, section 2.3: what stands for itself in a path.
_PLAIN_PATH = re.compile(r"(/(?!\.\.?(/|$))[A-Za-z0-9._~-]+)+")
_TAKEN_PATHS = frozenset({"/livez", "/readyz", "/metrics"})


def _plain_path(path: str) -> str:
    if not _PLAIN_PATH.fullmatch(path):
        raise ValueError(
            "an absolute path without trailing slash, of letters, digits, - . _ ~ and /, such as /graphiql"
        )
    if path in _TAKEN_PATHS:
        raise ValueError("a path that the gateway serves something else at")
    return path


class EdgeSettings(BaseModel):
    """Requests of clients, and pages for browsers."""

    graphql_get: bool = Field(default=True, description="queries by GET as well as by POST")
    graphiql: bool = Field(default=True, description="GraphiQL for browsers")
    graphiql_path: Annotated[str, AfterValidator(_plain_path)] = Field(
        "/graphql", description="where browsers find GraphiQL"
    )
    max_body_bytes: int = Field(
        256 * 1024, ge=1024, le=16 * MEBIBYTE, description="largest GraphQL request body"
    )


# RFC 6454, section 6.2, as browsers write it: lower case, and no default port.
_ORIGIN = re.compile(r"https?://[a-z0-9._-]+(:\d{1,5})?|https?://\[[0-9a-f:.]+\](:\d{1,5})?")
_DEFAULT_PORT = re.compile(r"http:.*:80|https:.*:443")
_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")


def listed(text: str | None) -> tuple[str, ...]:
    """The members of a setting that holds a list."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _origins(text: str | None) -> str | None:
    for origin in listed(text):
        if not _ORIGIN.fullmatch(origin) or _DEFAULT_PORT.fullmatch(origin):
            raise ValueError(
                "origins as browsers send them, such as https://shop.example, separated by commas:"
                " no path, no default port, no *"
            )
    return text


def _hosts(text: str | None) -> str | None:
    if not all(_HOST.fullmatch(host) for host in listed(text)):
        raise ValueError("host names in lower case without a port, separated by commas")
    return text


class GuardSettings(BaseModel):
    """Requests that are refused before anything of them is used."""

    csrf_prevention: bool = Field(
        default=True, description="a GET that any web page could send is refused, as Apollo Server does it"
    )
    cors_origins: Annotated[str | None, AfterValidator(_origins)] = Field(
        None, description="origins whose pages may ask and read, separated by commas; by default none"
    )
    cors_max_age_seconds: int = Field(
        7_200, ge=0, le=86_400, description="how long browsers keep the answer to a preflight request"
    )
    allowed_hosts: Annotated[str | None, AfterValidator(_hosts)] = Field(
        None, description="names that the endpoint answers to, without port; by default any"
    )
    hsts_max_age_seconds: int = Field(
        0,
        ge=0,
        le=63_072_000,
        description="`Strict-Transport-Security`, where all is HTTPS; 0 = not sent",
    )
    max_head_bytes: int = Field(
        16_384, ge=1_024, le=262_144, description="largest request line with all headers"
    )
    request_timeout_seconds: float = Field(
        15.0,
        gt=0,
        le=600,
        description="time for a whole request to come, for the first to begin,"
        " and for a client to read some of its answer",
    )
    keep_alive_seconds: int = Field(
        65,
        ge=1,
        le=600,
        description="how long an idle connection is kept; longer than a proxy keeps it",
    )
    batch_max_operations: int = Field(
        0, ge=0, le=100, description="operations in one request, as a JSON array; 0 = no batches"
    )


class OperationSettings(BaseModel):
    """Documents, and the operations that are run of them."""

    max_document_tokens: int = Field(
        2_000,
        ge=100,
        le=100_000,
        description="longest GraphQL document, in lexical tokens; its other limits follow from it",
    )
    introspection: bool = Field(
        default=True, description="`__schema` and `__type`, and suggestions of names in errors"
    )
    service_sdl: bool = Field(default=True, description="`_service`, the SDL for federation routers")
    persisted_queries_max_bytes: int = Field(
        MEBIBYTE,
        ge=0,
        le=64 * MEBIBYTE,
        description="text of the automatic persisted queries that are kept; 0 = none",
    )
    trusted_documents: FilePath | None = Field(
        None, description="manifest of the only documents that are run; by default any document is"
    )
    narrowing: bool = Field(
        default=True,
        description="fewer images are asked for than the arguments say, if the operation selects fewer",
    )
    operation_timeout_seconds: float = Field(
        30.0, gt=0, le=600, description="time for one operation, all attempts and waiting included"
    )
    operation_max_calls: int = Field(
        20, ge=1, le=1_000, description="upstream calls of one operation, after merging and the cache"
    )
    operation_max_images: int = Field(
        20_000,
        ge=1,
        le=1_000_000,
        description="images that the upstream calls of one operation may return, and its response may hold",
    )
    report_always: bool = Field(default=False, description="`extensions.upstream` in every answer, unasked")


class ServingSettings(BaseModel):
    """The process and its workers."""

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    workers: int = Field(1, ge=1, le=64, description="processes")
    shutdown_delay_seconds: float = Field(
        0.0,
        ge=0,
        le=120,
        description="time between SIGTERM, when it stops being ready, and refusing connections",
    )
    shutdown_grace_seconds: int = Field(
        30, ge=0, le=600, description="time that operations under way get after SIGTERM"
    )


LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "text"]


class TelemetrySettings(BaseModel):
    """Logs, metrics and traces."""

    log_level: LogLevel = Field("info", description="least level that is logged")
    log_format: LogFormat = Field(
        "auto", description="`auto` is text on a terminal, and JSON anywhere else, one object a line"
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="port of `/metrics`, on the same address; 0 = no metrics"
    )
    metrics_max_operations: int = Field(
        100, ge=0, le=10_000, description="operations that are counted under names of their own"
    )
    traces: bool = Field(
        default=False, description="traces by OTLP, as the variables `OTEL_*` say; needs the extra `traces`"
    )


ENVIRONMENT_PREFIX = "GALLERY_GATEWAY_"


class SettingsError(ValueError):
    """One or more settings are wrong; the message names each with its range, never its value."""


# Fields come in the order of the bases, last first; pydantic-settings' own base has none.
class Settings(
    CacheSettings,
    OperationSettings,
    GuardSettings,
    EdgeSettings,
    TelemetrySettings,
    ServingSettings,
    UpstreamSettings,
    BaseSettings,
):
    """What an operator may choose; the tables of `docs/settings.md` are compared with it."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_file=".env", extra="ignore", frozen=True
    )

    @classmethod
    def read(cls, **overrides: object) -> Self:
        """Reads the environment.

        Raises:
            SettingsError: a value is out of its range.
        """
        try:
            return cls(**overrides)  # type: ignore[arg-type]  # pydantic checks each of them
        except ValidationError as exc:
            raise SettingsError(_explained(exc)) from None
        except UnicodeDecodeError:
            raise SettingsError(".env: not a text in UTF-8") from None


def _explained(exc: ValidationError) -> str:
    lines = []
    for error in exc.errors(include_url=False, include_input=False, include_context=False):
        name = str(error["loc"][0])
        lines.append(f"{ENVIRONMENT_PREFIX}{name.upper()}: {error['msg']}{_range(name)}")
    return "\n".join(lines)


def _range(name: str) -> str:
    """The whole of it: pydantic tells the bound that was crossed, or none where it is not a number."""
    bounds = Settings.model_fields[name].metadata
    told = [f"more than {bound.gt}" for bound in bounds if isinstance(bound, Gt)]
    told += [f"from {bound.ge}" for bound in bounds if isinstance(bound, Ge)]
    told += [f"to {bound.le}" for bound in bounds if isinstance(bound, Le)]
    return f" ({' '.join(told)})" if told else ""
