"""Settings: defaults, where they are read from, and what is said of a wrong one."""

from pathlib import Path

import pytest

from gallery_gateway.settings import MEBIBYTE, Settings, SettingsError

SECRET = "a-made-up-secret-of-32-characters"


@pytest.fixture(autouse=True)
def _empty_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"GALLERY_GATEWAY_{name.upper()}", raising=False)


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


def test_what_is_no_setting_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("GALLERY_GATEWAY_NOTHING=1\nOTHER=2\n")
    monkeypatch.setenv("GALLERY_GATEWAY_NEITHER", "1")

    settings = Settings.read()

    assert settings == Settings.read(_env_file=None)
    assert settings.model_extra is None


def test_settings_cannot_be_changed() -> None:
    settings = Settings.read()

    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


WRONG = [
    ("UPSTREAM_URL", "", "valid URL"),
    ("UPSTREAM_URL", "no-url-7391", "valid URL"),
    ("UPSTREAM_URL", "ftp://7391.example", "'http' or 'https'"),
    ("UPSTREAM_URL", "https://user7391@api.example", "without user"),
    ("UPSTREAM_URL", "https://:7391@api.example", "without user"),
    ("UPSTREAM_URL", "https://api.example/?token=7391", "without user, query and fragment"),
    ("UPSTREAM_URL", "https://api.example/#7391", "without user, query and fragment"),
    ("UPSTREAM_CONNECT_TIMEOUT_SECONDS", "0", "(more than 0 to 60)"),
    ("UPSTREAM_CONNECT_TIMEOUT_SECONDS", "7391", "(more than 0 to 60)"),
    ("UPSTREAM_CONNECT_TIMEOUT_SECONDS", "nan", "(more than 0 to 60)"),
    ("UPSTREAM_FIRST_BYTE_TIMEOUT_SECONDS", "7391", "(more than 0 to 300)"),
    ("UPSTREAM_READ_TIMEOUT_SECONDS", "7391", "(more than 0 to 300)"),
    ("UPSTREAM_TOTAL_TIMEOUT_SECONDS", "7391", "(more than 0 to 600)"),
    ("UPSTREAM_TOTAL_TIMEOUT_SECONDS", "inf", "(more than 0 to 600)"),
    ("UPSTREAM_MAX_CONNECTIONS", "0", "(from 1 to 10000)"),
    ("UPSTREAM_MAX_BYTES", "739", "(from 1024 to 1073741824)"),
    ("UPSTREAM_ACCEPT_ENCODING", "br-7391", "'identity' or 'gzip'"),
    ("UPSTREAM_MAX_ATTEMPTS", "7391", "(from 1 to 10)"),
    ("UPSTREAM_RETRY_FIRST_WAIT_SECONDS", "7391", "(from 0 to 60)"),
    ("UPSTREAM_RETRY_MAX_WAIT_SECONDS", "7391", "(from 0 to 60)"),
    ("UPSTREAM_RETRY_PERCENT", "7391", "(from 0 to 100)"),
    ("UPSTREAM_RETRY_LEAST_PER_SECOND", "7391", "(from 0 to 1000)"),
    ("UPSTREAM_SLOW_SECONDS", "7391", "(more than 0 to 600)"),
    ("UPSTREAM_BREAKER_FAILURE_PERCENT", "7391", "(more than 0 to 100)"),
    ("UPSTREAM_BREAKER_SLOW_PERCENT", "-7391", "(more than 0 to 100)"),
    ("UPSTREAM_BREAKER_LEAST_CALLS", "-7391", "(from 1 to 100000)"),
    ("UPSTREAM_BREAKER_WINDOW_SECONDS", "7391", "(more than 0 to 600)"),
    ("UPSTREAM_BREAKER_OPEN_SECONDS", "7391", "(more than 0 to 600)"),
    ("UPSTREAM_QUEUE_MAX_CALLS", "-7391", "(from 0 to 1000000)"),
    ("UPSTREAM_QUEUE_TIMEOUT_SECONDS", "7391", "(more than 0 to 600)"),
    ("OPERATION_TIMEOUT_SECONDS", "7391", "(more than 0 to 600)"),
    ("HOST", "", "at least 1 character"),
    ("PORT", "73910", "(from 0 to 65535)"),
    ("PORT", "port-7391", "(from 0 to 65535)"),
    ("PORT", "-1", "(from 0 to 65535)"),
    ("PORT", "7391.5", "(from 0 to 65535)"),
    ("WORKERS", "7391", "(from 1 to 64)"),
    ("SHUTDOWN_DELAY_SECONDS", "7391", "(from 0 to 120)"),
    ("SHUTDOWN_GRACE_SECONDS", "7391", "(from 0 to 600)"),
    ("LOG_LEVEL", "loud-7391", "'debug', 'info', 'warning' or 'error'"),
    ("LOG_FORMAT", "prose-7391", "'auto', 'json' or 'text'"),
    ("METRICS_PORT", "73910", "(from 0 to 65535)"),
    ("METRICS_MAX_OPERATIONS", "73910", "(from 0 to 10000)"),
    ("TRACES", "maybe-7391", "valid boolean"),
    ("GRAPHQL_GET", "7391", "valid boolean"),
    ("GRAPHIQL", "maybe-7391", "valid boolean"),
    ("MAX_BODY_BYTES", "739", "(from 1024 to 16777216)"),
    ("CSRF_PREVENTION", "7391", "valid boolean"),
    ("CORS_ORIGINS", "*", "origins as browsers send them"),
    ("CORS_ORIGINS", "https://7391.example/", "origins as browsers send them"),
    ("CORS_ORIGINS", "https://a.example,HTTPS://7391.example", "origins as browsers send them"),
    ("CORS_ORIGINS", "https://7391.example:443", "origins as browsers send them"),
    ("CORS_ORIGINS", "null", "origins as browsers send them"),
    ("CORS_MAX_AGE_SECONDS", "-7391", "(from 0 to 86400)"),
    ("ALLOWED_HOSTS", "7391.example:8000", "host names"),
    ("ALLOWED_HOSTS", "*.7391.example", "host names"),
    ("HSTS_MAX_AGE_SECONDS", "-7391", "(from 0 to 63072000)"),
    ("MAX_HEAD_BYTES", "739", "(from 1024 to 262144)"),
    ("REQUEST_TIMEOUT_SECONDS", "7391", "(more than 0 to 600)"),
    ("KEEP_ALIVE_SECONDS", "7391", "(from 1 to 600)"),
    ("BATCH_MAX_OPERATIONS", "7391", "(from 0 to 100)"),
    ("MAX_DOCUMENT_TOKENS", "73", "(from 100 to 100000)"),
    ("INTROSPECTION", "maybe-7391", "valid boolean"),
    ("SERVICE_SDL", "maybe-7391", "valid boolean"),
    ("PERSISTED_QUERIES_MAX_BYTES", "-7391", "(from 0 to 67108864)"),
    ("TRUSTED_DOCUMENTS", "/nowhere/7391.json", "not point to a file"),
    ("CACHE_TTL_SECONDS", "-7391", "(from 0 to 86400)"),
    ("CACHE_MAX_BYTES", "-7391", "(from 0 to 1099511627776)"),
    ("CALLER_KEY_SECRET", "too-short-7391", "at least 32"),
    ("GRAPHIQL_PATH", "", "an absolute path"),
    ("GRAPHIQL_PATH", "7391", "an absolute path"),
    ("GRAPHIQL_PATH", "/a/../7391", "an absolute path"),
    ("GRAPHIQL_PATH", "/livez", "something else"),
    ("CACHE_CALLER_MAX_BYTES", "-7391", "(from 0 to 1099511627776)"),
    ("CACHE_UNFINISHED_TTL_SECONDS", "7391", "(from 0 to 3600)"),
    ("STALE_WHILE_REVALIDATE_SECONDS", "-7391", "(from 0 to 86400)"),
    ("STALE_IF_ERROR_SECONDS", "73910000", "(from 0 to 604800)"),
    ("LINK_MARGIN_SECONDS", "7391", "(from 0 to 3600)"),
    ("NARROWING", "maybe-7391", "valid boolean"),
    ("OPERATION_MAX_CALLS", "7391", "(from 1 to 1000)"),
    ("OPERATION_MAX_IMAGES", "-7391", "(from 1 to 1000000)"),
    ("SHARED_CACHE_URL", "http://7391.example", "redis://"),
    ("SHARED_CACHE_URL", "redis://:7391@cache.example", "needs CALLER_KEY_SECRET"),
    ("SHARED_CACHE_TIMEOUT_SECONDS", "7391", "(more than 0 to 5)"),
    ("SHARED_CACHE_LOCK_SECONDS", "7391", "(from 1 to 60)"),
    ("SHARED_CACHE_PAGE_MAX_BYTES", "-7391", "(from 0 to 268435456)"),
    ("SHARED_CACHE_ENCRYPTED", "maybe-7391", "valid boolean"),
    ("REPORT_ALWAYS", "maybe-7391", "valid boolean"),
]


def test_every_setting_has_a_wrong_value_below() -> None:
    assert {name.lower() for name, _, _ in WRONG} == set(Settings.model_fields)


@pytest.mark.parametrize(("name", "value", "told"), WRONG)
def test_a_wrong_value_is_told_by_name_and_range_and_not_by_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(f"GALLERY_GATEWAY_{name}", value)

    with pytest.raises(SettingsError) as caught:
        Settings.read()

    message = str(caught.value)
    assert message.startswith(f"GALLERY_GATEWAY_{name}: ")
    assert told in message
    assert "739" not in message


def test_every_wrong_setting_is_told_on_a_line_of_its_own() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.read(port=-1, workers=0)

    names = [line.partition(":")[0] for line in str(caught.value).splitlines()]
    assert names == ["GALLERY_GATEWAY_PORT", "GALLERY_GATEWAY_WORKERS"]


def test_an_env_file_that_is_no_text_is_told() -> None:
    Path(".env").write_bytes(b"GALLERY_GATEWAY_PORT=\xff\xfe\n")

    with pytest.raises(SettingsError, match=r"\.env"):
        Settings.read()


@pytest.mark.parametrize("shown", [repr, str, lambda settings: str(settings.model_dump())])
def test_the_secret_is_never_shown(shown: object) -> None:
    settings = Settings.read(caller_key_secret=SECRET)

    assert callable(shown)
    assert SECRET not in shown(settings)


def test_a_wrong_setting_beside_a_secret_does_not_show_it() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.read(caller_key_secret=SECRET, port=-1)

    assert SECRET not in str(caught.value)
