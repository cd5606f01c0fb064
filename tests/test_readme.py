"""What the README and the page of settings say is what the code does."""

import re
from pathlib import Path
from typing import Any

import pytest
from annotated_types import Ge, Gt, Le, MinLen
from pydantic.fields import FieldInfo

from gallery_gateway.settings import ENVIRONMENT_PREFIX, MEBIBYTE, Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS_PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
ERRORS_PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")

SETTINGS_ROW = re.compile(r"^\| `([A-Z_]+)` \|(?:[^|\n]*\|){3}$", flags=re.MULTILINE)

ERROR_ROW = re.compile(r"^\| `[A-Z_]+` \|(?:[^|\n]*\|){2}$", flags=re.MULTILINE)


def settings_row(name: str, field: FieldInfo) -> str:
    meaning = " ".join((field.description or "").split())
    shown = [f"`{name.upper()}`", _default(field.default), _range(field), meaning]
    return "| " + " | ".join(shown) + " |"


def _default(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and value >= MEBIBYTE:
        return f"`{value}` ({value // MEBIBYTE} MiB)"
    return f"`{value}`".replace(".0`", "`").replace("com/`", "com`")


def _range(field: FieldInfo) -> str:
    if getattr(field.annotation, "__args__", None) and field.annotation is not None:
        choices = [a for a in field.annotation.__args__ if isinstance(a, str)]
        if choices:
            return ", ".join(f"`{choice}`" for choice in choices)
    if field.annotation is bool:
        return "`true`, `false`"
    return _bounds(field)


def _bounds(field: FieldInfo) -> str:
    bounds = []
    for bound in field.metadata:
        match bound:
            case Ge(least):
                bounds.append(_number(least))
            case Gt(least):
                bounds.append(f"above {_number(least)}")
            case Le(most):
                bounds.append(f"to {_number(most)}")
            case MinLen(least) if least > 1:
                bounds.append(f"{least} characters or more")
    return " ".join(bounds)


def _number(value: Any) -> str:
    return f"{int(value)}"


@pytest.mark.parametrize(("name", "field"), Settings.model_fields.items())
def test_each_setting_is_told_with_its_default_and_range(name: str, field: FieldInfo) -> None:
    assert settings_row(name, field) in SETTINGS_PAGE.splitlines()


def test_no_setting_is_told_that_there_is_not() -> None:
    told = [row[1].lower() for row in SETTINGS_ROW.finditer(SETTINGS_PAGE)]

    assert sorted(told) == sorted(Settings.model_fields)


def test_the_settings_in_the_readme_are_told_as_on_their_page() -> None:
    told = [row[0] for row in SETTINGS_ROW.finditer(README)]

    assert told
    assert set(told) <= set(SETTINGS_PAGE.splitlines())


def test_the_errors_in_the_readme_are_rows_of_their_page() -> None:
    rows = ERROR_ROW.findall(README)

    assert rows
    assert set(rows) <= set(ERRORS_PAGE.splitlines())


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_prefix_of_the_environment_is_told() -> None:
    assert f"`{ENVIRONMENT_PREFIX}" in README
