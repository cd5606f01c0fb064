"""Parses the query of the endpoint, and says everything that is wrong with it at once."""

import re
from dataclasses import dataclass
from typing import TypeVar

from starlette.datastructures import QueryParams

# Eighteen digits are within 64 bits, and are no work to convert.
_INTEGER = re.compile(r"-?[0-9]{1,18}")

_IntegerDefault = TypeVar("_IntegerDefault", int, None)
_WordDefault = TypeVar("_WordDefault", str, None)
_Instead = TypeVar("_Instead")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """A valid request, with the contract's defaults; None is an absent parameter."""

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


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one parameter."""

    field: str
    message: str


class InvalidParametersError(Exception):
    """A query that breaks the contract, with all its problems."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{len(problems)} invalid parameters")
        self.problems = problems


class _Reader:
    """Takes parameters out of a query one by one, and collects the problems on the way."""

    def __init__(self, query: QueryParams) -> None:
        self._query = query
        self.problems: list[Problem] = []

    def integer(
        self,
        name: str,
        default: _IntegerDefault,
        lowest: int | None = None,
        highest: int | None = None,
    ) -> int | _IntegerDefault:
        text = self._query.get(name)
        if text is None:
            return default
        if not _INTEGER.fullmatch(text):
            return self._refuse(name, "Not a valid integer.", default)
        number = int(text)
        if lowest is not None and number < lowest:
            return self._refuse(name, f"Must be at least {lowest}.", default)
        if highest is not None and number > highest:
            return self._refuse(name, f"Must be at most {highest}.", default)
        return number

    def choice(self, name: str, default: _WordDefault, *choices: str) -> str | _WordDefault:
        word = self._query.get(name)
        if word is None:
            return default
        if word not in choices:
            return self._refuse(name, f"Must be one of: {', '.join(choices)}.", default)
        return word

    def texts(self, name: str) -> list[str]:
        """All values of a repeated key. An empty one is refused: absent is how to say nothing."""
        texts = self._query.getlist(name)
        if "" in texts:
            return self._refuse(name, "Must not be empty.", texts)
        return texts

    def text(self, name: str) -> str | None:
        texts = self.texts(name)
        return texts[-1] if texts else None

    def _refuse(self, name: str, message: str, instead: _Instead) -> _Instead:
        self.problems.append(Problem(name, message))
        return instead


def parse_parameters(query: QueryParams) -> Parameters:
    """Parameters that the contract does not name are ignored; of a repeated key the last counts.

    Raises:
        InvalidParametersError: with every problem of the query.
    """
    reader = _Reader(query)
    parameters = Parameters(
        page=reader.integer("page", 1, 1),
        per_page=reader.integer("per_page", 20, 1, 100),
        order=reader.choice("order", "desc", "asc", "desc"),
        project_id=reader.integer("project_id", None),
        status=reader.text("status"),
        feedback=frozenset(reader.texts("feedback")),
        sort_by=reader.choice("sort_by", "original_filename", "original_filename", "quality_score"),
        ownership=reader.choice("ownership", None, "mine", "shared"),
        max_images_per_project=reader.integer("max_images_per_project", 50, 1, 200),
        search=reader.text("search"),
    )
    if reader.problems:
        raise InvalidParametersError(tuple(reader.problems))
    return parameters
