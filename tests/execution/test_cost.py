"""What an operation costs: the counted objects that its arguments allow for, with and without variables."""

import random
from typing import Any

import pytest
from graphql import OperationDefinitionNode, build_schema, parse

from gallery_gateway.execution.cost import Cost, CostLimit
from gallery_gateway.execution.costing import Costing
from gallery_gateway.execution.documents import Documents, PreparedDocument
from gallery_gateway.execution.limits import DocumentError
from gallery_gateway.execution.sizes import Size
from gallery_gateway.execution.validation import Validator
from tests.fakes import document_limits

SCHEMA = build_schema("""
type Query { shelf(books: Int! = 20, pages: Int! = 50): Shelf any(of: [Int!]!): [Thing]! thing: Thing }
interface Thing { id: ID }
type Shelf implements Thing { id: ID books: [Book!]! }
type Book implements Thing { id: ID pages(first: Int): [Page!]! also: [Book!]! }
type Page { number: Int text: String }
""")
SIZES = {
    "Query.shelf": {
        "Shelf.books": Size(argument="books", most=100),
        "Book.pages": Size(argument="pages", most=200),
    },
    "Query.any": {"Query.any": Size(argument="of", most=30), "Book.pages": Size(most=50)},
    "Query.thing": {"Book.pages": Size(most=50), "Shelf.books": Size(most=10)},
    "Book.pages": {"Book.pages": Size(argument="first", most=200)},
}  # fmt: skip
PAGES = "books { pages { number } }"
FRAGMENT = f"fragment F on Shelf {{ {PAGES} }}"


def documents(most: int) -> Documents:
    limit = CostLimit(most, "pages", "SETTING")
    costing = Costing(SCHEMA, limit, sizes=SIZES, counted=frozenset({"Book.pages"}))
    return Documents(Validator(SCHEMA, document_limits()), max_bytes=10_000, costing=costing)


def cost(text: str) -> Cost:
    limit = CostLimit(0, "pages", "SETTING")
    costing = Costing(SCHEMA, limit, sizes=SIZES, counted=frozenset({"Book.pages"}))
    ((_, cost),) = costing.costs(parse(text))
    return cost


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("{ thing { id } }", 0),
        ("{ shelf { id books { id } } }", 0),
        (f"{{ shelf {{ {PAGES} }} }}", 20 * 50),
        (f"{{ shelf(books: 3) {{ {PAGES} }} }}", 3 * 50),
        (f"{{ shelf(books: 3, pages: 7) {{ {PAGES} }} }}", 3 * 7),
        ("{ shelf(books: 3, pages: 7) { books { pages(first: 5) { number } } } }", 3 * 5),
        ("{ shelf(books: 3, pages: 7) { books { pages(first: 9) { number } } } }", 3 * 7),
        ("{ shelf(books: 3, pages: 7) { books { pages(first: null) { number } } } }", 3 * 7),
        (f"{{ shelf(books: 1000, pages: 1000) {{ {PAGES} }} }}", 100 * 200),
        (f"{{ shelf(books: -5) {{ {PAGES} }} }}", 0),
        (f"{{ a: shelf(books: 1) {{ {PAGES} }} b: shelf(books: 2) {{ {PAGES} }} }}", 50 + 2 * 50),
        ("{ shelf(books: 1) { books { a: pages(first: 1) { number } b: pages(first: 2) { number } } } }", 3),
        # What is under one response key is one list, however often it is selected.
        (f"{{ shelf {{ {PAGES} {PAGES} ...F ...F ...{{ {PAGES} }} }} }} {FRAGMENT}", 1000),
        ("{ any(of: [1, 2, 3]) { ... on Book { pages { number } } } }", 3 * 50),
        ("{ any(of: [1, 2, 3]) { ...F } } fragment F on Book { pages(first: 2) { number } }", 3 * 2),
        (f"{{ thing {{ ... on Book {{ pages {{ number }} }} ... on Shelf {{ {PAGES} }} }} }}", 50 + 500),
        ("{ __schema { types { name } } thing { ... on Book { also { pages { number } } } } }", 50),
    ],
)  # fmt: skip
def test_a_cost_is_what_the_arguments_allow_for(text: str, least: int) -> None:
    assert (cost(text).least, cost(text).most) == (least, least)


VARIABLE = """
query($books: Int!, $pages: Int! = 10, $few: Int) {
  shelf(books: $books, pages: $pages) { books { pages(first: $few) { number } } }
}
"""


@pytest.mark.parametrize(
    ("variables", "value"),
    [
        ({"books": 3}, 3 * 10),
        ({"books": 3, "pages": 7}, 3 * 7),
        ({"books": 3, "pages": 7, "few": 2}, 3 * 2),
        ({"books": 3, "pages": 7, "few": 20}, 3 * 7),
        ({"books": 3, "pages": 7, "few": None}, 3 * 7),
        ({"books": 10**9, "pages": 10**9}, 100 * 200),
        ({"books": 3.0, "pages": 7}, 3 * 7),
        ({"books": "3", "pages": [], "few": {}}, 100 * 0),
        ({}, 20 * 10),
        (None, 20 * 10),
    ],
)
def test_variables_have_their_say_at_each_run(variables: dict[str, Any] | None, value: int) -> None:
    found = cost(VARIABLE)

    assert found.value(variables) == value
    assert (found.least, found.most) == (0, 100 * 200)


def test_the_length_of_a_list_in_a_variable_counts() -> None:
    text = "query($of: [Int!]!) { any(of: $of) { ... on Book { pages { number } } } }"

    assert cost(text).value({"of": [1, 2]}) == 2 * 50


def operation(prepared: PreparedDocument) -> OperationDefinitionNode:
    return prepared.operation(None)


def test_as_much_as_is_allowed_is_prepared_and_one_more_is_not() -> None:
    text = f"{{ shelf {{ {PAGES} }} }}"

    assert documents(1000).prepare(text).costs == {}
    with pytest.raises(DocumentError, match="more than 999 pages") as caught:
        documents(999).prepare(text)
    assert "SETTING" in str(caught.value)
    assert (caught.value.errors[0].extensions or {})["code"] == "GRAPHQL_VALIDATION_FAILED"


def test_as_much_as_is_allowed_is_run_and_one_more_is_not() -> None:
    prepared = documents(30).prepare(VARIABLE)

    prepared.check_cost(operation(prepared), {"books": 3, "pages": 10})
    with pytest.raises(DocumentError, match="more than 30 pages"):
        prepared.check_cost(operation(prepared), {"books": 31, "pages": 1})


def test_nothing_is_left_to_check_at_a_run_where_no_variable_can_make_it_too_much() -> None:
    assert documents(100 * 200).prepare(VARIABLE).costs == {}
    assert documents(100 * 200 - 1).prepare(VARIABLE).costs != {}


@pytest.mark.parametrize("seed", range(50))
def test_a_cost_with_variables_is_that_of_the_same_operation_without(seed: int) -> None:
    chance = random.Random(seed)
    variables = {f"v{n}": chance.randrange(1, 60) for n in range(6)}
    roots = " ".join(
        f"s{n}: shelf(books: $v{chance.randrange(6)}, pages: $v{chance.randrange(6)}) {{ books {{"
        f" pages(first: $v{chance.randrange(6)}) {{ number }} }} }}"
        for n in range(4)
    )
    literal = roots
    for name, value in variables.items():
        literal = literal.replace(f"${name}", str(value))
    definitions = ", ".join(f"${name}: Int!" for name in variables)

    found = cost(f"query({definitions}) {{ {roots} }}").value(variables)

    assert found == cost(f"{{ {literal} }}").least
