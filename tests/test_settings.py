"""Settings: defaults, sources, and the messages for mistakes."""

import os
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.settings import MEBIBYTE, REMOVED, Settings, SettingsError, header_lines
from gallery_gateway.upstream.proxy import Proxy

SECRET = "a-made-up-secret-of-32-characters"


@pytest.fixture(autouse=True)
def _empty_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("GALLERY_GATEWAY_"):
            monkeypatch.delenv(name)


def test_nothing_has_to_be_set() -> None:
    settings = Settings.read()

    assert str(settings.upstream_url) == "https://v2.api.piktid.com/"
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert settings.cache_ttl_seconds == 30
    assert settings.upstream_max_bytes == 64 * MEBIBYTE
    assert settings.caller_key_secret is None


def test_every_default_is_within_its_own_bounds() -> None:
    defaults = Settings.read().model_dump()

    assert Settings.read(**defaults).model_dump() == defaults


def test_every_setting_says_what_it_is_for() -> None:
    undescribed = [name for name, field in Settings.model_fields.items() if not field.description]

    assert undescribed == []


def test_a_setting_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_CACHE_TTL_SECONDS", "0")

    assert Settings.read().cache_ttl_seconds == 0


def test_a_setting_is_read_from_the_env_file() -> None:
    Path(".env").write_text("GALLERY_GATEWAY_PORT=8123\n")

    assert Settings.read().port == 8123


def test_the_environment_wins_over_the_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("GALLERY_GATEWAY_PORT=8123\n")
    monkeypatch.setenv("GALLERY_GATEWAY_PORT", "8124")

    assert Settings.read().port == 8124


def test_an_override_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_PORT", "8124")

    assert Settings.read(port=8125).port == 8125


def message_of(**overrides: object) -> str:
    """The message that the settings are refused with."""
    with pytest.raises(SettingsError) as caught:
        Settings.read(**overrides)
    return str(caught.value)


def test_variables_of_other_programs_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("OTHER=2\n")
    monkeypatch.setenv("GALLERY", "1")

    assert Settings.read() == Settings.read(_env_file=None)


def test_every_unknown_name_stops_the_start_with_the_name_that_was_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("GALLERY_GATEWAY_CORS_ORIGIN=https://7391.example\nGALLERY_GATEWAY_XYZZY=7391\n")
    monkeypatch.setenv("GALLERY_GATEWAY_CACHE_TTL", "7391")

    assert message_of(prot=7391).splitlines() == [
        "GALLERY_GATEWAY_CACHE_TTL: unknown; did you mean GALLERY_GATEWAY_CACHE_TTL_SECONDS?",
        "GALLERY_GATEWAY_CORS_ORIGIN: unknown; did you mean GALLERY_GATEWAY_CORS_ORIGINS?",
        "GALLERY_GATEWAY_PROT: unknown; did you mean GALLERY_GATEWAY_PORT?",
        "GALLERY_GATEWAY_XYZZY: unknown; see docs/settings.md",
    ]


def test_unknown_names_and_wrong_values_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_NOTHING", "1")
    monkeypatch.setenv("GALLERY_GATEWAY_PORT", "-1")

    names = [line.partition(":")[0] for line in message_of().splitlines()]

    assert names == ["GALLERY_GATEWAY_NOTHING", "GALLERY_GATEWAY_PORT"]


def test_a_removed_setting_says_what_became_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_CACHE_CALLER_MAX_BYTES", "7391")

    assert message_of() == (
        "GALLERY_GATEWAY_CACHE_CALLER_MAX_BYTES: removed; one caller gets a quarter of CACHE_MAX_BYTES"
    )


def test_the_changelog_lists_every_removed_setting() -> None:
    changelog = (Path(__file__).parent.parent / "docs" / "changelog.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \|[^|]+\|$", changelog, flags=re.MULTILINE)
    listed = [name.lower() for row in rows for name in re.findall(r"`([A-Z_]+)`", row)]

    assert sorted(listed) == sorted(REMOVED)


@pytest.mark.parametrize("name", ["VERIFY_TOKEN", "VERIFY_OTHER_TOKEN"])
def test_names_of_the_verification_are_reserved(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"GALLERY_GATEWAY_{name}", "made-up")

    assert Settings.read() == Settings.read(_env_file=None)


# As Kubernetes 1.34 sets them for Services named gallery-gateway and gallery-gateway-redis.
OF_SERVICES = {
    "SERVICE_HOST": "10.0.0.1",
    "SERVICE_PORT": "80",
    "SERVICE_PORT_HTTP": "80",
    "PORT": "tcp://10.0.0.1:80",
    "PORT_80_TCP": "tcp://10.0.0.1:80",
    "PORT_80_TCP_PROTO": "tcp",
    "PORT_80_TCP_PORT": "80",
    "PORT_80_TCP_ADDR": "10.0.0.1",
    "REDIS_SERVICE_HOST": "10.0.0.2",
    "REDIS_SERVICE_PORT": "6379",
    "REDIS_PORT": "tcp://10.0.0.2:6379",
    "REDIS_PORT_6379_TCP": "tcp://10.0.0.2:6379",
    "REDIS_PORT_6379_TCP_ADDR": "10.0.0.2",
}


def test_of_the_variables_that_kubernetes_sets_only_the_port_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in OF_SERVICES.items():
        monkeypatch.setenv(f"GALLERY_GATEWAY_{name}", value)

    (line,) = message_of().splitlines()

    assert line.startswith("GALLERY_GATEWAY_PORT: ")
    assert "enableServiceLinks: false" in line
    assert "rename the Service" in line
    assert "10.0.0.1" not in line


def test_a_pod_that_sets_its_port_is_not_stopped_by_the_variables_of_kubernetes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (OF_SERVICES | {"PORT": "8000"}).items():
        monkeypatch.setenv(f"GALLERY_GATEWAY_{name}", value)

    assert Settings.read() == Settings.read(_env_file=None)


# Why these: each of them is what a person types who knows the setting, but not its form.
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORT", "", "empty; remove it to use the default (from 0 to 65535)"),
        ("CALLER_KEY_SECRET", "", "empty; remove it to use the default"),
        ("UPSTREAM_URL", "7391.example", "needs a scheme, as in https://api.example"),
        ("UPSTREAM_URL", "localhost:7391", "needs a scheme, as in https://api.example"),
        ("UPSTREAM_URL", "https://7391.example/gallery/by-project", "must end before /gallery/by-project"),
        ("WORKERS", '"7391"', "the quotes are part of the value; remove them (from 1 to 64)"),
        (
            "UPSTREAM_TOTAL_TIMEOUT_SECONDS",
            "7391s",
            "must be a number of seconds without its unit (more than 0 to 600)",
        ),
        (
            "CACHE_MAX_BYTES",
            "7391 MB",
            "must be a number of bytes without its unit (from 0 to 1099511627776)",
        ),
        ("TRACES", "yes please 7391", "must be true or false"),
    ],
)
def test_a_common_mistake_has_a_message_of_its_own(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(f"GALLERY_GATEWAY_{name}", value)

    assert message_of() == f"GALLERY_GATEWAY_{name}: {message}"


def test_a_list_may_be_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_CORS_ORIGINS", "")

    assert Settings.read().cors_origins == ""


def test_secrets_are_read_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    (tmp_path / "url").write_text("redis://:made-up@cache:6379/0")
    monkeypatch.setenv("GALLERY_GATEWAY_CALLER_KEY_SECRET_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("GALLERY_GATEWAY_SHARED_CACHE_URL_FILE", str(tmp_path / "url"))

    settings = Settings.read()

    assert settings.caller_key_secret is not None
    assert settings.caller_key_secret.get_secret_value() == SECRET
    assert settings.shared_cache_url is not None
    assert settings.shared_cache_url.get_secret_value() == "redis://:made-up@cache:6379/0"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the file cannot be read (No such file or directory)"),
        (b"\xff7391", "the file cannot be read (not text in UTF-8)"),
        (b" \n", "the file is empty"),
    ],
)
def test_a_secret_file_without_a_secret_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    monkeypatch.setenv("GALLERY_GATEWAY_CALLER_KEY_SECRET_FILE", str(tmp_path / "secret"))

    assert message_of() == f"GALLERY_GATEWAY_CALLER_KEY_SECRET_FILE: {message}"


def test_a_secret_in_a_file_is_checked_like_any_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("too-short-7391")
    monkeypatch.setenv("GALLERY_GATEWAY_CALLER_KEY_SECRET_FILE", str(tmp_path / "secret"))

    message = message_of()

    assert message.startswith("GALLERY_GATEWAY_CALLER_KEY_SECRET: ")
    assert "7391" not in message


def test_a_secret_and_its_file_are_one_too_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    monkeypatch.setenv("GALLERY_GATEWAY_CALLER_KEY_SECRET", SECRET)
    monkeypatch.setenv("GALLERY_GATEWAY_CALLER_KEY_SECRET_FILE", str(tmp_path / "secret"))

    assert message_of() == (
        "GALLERY_GATEWAY_CALLER_KEY_SECRET_FILE:"
        " GALLERY_GATEWAY_CALLER_KEY_SECRET is set too; remove one of them"
    )


def test_only_secrets_are_read_from_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALLERY_GATEWAY_PORT_FILE", "/dev/null")

    assert message_of() == "GALLERY_GATEWAY_PORT_FILE: unknown; did you mean GALLERY_GATEWAY_PORT?"


def test_settings_cannot_be_changed() -> None:
    settings = Settings.read()

    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


WRONG = [
    ("UPSTREAM_URL", "", "empty"),
    ("UPSTREAM_URL", "no-url-7391", "needs a scheme"),
    ("UPSTREAM_URL", "ftp://7391.example", "'http' or 'https'"),
    ("UPSTREAM_URL", "https://user7391@api.example", "without user"),
    ("UPSTREAM_URL", "https://:7391@api.example", "without user"),
    ("UPSTREAM_URL", "https://api.example/?token=7391", "without user, query and fragment"),
    ("UPSTREAM_URL", "https://api.example/#7391", "without user, query and fragment"),
    ("PATH_PREFIX", "7391", "absolute path"),
    ("PATH_PREFIX", "/7391/", "without trailing slash"),
    ("UPSTREAM_HEADERS", "X-Key 7391", "Name: value"),
    ("UPSTREAM_PROXY_URL", "socks5://7391.example", "http://user:password@proxy.example:3128"),
    ("UPSTREAM_CA_FILE", "/7391.pem", "does not point to a file"),
    ("UPSTREAM_CA_FILE", __file__, "certificates in PEM"),
    ("UPSTREAM_CLIENT_CERT_FILE", "/7391.pem", "does not point to a file"),
    ("UPSTREAM_CLIENT_KEY_FILE", "/7391.pem", "does not point to a file"),
    ("UPSTREAM_CLIENT_KEY_FILE", __file__, "needs UPSTREAM_CLIENT_CERT_FILE"),
    ("UPSTREAM_CONNECT_TIMEOUT_SECONDS", "0", "(more than 0 to 60)"),
    ("UPSTREAM_CONNECT_TIMEOUT_SECONDS", "7391", "(more than 0 to 60)"),
    ("UPSTREAM_CONNECT_TIMEOUT_SECONDS", "nan", "(more than 0 to 60)"),
    ("UPSTREAM_FIRST_BYTE_TIMEOUT_SECONDS", "7391", "(more than 0 to 300)"),
    ("UPSTREAM_TOTAL_TIMEOUT_SECONDS", "7391", "(more than 0 to 600)"),
    ("UPSTREAM_TOTAL_TIMEOUT_SECONDS", "inf", "(more than 0 to 600)"),
    ("UPSTREAM_MAX_CONNECTIONS", "0", "(from 1 to 10000)"),
    ("UPSTREAM_MAX_BYTES", "739", "(from 1024 to 1073741824)"),
    ("UPSTREAM_ACCEPT_ENCODING", "br-7391", "'identity' or 'gzip'"),
    ("UPSTREAM_MAX_ATTEMPTS", "7391", "(from 1 to 10)"),
    ("OPERATION_TIMEOUT_SECONDS", "7391", "(more than 0 to 600)"),
    ("HOST", "", "empty"),
    ("PORT", "73910", "(from 0 to 65535)"),
    ("PORT", "port-7391", "(from 0 to 65535)"),
    ("PORT", "-1", "(from 0 to 65535)"),
    ("PORT", "7391.5", "(from 0 to 65535)"),
    ("WORKERS", "7391", "(from 1 to 64)"),
    ("SHUTDOWN_DELAY_SECONDS", "7391", "(from 0 to 120)"),
    ("SHUTDOWN_GRACE_SECONDS", "7391", "(from 0 to 600)"),
    ("LOG_LEVEL", "loud-7391", "'debug', 'info', 'warning' or 'error'"),
    ("LOG_FORMAT", "prose-7391", "'auto', 'json' or 'text'"),
    ("METRICS_PORT", "73910", "(from 0 to 65472)"),
    ("TRACES", "maybe-7391", "true or false"),
    ("GRAPHIQL", "maybe-7391", "true or false"),
    ("CSRF_PREVENTION", "7391", "true or false"),
    ("CORS_ORIGINS", "*", "origins as browsers send them"),
    ("CORS_ORIGINS", "https://7391.example/", "origins as browsers send them"),
    ("CORS_ORIGINS", "https://a.example,HTTPS://7391.example", "origins as browsers send them"),
    ("CORS_ORIGINS", "https://7391.example:443", "origins as browsers send them"),
    ("CORS_ORIGINS", "null", "origins as browsers send them"),
    ("ALLOWED_HOSTS", "7391.example:8000", "host names"),
    ("ALLOWED_HOSTS", "*.7391.example", "host names"),
    ("HSTS_MAX_AGE_SECONDS", "-7391", "(from 0 to 63072000)"),
    ("REQUEST_TIMEOUT_SECONDS", "7391", "(more than 0 to 600)"),
    ("KEEP_ALIVE_SECONDS", "7391", "(from 1 to 3600)"),
    ("MAX_DOCUMENT_TOKENS", "73", "(from 100 to 100000)"),
    ("INTROSPECTION", "maybe-7391", "true or false"),
    ("SERVICE_SDL", "maybe-7391", "true or false"),
    ("PERSISTED_QUERIES_MAX_BYTES", "-7391", "(from 0 to 67108864)"),
    ("TRUSTED_DOCUMENTS", "/nowhere/7391.json", "not point to a file"),
    ("CACHE_TTL_SECONDS", "-7391", "(from 0 to 86400)"),
    ("CACHE_MAX_BYTES", "-7391", "(from 0 to 1099511627776)"),
    ("CALLER_KEY_SECRET", "too-short-7391", "at least 32 characters, not 14"),
    ("GRAPHIQL_PATH", "", "empty"),
    ("GRAPHIQL_PATH", "7391", "an absolute path"),
    ("GRAPHIQL_PATH", "/a/../7391", "an absolute path"),
    ("GRAPHIQL_PATH", "/livez", "something else"),
    ("CACHE_UNFINISHED_TTL_SECONDS", "7391", "(from 0 to 3600)"),
    ("STALE_WHILE_REVALIDATE_SECONDS", "-7391", "(from 0 to 86400)"),
    ("STALE_IF_ERROR_SECONDS", "73910000", "(from 0 to 604800)"),
    ("NARROWING", "maybe-7391", "true or false"),
    ("OPERATION_MAX_CALLS", "7391", "(from 1 to 1000)"),
    ("OPERATION_MAX_IMAGES", "-7391", "(from 1 to 1000000)"),
    ("SHARED_CACHE_URL", "http://7391.example", "redis://"),
    ("SHARED_CACHE_URL", "redis://:7391@cache.example", "needs CALLER_KEY_SECRET"),
    ("REPORT_ALWAYS", "maybe-7391", "true or false"),
]


def test_every_setting_has_a_wrong_value_below() -> None:
    assert {name.lower() for name, _, _ in WRONG} == set(Settings.model_fields)


@pytest.mark.parametrize(("name", "value", "reported"), WRONG)
def test_a_wrong_value_is_reported_with_name_and_range_and_without_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, reported: str
) -> None:
    monkeypatch.setenv(f"GALLERY_GATEWAY_{name}", value)

    message = message_of()

    assert message.startswith(f"GALLERY_GATEWAY_{name}: ")
    assert reported in message
    assert "739" not in message


def test_every_wrong_setting_has_a_line_of_its_own() -> None:
    names = [line.partition(":")[0] for line in message_of(port=-1, workers=0).splitlines()]

    assert names == ["GALLERY_GATEWAY_PORT", "GALLERY_GATEWAY_WORKERS"]


def test_an_env_file_that_is_not_text_stops_the_start() -> None:
    Path(".env").write_bytes(b"GALLERY_GATEWAY_PORT=\xff\xfe\n")

    assert message_of() == ".env: not text in UTF-8"


@pytest.mark.parametrize("shown", [repr, str, lambda settings: str(settings.model_dump())])
def test_the_secret_is_never_shown(shown: object) -> None:
    settings = Settings.read(caller_key_secret=SECRET)

    assert callable(shown)
    assert SECRET not in shown(settings)


def test_a_wrong_setting_beside_a_secret_does_not_show_it() -> None:
    assert SECRET not in message_of(caller_key_secret=SECRET, port=-1)


PROXY_FORM = "must be a URL such as http://user:password@proxy.example:3128, without path"


@pytest.mark.parametrize(
    "url", ["http://proxy.example:3128", "http://user:pass%40word@proxy.example/", "http://[2001:db8::1]:80"]
)
def test_a_proxy_has_a_host_and_may_have_credentials(url: str) -> None:
    settings = Settings.read(upstream_proxy_url=url)

    assert settings.upstream_proxy_url is not None
    assert "pass" not in repr(settings)
    Proxy(settings.upstream_proxy_url.get_secret_value())


@pytest.mark.parametrize(
    "url",
    [
        "proxy.example:3128",
        "https://user:7391@proxy.example",
        "socks5://user:7391@proxy.example",
        "http://user:7391@",
        "http://user:7391@proxy.example/path",
        "http://user:7391@proxy.example?query",
        "http://us%3Aer:7391@proxy.example",
        "http://user:7391@proxy.example:99999",
    ],
)
def test_another_proxy_stops_the_start_without_its_password(url: str) -> None:
    assert message_of(upstream_proxy_url=url) == f"GALLERY_GATEWAY_UPSTREAM_PROXY_URL: {PROXY_FORM}"


def test_headers_are_read_one_from_each_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "headers").write_text("X-Api-Key: made up, 1\r\n\n  X-Tenant:2\n")
    monkeypatch.setenv("GALLERY_GATEWAY_UPSTREAM_HEADERS_FILE", str(tmp_path / "headers"))

    settings = Settings.read()

    assert settings.upstream_headers is not None
    headers = header_lines(settings.upstream_headers.get_secret_value())
    assert headers == [("x-api-key", "made up, 1"), ("x-tenant", "2")]
    assert "made up" not in repr(settings)


@pytest.mark.parametrize(
    "text", ["7391", "X-Key:", "X Key: 7391", ": 7391", "X-Key: 73\r91", "X-Key: 73\x0091", "X: \u00e9"]
)
def test_a_line_that_is_no_header_stops_the_start_without_its_value(text: str) -> None:
    message = message_of(upstream_headers=text)

    assert message == "GALLERY_GATEWAY_UPSTREAM_HEADERS: must be lines of the form Name: value, in ASCII"


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "Authorization",
        "Accept",
        "User-Agent",
        "X-Request-ID",
        "Traceparent",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Proxy-Authorization",
        "Content-Length",
        "If-None-Match",
        "Range",
    ],
)
def test_a_header_of_the_gateway_or_of_a_connection_stops_the_start(name: str) -> None:
    message = message_of(upstream_headers=f"X-Key: 7391\n{name}: 7391")

    assert message == f"GALLERY_GATEWAY_UPSTREAM_HEADERS: must not hold the header {name.lower()}"


@given(st.text("XaU: \t\r\n\0\x0b\x85\u2028\u00e9"))
def test_whatever_the_headers_are_none_holds_a_control_character(text: str) -> None:
    with suppress(ValueError):
        headers = header_lines(text)

        assert not re.search(r"[^\t\x20-\x7e]", "".join(name + value for name, value in headers))
