"""Every setting: its unit, its bounds and its default, read from the environment once.

The names in the environment are those below in capitals, after `GALLERY_GATEWAY_`; a `.env` file
in the working directory is read too, and the environment wins over it.
"""

import re
from typing import Annotated, Literal, Self

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, Field, HttpUrl, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

ENVIRONMENT_PREFIX = "GALLERY_GATEWAY_"

MEBIBYTE = 1024 * 1024

LogLevel = Literal["debug", "info", "warning", "error"]


class SettingsError(ValueError):
    """One or more settings are wrong; the message names each with its range, never its value."""


def _without_query(url: HttpUrl) -> HttpUrl:
    if url.query is not None or url.fragment is not None or url.username or url.password:
        raise ValueError("a URL without user, query and fragment")
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


class Settings(BaseSettings):
    """What an operator may choose; `settings_table` in the README is compared with it."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_file=".env", extra="ignore", frozen=True
    )

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

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    workers: int = Field(1, ge=1, le=64, description="processes")
    shutdown_grace_seconds: int = Field(
        30, ge=0, le=600, description="time that operations under way get after SIGTERM"
    )
    log_level: LogLevel = Field("info", description="least level that is logged")

    graphql_get: bool = Field(default=True, description="queries by GET as well as by POST")
    graphiql: bool = Field(default=True, description="GraphiQL for browsers")
    graphiql_path: Annotated[str, AfterValidator(_plain_path)] = Field(
        "/graphql", description="where browsers find GraphiQL"
    )
    max_body_bytes: int = Field(
        256 * 1024, ge=1024, le=16 * MEBIBYTE, description="largest GraphQL request body"
    )
    max_document_tokens: int = Field(
        4_000, ge=100, le=100_000, description="longest GraphQL document, in lexical tokens"
    )
    prepared_documents_max_bytes: int = Field(
        MEBIBYTE,
        ge=0,
        le=64 * MEBIBYTE,
        description="text of the documents that are kept parsed and validated",
    )

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
    link_margin_seconds: float = Field(
        30.0, ge=0, le=3_600, description="how long before its expiry a link is no longer given out"
    )
    narrowing: bool = Field(
        default=True,
        description="fewer images are asked for than the arguments say, if the operation selects fewer",
    )
    operation_max_calls: int = Field(
        20, ge=1, le=1_000, description="upstream calls of one operation, after merging and the cache"
    )
    operation_max_images: int = Field(
        20_000, ge=1, le=1_000_000, description="images that the upstream calls of one operation may return"
    )
    report_always: bool = Field(default=False, description="`extensions.upstream` in every answer, unasked")
    caller_key_secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="key of the HMAC that tells callers apart; by default random for each process",
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
