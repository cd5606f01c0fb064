"""Parses the query string of a gallery request, and reports all of its errors at once."""

import re
from dataclasses import dataclass
from typing import TypeVar

from starlette.datastructures import QueryParams

# Eighteen digits fit into 64 bits, and bound the cost of the conversion.
_INTEGER = re.compile(r"-?[0-9]{1,18}")

_Default = TypeVar("_Default", int, str, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """A valid request with the contract's defaults; `None` stands for an absent parameter."""

    page: int
    per_page: int
    order: str
    project_id: int | None
    status: str | None
    feedback: frozenset[str]
    sort_by: str
    ownership: str | None
    max_images_per_project: int
    search: str | None

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


class _QueryParser:
    """Parses parameters one by one and collects their errors."""

    def __init__(self, query: QueryParams) -> None:
        self._query = query
        self.errors: list[tuple[str, str]] = []

    def integer(
        self, name: str, default: _Default, minimum: int | None = None, maximum: int | None = None
    ) -> int | _Default:
        text = self._query.get(name)
        if text is None:
            return default
        if not _INTEGER.fullmatch(text):
            return self._invalid(name, "Not a valid integer.", default)
        number = int(text)
        if minimum is not None and number < minimum:
            return self._invalid(name, f"Must be at least {minimum}.", default)
        if maximum is not None and number > maximum:
            return self._invalid(name, f"Must be at most {maximum}.", default)
        return number

    def choice(self, name: str, default: _Default, *choices: str) -> str | _Default:
        word = self._query.get(name)
        if word is None or word in choices:
            return default if word is None else word
        return self._invalid(name, f"Must be one of: {', '.join(choices)}.", default)

    def texts(self, name: str) -> list[str]:
        """Return all values of a repeated parameter; an empty value is an error."""
        texts = self._query.getlist(name)
        if "" in texts:
            self.errors.append((name, "Must not be empty."))
        return texts

    def text(self, name: str) -> str | None:
        texts = self.texts(name)
        return texts[-1] if texts else None

    def _invalid(self, name: str, message: str, default: _Default) -> _Default:
        self.errors.append((name, message))
        return default


def parse_parameters(query: QueryParams) -> Parameters:
    """Parse a query string. Unknown parameters are ignored; the last value of a repeated one counts.

    Raises:
        InvalidParametersError: at least one parameter violates the contract.
    """
    parser = _QueryParser(query)
    parameters = Parameters(
        page=parser.integer("page", 1, 1),
        per_page=parser.integer("per_page", 20, 1, 100),
        order=parser.choice("order", "desc", "asc", "desc"),
        project_id=parser.integer("project_id", None),
        status=parser.text("status"),
        feedback=frozenset(parser.texts("feedback")),
        sort_by=parser.choice("sort_by", "original_filename", "original_filename", "quality_score"),
        ownership=parser.choice("ownership", None, "mine", "shared"),
        max_images_per_project=parser.integer("max_images_per_project", 50, 1, 200),
        search=parser.text("search"),
    )
    if parser.errors:
        raise InvalidParametersError(parser.errors)
    return parameters
