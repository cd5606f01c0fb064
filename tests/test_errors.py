"""The error table is complete, and `docs/errors.md` prints it as it is."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import gallery_gateway.app  # noqa: F401  # imports every module that defines an error
from gallery_gateway.errors import ERRORS, Consequences, GatewayError

PAGE = (Path(__file__).parents[1] / "docs" / "errors.md").read_text(encoding="utf-8")

HEAD = """\
| kind | cause | code | HTTP | reason | retried | breaker | lowers limit | stale | pauses | purges | log |
|---|---|---|---:|---|---|---|---|---|---|---|---|
"""


def shown(kind: str, row: Consequences) -> str:
    """Return the row as `docs/errors.md` prints it."""
    breaker = "no"
    if row.counts_for_breaker:
        breaker = "API" if row.is_unreachable else "caller, API"
    cells = [
        f"`{kind}`",
        row.cause,
        f"`{row.code}`",
        str(row.http_status),
        f"`{row.reason}`" if row.reason else "",
        yes_or_no(row.is_retried),
        breaker,
        yes_or_no(row.is_congestion),
        yes_or_no(row.allows_stale),
        yes_or_no(row.pauses_caller),
        yes_or_no(row.purges_caller),
        logging.getLevelName(row.log_level).lower(),
    ]
    return f"| {' | '.join(cells)} |\n"


def yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def error_classes(cls: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from error_classes(subclass)


def test_the_page_prints_the_table() -> None:
    assert HEAD + "".join(shown(kind, row) for kind, row in ERRORS.items()) in PAGE


def test_the_page_explains_every_code_and_no_other() -> None:
    codes, _ = PAGE.split("## Consequences")

    assert re.findall(r"^\| `([A-Z_]+)` \|", codes, re.MULTILINE) == list(
        dict.fromkeys(row.code for row in ERRORS.values())
    )


def test_each_class_has_the_code_of_its_row() -> None:
    classes = list(error_classes())

    assert len(classes) == 19
    assert all(cls.code == ERRORS[cls.kind].code for cls in classes)


def test_a_call_without_a_connection_counts_for_the_breaker_of_the_api() -> None:
    assert all(row.counts_for_breaker for row in ERRORS.values() if row.is_unreachable)
