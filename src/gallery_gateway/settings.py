"""Settings, read once from the environment and `.env`: each with its unit, range and default.

An unknown name or a wrong value stops the start, with one line for each mistake. The line names the setting
and its range, and never shows the value, which may be a secret.
"""

import re
import ssl
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Gt, Le
from pydantic import (
    AfterValidator,
    Field,
    FilePath,
    HttpUrl,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict

MEBIBYTE = 1024 * 1024

ENVIRONMENT_PREFIX = "GALLERY_GATEWAY_"

# Settings that can be read from a file, whose path is in NAME_FILE, as in the official Docker images. Docker
# and Kubernetes mount secrets as files, which `docker inspect` does not show, unlike variables.
_SECRETS = ("caller_key_secret", "shared_cache_url", "upstream_headers", "upstream_proxy_url")

# The prefix is ours, but these names are for the command `verify` alone.
_RESERVED = frozenset({"verify_token", "verify_other_token"})

# What became of the settings of earlier versions. docs/changelog.md holds the same table.
_REMOVED = {
    "it is a constant now": "upstream_read_timeout_seconds upstream_retry_first_wait_seconds"
    " upstream_retry_max_wait_seconds upstream_retry_percent upstream_retry_least_per_second"
    " upstream_slow_seconds upstream_breaker_failure_percent upstream_breaker_slow_percent"
    " upstream_breaker_least_calls upstream_breaker_window_seconds upstream_breaker_open_seconds"
    " upstream_queue_max_calls upstream_queue_timeout_seconds cors_max_age_seconds max_head_bytes"
    " max_body_bytes max_variable_values prepared_documents_max_bytes entities_max_representations"
    " link_margin_seconds shared_cache_lock_seconds shared_cache_page_max_bytes metrics_max_operations",
    "it follows from MAX_DOCUMENT_TOKENS now": "max_document_bytes max_document_depth max_document_fields"
    " max_document_aliases max_document_root_fields max_document_directives max_document_fragments"
    " max_document_comparisons",
    "GET is always accepted": "graphql_get",
    "array batching is gone; send one operation in each request": "batch_max_operations",
    "INTROSPECTION=false turns suggestions off": "suggestions",
    "OPERATION_MAX_IMAGES bounds the response too": "operation_max_cost",
    "one caller gets a quarter of CACHE_MAX_BYTES": "cache_caller_max_bytes",
    "it is 0.05 s, or the socket_timeout in the query of SHARED_CACHE_URL": "shared_cache_timeout_seconds",
    "pages in the shared cache are always encrypted": "shared_cache_encrypted",
}
REMOVED = {name: message for message, names in _REMOVED.items() for name in names.split()}


class SettingsError(ValueError):
    """One or more settings are wrong; the message has a line for each, without its value."""


def listed(text: str | None) -> tuple[str, ...]:
    """Return the members of a comma-separated setting."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _base_url(url: HttpUrl) -> HttpUrl:
    if url.query is not None or url.fragment is not None or url.username or url.password:
        raise ValueError("must be a URL without user, query and fragment; callers send their own tokens")
    if (url.path or "").rstrip("/").endswith("/gallery/by-project"):
        raise ValueError("must end before /gallery/by-project")
    return url


# RFC 9110, sections 5.1 and 5.5, in ASCII.
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e][\t\x20-\x7e]*)")

# The gateway sends these itself, or they are about one connection (RFC 9110, section 7.6.1), the body, or a
# part of the response.
_OWN_HEADERS = frozenset(
    listed(
        "accept, accept-encoding, authorization, baggage, connection, content-length, content-type, "
        "expect, host, keep-alive, proxy-authenticate, proxy-authorization, proxy-connection, "
        "range, te, traceparent, tracestate, trailer, transfer-encoding, upgrade, user-agent, "
        "x-request-id"
    )
)


def header_lines(text: str) -> list[tuple[str, str]]:
    """Return the names, in lower case, and values of `Name: value` lines.

    Raises:
        ValueError: a line is no header, or one that the gateway does not send for others. The message holds
            no value.
    """
    headers = []
    for line in filter(None, (line.strip(" \t\r") for line in text.split("\n"))):
        match = _HEADER.fullmatch(line)
        if match is None:
            raise ValueError("must be lines of the form Name: value, in ASCII")
        name = match[1].lower()
        if name in _OWN_HEADERS or name.startswith("if-"):
            raise ValueError(f"must not hold the header {name}")
        headers.append((name, match[2]))
    return headers


def _upstream_headers(text: SecretStr) -> SecretStr:
    header_lines(text.get_secret_value())
    return text


def _proxy_url(url: SecretStr) -> SecretStr:
    try:
        parsed = HttpUrl(url.get_secret_value())
    except ValidationError:
        parsed = HttpUrl("https://invalid")
    is_longer = parsed.path not in {None, "/"} or (parsed.query, parsed.fragment) != (None, None)
    # RFC 7617, section 2: a user cannot hold a colon.
    if parsed.scheme != "http" or is_longer or "%3a" in (parsed.username or "").lower():
        raise ValueError("must be a URL such as http://user:password@proxy.example:3128, without path")
    return SecretStr(str(parsed))


def _ca_file(path: Path) -> Path:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:
        raise ValueError("must be a readable file with certificates in PEM") from None
    return path


# RFC 3986, section 2.3: characters that need no escape in a path.
_PLAIN_PATH = re.compile(r"(/(?!\.\.?(/|$))[A-Za-z0-9._~-]+)+")


def _plain_path(path: str) -> str:
    if not _PLAIN_PATH.fullmatch(path):
        raise ValueError(
            "must be an absolute path without trailing slash, of letters, digits, - . _ ~ and /,"
            " such as /graphiql"
        )
    if path in {"/livez", "/readyz", "/metrics"}:
        raise ValueError("must not be a path at which the gateway serves something else")
    return path


# RFC 6454, section 6.2, as browsers write it: lower case, and no default port.
_ORIGIN = re.compile(r"https?://[a-z0-9._-]+(:\d{1,5})?|https?://\[[0-9a-f:.]+\](:\d{1,5})?")
_DEFAULT_PORT = re.compile(r"http:.*:80|https:.*:443")
_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")


def _origins(text: str | None) -> str | None:
    for origin in listed(text):
        if not _ORIGIN.fullmatch(origin) or _DEFAULT_PORT.fullmatch(origin):
            raise ValueError(
                "must be origins as browsers send them, such as https://shop.example, separated by commas:"
                " no path, no default port, no *"
            )
    return text


def _hosts(text: str | None) -> str | None:
    if not all(_HOST.fullmatch(host) for host in listed(text)):
        raise ValueError("must be host names in lower case without a port, separated by commas")
    return text


class Settings(BaseSettings):
    """The choices of an operator, with their rows in `docs/settings.md` as docstrings."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        env_file=".env",
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    # Calls of the REST API.

    upstream_url: Annotated[HttpUrl, AfterValidator(_base_url)] = HttpUrl("https://v2.api.piktid.com")
    """base URL of the REST API"""
    upstream_connect_timeout_seconds: float = Field(3.0, gt=0, le=60)
    """time to open a connection"""
    upstream_first_byte_timeout_seconds: float = Field(15.0, gt=0, le=300)
    """maximum silence before a response begins"""
    upstream_total_timeout_seconds: float = Field(30.0, gt=0, le=600)
    """time for one upstream call, from start to end"""
    upstream_max_connections: int = Field(100, ge=1, le=10_000)
    """open connections to the REST API, which is also the maximum number of concurrent calls; one caller
    alone gets two thirds"""
    upstream_max_bytes: int = Field(64 * MEBIBYTE, ge=1024, le=1024 * MEBIBYTE)
    """largest response body that is read, compressed or decompressed"""
    upstream_accept_encoding: Literal["identity", "gzip"] = "identity"
    """content coding to request; `gzip` pays off on slow links only"""
    upstream_max_attempts: int = Field(3, ge=1, le=10)
    """upstream calls for one page, retries included; 1 = no retries"""
    upstream_headers: Annotated[SecretStr, AfterValidator(_upstream_headers)] | None = None
    """headers of every upstream call, such as `X-Api-Key: …` for an API gateway, one on each line"""
    upstream_proxy_url: Annotated[SecretStr, AfterValidator(_proxy_url)] | None = None
    """HTTP proxy for all upstream calls, such as `http://user:password@proxy.example:3128`; variables such as
    `HTTPS_PROXY` are ignored"""
    upstream_ca_file: Annotated[FilePath, AfterValidator(_ca_file)] | None = None
    """certificates (PEM) of authorities to trust besides the public ones"""
    upstream_client_cert_file: FilePath | None = None
    """certificate (PEM) with which the gateway identifies itself, and its intermediate ones"""
    upstream_client_key_file: FilePath | None = Field(None, validate_default=True)
    """private key (PEM, without password) of that certificate; by default it is in the same file"""

    @field_validator("upstream_client_key_file")
    @classmethod
    def _check_client_key(cls, key: Path | None, others: ValidationInfo) -> Path | None:
        certificate = others.data.get("upstream_client_cert_file")
        if certificate is None:
            if key is not None and "upstream_client_cert_file" in others.data:
                raise ValueError("needs UPSTREAM_CLIENT_CERT_FILE")
            return key
        try:
            # With a password, because OpenSSL would ask for one on the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password="")
        except OSError:
            raise ValueError(
                "must be the key, without password, of the first certificate in UPSTREAM_CLIENT_CERT_FILE"
            ) from None
        return key

    # Cached pages.

    cache_ttl_seconds: float = Field(30.0, ge=0, le=86_400)
    """how long a page is fresh; 0 = no cache"""
    cache_max_bytes: int = Field(256 * MEBIBYTE, ge=0, le=1024 * 1024 * MEBIBYTE)
    """memory for the cached pages of one process; one caller gets at most a quarter"""
    cache_unfinished_ttl_seconds: float = Field(3.0, ge=0, le=3_600)
    """how long a page with pending images is fresh"""
    stale_while_revalidate_seconds: float = Field(30.0, ge=0, le=86_400)
    """how long a stale page is served while it is revalidated in the background"""
    stale_if_error_seconds: float = Field(3_600.0, ge=0, le=604_800)
    """how long a stale page is served when the REST API fails"""
    caller_key_secret: SecretStr | None = Field(None, min_length=32)
    """key of the HMAC that identifies callers; by default random for each process"""
    shared_cache_url: SecretStr | None = None
    """Redis or Valkey in which processes share pages, such as `redis://cache:6379/0`; needs
    `CALLER_KEY_SECRET`, the same in all processes"""

    @field_validator("shared_cache_url")
    @classmethod
    def _check_shared_cache(cls, url: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
        if url is None:
            return None
        if not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must be a URL with redis://, rediss:// or unix://")
        # An invalid secret is not among the others, and has a message of its own.
        if others.data.get("caller_key_secret", url) is None:
            raise ValueError("needs CALLER_KEY_SECRET, the same in all processes")
        return url

    # Requests of clients, and pages for browsers.

    path_prefix: Annotated[str, AfterValidator(_plain_path)] | None = None
    """path in front of all paths, such as `/gallery`, if the load balancer does not strip it; paths without
    it are served too"""
    graphiql: bool = True
    """GraphiQL for browsers"""
    graphiql_path: Annotated[str, AfterValidator(_plain_path)] = "/graphql"
    """path of GraphiQL"""

    # Requests that are rejected before they are read.

    csrf_prevention: bool = True
    """reject a GET that any web page could send, as Apollo Server does"""
    cors_origins: Annotated[str | None, AfterValidator(_origins)] = None
    """origins whose pages may send requests and read responses, separated by commas; by default none"""
    allowed_hosts: Annotated[str | None, AfterValidator(_hosts)] = None
    """accepted `Host` names without port, separated by commas; by default any. The probes accept any"""
    hsts_max_age_seconds: int = Field(0, ge=0, le=63_072_000)
    """`Strict-Transport-Security`, for hosts that serve nothing but HTTPS; 0 = not sent"""
    request_timeout_seconds: float = Field(15.0, gt=0, le=600)
    """time for a complete request to arrive, for the first one of a connection to begin, and for a client to
    read part of its response"""
    keep_alive_seconds: int = Field(65, ge=1, le=3_600)
    """how long an idle connection stays open; longer than the proxy in front keeps it"""

    # Documents, and the operations in them.

    max_document_tokens: int = Field(2_000, ge=100, le=100_000)
    """largest GraphQL document, in lexical tokens; its other limits follow from it"""
    introspection: bool = True
    """`__schema` and `__type`, and suggestions of names in errors"""
    service_sdl: bool = True
    """`_service`, the SDL for federation routers"""
    persisted_queries_max_bytes: int = Field(MEBIBYTE, ge=0, le=64 * MEBIBYTE)
    """memory for the text of automatic persisted queries; 0 = none"""
    trusted_documents: FilePath | None = None
    """manifest of the only documents that may run; by default any document may"""
    narrowing: bool = True
    """request fewer images than the arguments allow, if the operation selects fewer"""
    operation_timeout_seconds: float = Field(30.0, gt=0, le=600)
    """time for one operation, retries and waiting included"""
    operation_max_calls: int = Field(20, ge=1, le=1_000)
    """upstream calls of one operation, after merging and the cache"""
    operation_max_images: int = Field(20_000, ge=1, le=1_000_000)
    """images that the upstream calls of one operation may return, and its response may hold"""
    report_always: bool = False
    """`extensions.upstream` in every response, not only on request"""

    # The process and its workers.

    host: str = Field("127.0.0.1", min_length=1)
    """address to listen on"""
    port: int = Field(8000, ge=0, le=65535)
    """port to listen on; 0 takes a free one"""
    workers: int = Field(1, ge=1, le=64)
    """processes"""
    shutdown_delay_seconds: float = Field(0.0, ge=0, le=120)
    """time after SIGTERM in which the gateway is not ready, but still accepts connections"""
    shutdown_grace_seconds: int = Field(30, ge=0, le=600)
    """time after SIGTERM for running operations to finish"""

    # Logs, metrics and traces.

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """lowest level that is logged"""
    log_format: Literal["auto", "json", "text"] = "auto"
    """`auto` is text on a terminal, and JSON elsewhere, one object on each line"""
    # The upper bound leaves room for the ports of 64 workers.
    metrics_port: int = Field(0, ge=0, le=65_472)
    """port of `/metrics`, on the same address; each further worker takes the next port; 0 = no metrics"""
    traces: bool = False
    """OTLP traces, configured by the variables `OTEL_*`; needs the extra `traces`"""

    @classmethod
    def read(cls, **overrides: Any) -> Self:
        """Read the environment and `.env`; an override, by its Python name, wins over both.

        Raises:
            SettingsError: a name is unknown, or a value is wrong.
        """
        try:
            given = _environment(overrides.get("_env_file", cls.model_config.get("env_file")))
        except UnicodeDecodeError:
            raise SettingsError(".env: not text in UTF-8") from None
        overridden = {name for name in overrides if not name.startswith("_")}
        problems = _unknown(overridden | _set_by_people(given))
        values = {**_secrets_from_files(given), **overrides}
        try:
            settings = cls(**values)
        except ValidationError as exc:
            raise SettingsError("\n".join(problems + _explained(exc))) from None
        if problems:
            raise SettingsError("\n".join(problems))
        return settings


def verify_tokens(env_file: str | None = ".env") -> tuple[str | None, str | None]:
    """Return the tokens for `verify`, of which the gateway itself has none."""
    given = _environment(env_file)
    return given.get("verify_token") or None, given.get("verify_other_token") or None


def _environment(env_file: Any) -> dict[str, str]:
    """Return the variables with our prefix, by their names without it and in lower case."""
    given = {
        **DotEnvSettingsSource(Settings, env_file=env_file).env_vars,
        **EnvSettingsSource(Settings).env_vars,
    }
    prefix = ENVIRONMENT_PREFIX.lower()
    return {
        name.removeprefix(prefix): value or "" for name, value in given.items() if name.startswith(prefix)
    }


# Kubernetes describes each Service of a namespace in the environment of its pods. A Service named
# gallery-gateway sets GALLERY_GATEWAY_SERVICE_HOST, GALLERY_GATEWAY_PORT=tcp://10.0.0.1:80, and more.
_SERVICE_NAME = re.compile(
    r"(.+_)?(service_host|service_port(_.+)?|port_\d+_(tcp|udp|sctp)(_(proto|port|addr))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


def _set_by_people(given: Mapping[str, str]) -> set[str]:
    """Return the names that Kubernetes did not set."""
    return {
        name
        for name, value in given.items()
        if not _SERVICE_NAME.fullmatch(name) and not (_SERVICE_ADDRESS.match(value) and name.endswith("port"))
    }


def _unknown(names: Iterable[str]) -> list[str]:
    known = {*Settings.model_fields, *_RESERVED, *(f"{name}_file" for name in _SECRETS)}
    return [f"{_variable(name)}: {_instead_of(name)}" for name in sorted(set(names) - known)]


def _instead_of(name: str) -> str:
    if name in REMOVED:
        return f"removed; {REMOVED[name]}"
    similar = get_close_matches(name, Settings.model_fields, n=1)
    return f"unknown; did you mean {_variable(similar[0])}?" if similar else "unknown; see docs/settings.md"


def _secrets_from_files(given: Mapping[str, str]) -> dict[str, str]:
    """Return the contents of the files that `NAME_FILE` variables name, by NAME.

    Raises:
        SettingsError: a file is unreadable or empty, or its setting is given as well.
    """
    contents, problems = {}, []
    for name in _SECRETS:
        path = given.get(f"{name}_file")
        if path is None:
            continue
        try:
            contents[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "not text in UTF-8"
            problems.append(f"{_variable(name)}_FILE: the file cannot be read ({reason})")
            continue
        if not contents[name]:
            problems.append(f"{_variable(name)}_FILE: the file is empty")
        if name in given:
            problems.append(f"{_variable(name)}_FILE: {_variable(name)} is set too; remove one of them")
    if problems:
        raise SettingsError("\n".join(problems))
    return contents


def _explained(exc: ValidationError) -> list[str]:
    lines = []
    for error in exc.errors(include_url=False, include_context=False):
        name = str(error["loc"][0])
        message = _common_mistake(name, error["input"]) or error["msg"].removeprefix("Value error, ")
        # pydantic counts the characters of a secret as its items.
        message = message.replace(" items after validation", " characters")
        lines.append(f"{_variable(name)}: {message}{_range(name)}")
    return lines


_WITH_UNIT = re.compile(r"[\d._]+\s*[A-Za-z]+")


def _common_mistake(name: str, value: object) -> str | None:
    """Return what to do about one of the commonest mistakes, or None."""
    if not isinstance(value, str):
        return None
    kind = Settings.model_fields[name].annotation
    mistakes = (
        (not value, "empty; remove it to use the default"),
        (
            _SERVICE_ADDRESS.match(value),
            "set by Kubernetes for a Service; give the pod enableServiceLinks: false or rename the Service",
        ),
        # `docker run --env-file` passes on quotes that a shell would remove.
        (value.startswith(('"', "'")), "the quotes are part of the value; remove them"),
        (kind is bool, "must be true or false"),
        (
            kind in {int, float} and _WITH_UNIT.fullmatch(value),
            f"must be a number{_unit(name)} without its unit",
        ),
        (kind is HttpUrl and "://" not in value, "needs a scheme, as in https://api.example"),
    )
    return next((message for is_made, message in mistakes if is_made), None)


def _unit(name: str) -> str:
    unit = name.rpartition("_")[2]
    return f" of {unit}" if unit in {"seconds", "bytes"} else ""


def _range(name: str) -> str:
    """Return both bounds: pydantic names only the one that was crossed, or none."""
    bounds = Settings.model_fields[name].metadata
    parts = [f"more than {bound.gt}" for bound in bounds if isinstance(bound, Gt)]
    parts += [f"from {bound.ge}" for bound in bounds if isinstance(bound, Ge)]
    parts += [f"to {bound.le}" for bound in bounds if isinstance(bound, Le)]
    return f" ({' '.join(parts)})" if parts else ""


def _variable(name: str) -> str:
    return f"{ENVIRONMENT_PREFIX}{name.upper()}"
