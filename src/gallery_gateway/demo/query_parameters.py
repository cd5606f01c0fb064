"""Parses the query string of a gallery request, and reports all of its errors at once."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.datastructures import QueryParams

# Eighteen digits fit into 64 bits, and bound the cost of the conversion.
_INTEGER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """A valid request with the contract's defaults; `None` stands for an absent parameter."""

    page: int = 1
    per_page: int = 20
    order: str = "desc"
    project_id: int | None = None
    status: str | None = None
    feedback: frozenset[str] = frozenset()
    sort_by: str = "original_filename"
    ownership: str | None = None
    max_images_per_project: int = 50
    search: str | None = None

    @property
    def filters_images(self) -> bool:
        return self.status is not None or bool(self.feedback)


class InvalidParametersError(Exception):
    """A query string that violates the contract.

    Args:
        errors: the field and message of each error.
    """

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__(f"{len(errors)} invalid parameters")
        self.errors = errors


def _integer(values: list[str], *, minimum: int | None = None, maximum: int | None = None) -> int:
    if not _INTEGER.fullmatch(values[-1]):
        raise ValueError("Not a valid integer.")
    number = int(values[-1])
    if minimum is not None and number < minimum:
        raise ValueError(f"Must be at least {minimum}.")
    if maximum is not None and number > maximum:
        raise ValueError(f"Must be at most {maximum}.")
    return number


def _choice(values: list[str], *, choices: tuple[str, ...]) -> str:
    if values[-1] not in choices:
        raise ValueError(f"Must be one of: {', '.join(choices)}.")
    return values[-1]


def _texts(values: list[str]) -> frozenset[str]:
    if "" in values:
        raise ValueError("Must not be empty.")
    return frozenset(values)


def _text(values: list[str]) -> str:
    _texts(values)
    return values[-1]


# Each parser takes all values of its parameter; only `feedback` uses more than the last one.
_PARSERS: dict[str, Callable[[list[str]], object]] = {
    "page": partial(_integer, minimum=1),
    "per_page": partial(_integer, minimum=1, maximum=100),
    "order": partial(_choice, choices=("asc", "desc")),
    "project_id": _integer,
    "status": _text,
    "feedback": _texts,
    "sort_by": partial(_choice, choices=("original_filename", "quality_score")),
    "ownership": partial(_choice, choices=("mine", "shared")),
    "max_images_per_project": partial(_integer, minimum=1, maximum=200),
    "search": _text,
}


def parse_parameters(query: QueryParams) -> Parameters:
    """Parse a query string. Unknown parameters are ignored.

    Raises:
        InvalidParametersError: at least one parameter violates the contract.
    """
    valid: dict[str, Any] = {}
    errors = []
    for name, parse in _PARSERS.items():
        if values := query.getlist(name):
            try:
                valid[name] = parse(values)
            except ValueError as exc:
                errors.append((name, str(exc)))
    if errors:
        raise InvalidParametersError(errors)
    return Parameters(**valid)
