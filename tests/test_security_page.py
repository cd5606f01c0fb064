"""The page about security tells every limit with the default that it has."""

import inspect
import re
from pathlib import Path

import pytest

from gallery_gateway.edge.event_stream import EventStreams
from gallery_gateway.settings import Settings

PAGE = (Path(__file__).parent.parent / "docs" / "security.md").read_text(encoding="utf-8")
TOLD = dict(re.findall(r"^\| `([A-Z_]+)` \| ([0-9.]+) \|", PAGE, flags=re.MULTILINE))
NAMES = list(Settings.model_fields)
GUARD = NAMES[NAMES.index("csrf_prevention") : NAMES.index("keep_alive_seconds") + 1]
LIMITS = [name for name in Settings.model_fields if re.match(r"(max_|operation_)", name)]


@pytest.mark.parametrize("name", LIMITS)
def test_each_limit_of_a_request_is_told(name: str) -> None:
    assert name.upper() in TOLD


@pytest.mark.parametrize(("name", "default"), TOLD.items())
def test_each_limit_is_told_with_its_default(name: str, default: str) -> None:
    assert Settings.model_fields[name.lower()].default == float(default)


@pytest.mark.parametrize("name", GUARD)
def test_each_setting_of_the_guard_is_explained(name: str) -> None:
    assert f"`{name.upper()}`" in PAGE


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        ("open streams of a caller", "max_streams_per_caller"),
        ("open streams of a process", "max_streams"),
    ],
)
def test_each_limit_of_streams_is_told(limit: str, name: str) -> None:
    default = inspect.signature(EventStreams).parameters[name].default

    assert f"| {limit} | {default} |" in PAGE


def test_each_setting_that_is_named_exists() -> None:
    named = re.findall(r"`([A-Z]+(?:_[A-Z]+)+)(?:=\w+)?`", PAGE)
    codes = {"GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT"}
    codes |= {
        "RATE_LIMITED",
        "PERSISTED_QUERY_NOT_FOUND",
        "PERSISTED_QUERY_NOT_IN_LIST",
        "QUERY_NOT_IN_SAFELIST",
    }

    assert {name.lower() for name in named if name not in codes} <= set(Settings.model_fields)
