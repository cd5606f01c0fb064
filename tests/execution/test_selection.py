"""What is selected below a field, as execution itself will find it."""

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from graphql import ExecutionResult, GraphQLObjectType, GraphQLResolveInfo, build_schema, execute, parse

from gallery_gateway.execution.selection import Selection, root_fields, scope_of, selection_of

Seen = TypeVar("Seen")

SCHEMA = """
  type Query { shop(name: String): Shop thing: Thing }
  interface Thing { name: String }
  union Offer = Shop | Shelf
  type Shop implements Thing {
    name: String shelves(first: Int, sorted: Boolean = false): [Shelf!] offer: Offer
  }
  type Shelf implements Thing { name: String width: Int books(first: Int): [Book] }
  type Book { title: String }
"""


def seen(document: str, look: Callable[[GraphQLResolveInfo[Any]], Seen], **variables: Any) -> Seen:
    """What `look` makes of the info that the resolver of the root's one field is given."""
    looked: list[Seen] = []
    schema = build_schema(SCHEMA)
    query = schema.query_type
    assert query is not None

    def resolve(_root: Any, info: GraphQLResolveInfo[Any], **_arguments: Any) -> None:
        looked.append(look(info))

    for field in query.fields.values():
        field.resolve = resolve
    result = execute(schema, parse(document), variable_values=variables)
    assert isinstance(result, ExecutionResult)
    assert result.errors is None
    assert len(looked) == 1
    return looked[0]


def shop(info: GraphQLResolveInfo[Any]) -> Selection:
    return selection_of(info, "Shop")


def shelf_limits(info: GraphQLResolveInfo[Any]) -> list[object]:
    return [field.argument("first") for field in shop(info).fields("shelves")]


def test_a_field_that_is_not_selected_is_not_there() -> None:
    assert seen("{ shop { name } }", shelf_limits) == []


def test_each_alias_of_a_field_is_there() -> None:
    document = "{ shop { a: shelves(first: 1) { name } shelves(first: 2) { name } b: name } }"

    assert seen(document, shelf_limits) == [1, 2]


def test_an_alias_does_not_pass_for_the_field_of_its_name() -> None:
    assert seen("{ shop { shelves: name } }", shelf_limits) == []


def test_a_field_that_is_given_twice_is_one_with_both_selections() -> None:
    document = "{ shop { shelves { name } shelves { width } } shop { shelves { books { title } } } }"

    def look(info: GraphQLResolveInfo[Any]) -> list[list[bool]]:
        selections = [field.selection() for field in shop(info).fields("shelves")]
        return [[below.has_any(name) for name in ("name", "width", "books")] for below in selections]

    assert seen(document, look) == [[True, True, True]]


@pytest.mark.parametrize(
    "document",
    [
        "{ shop { ...S } } fragment S on Shop { shelves(first: 3) { name } }",
        "{ shop { ... on Shop { shelves(first: 3) { name } } } }",
        "{ shop { ... { shelves(first: 3) { name } } } }",
        "{ shop { ... on Thing { ... on Shop { shelves(first: 3) { name } } } } }",
        "{ ...Q } fragment Q on Query { shop { ...S } } fragment S on Shop { shelves(first: 3) { name } }",
        """{ shop { ...S ...T } } fragment S on Shop { ...T }
           fragment T on Shop { shelves(first: 3) { name } }""",
    ],
)
def test_fragments_are_looked_through(document: str) -> None:
    assert seen(document, shelf_limits) == [3]


def test_a_fragment_on_another_type_does_not_count() -> None:
    document = "{ thing { name ... on Shelf { width } ... on Shop { shelves(first: 4) { name } } } }"

    assert seen(document, shelf_limits) == [4]
    assert not seen(document, lambda info: shop(info).has_any("width"))


@pytest.mark.parametrize(
    ("directives", "counts"),
    [
        ("@skip(if: true)", False),
        ("@skip(if: false)", True),
        ("@include(if: false)", False),
        ("@include(if: true)", True),
        ("@skip(if: $yes)", False),
        ("@skip(if: $no)", True),
        ("@include(if: $yes) @skip(if: $yes)", False),
        ("@include(if: $yes) @skip(if: $no)", True),
    ],
)
@pytest.mark.parametrize(
    "selection", ["name shelves(first: 1) %s { name }", "name ... on Shop %s { shelves(first: 1) { name } }"]
)
def test_what_directives_leave_out_does_not_count(directives: str, selection: str, counts: bool) -> None:
    # Both variables are used, whatever the directives are.
    unused = "q: name @skip(if: $yes) r: name @skip(if: $no)"
    document = f"query Q($yes: Boolean!, $no: Boolean!) {{ shop {{ {selection % directives} {unused} }} }}"

    assert seen(document, shelf_limits, yes=True, no=False) == ([1] if counts else [])


def test_directives_on_the_field_itself_are_behind_us() -> None:
    document = "query Q($yes: Boolean!) { shop @include(if: $yes) { shelves(first: 1) { name } } }"

    assert seen(document, shelf_limits, yes=True) == [1]


@pytest.mark.parametrize(
    ("definition", "variables", "value"),
    [
        ("$n: Int", {"n": 5}, 5),
        ("$n: Int", {"n": None}, None),
        ("$n: Int", {}, None),
        ("$n: Int = 6", {}, 6),
        ("$n: Int = 6", {"n": 7}, 7),
    ],
)
def test_an_argument_is_what_its_variable_says(
    definition: str, variables: dict[str, Any], value: object
) -> None:
    document = f"query Q({definition}) {{ shop {{ shelves(first: $n) {{ name }} }} }}"

    assert seen(document, shelf_limits, **variables) == [value]


def test_an_argument_that_is_left_out_has_its_default() -> None:
    def look(info: GraphQLResolveInfo[Any]) -> list[object]:
        return [field.argument("sorted") for field in shop(info).fields("shelves")]

    assert seen("{ shop { shelves { name } } }", look) == [False]


def test_an_argument_that_execution_will_refuse_is_none() -> None:
    # Validation would not let it pass; execution does not validate.
    assert seen('{ shop { shelves(first: "many") { name } } }', shelf_limits) == [None]


def test_the_name_of_the_type_is_no_field_below() -> None:
    def look(info: GraphQLResolveInfo[Any]) -> bool:
        return shop(info).has_any("name", "shelves")

    assert not seen("{ shop { __typename } }", look)


def test_any_of_several_fields_is_enough() -> None:
    assert seen("{ shop { name } }", lambda info: shop(info).has_any("offer", "name"))


@pytest.mark.parametrize("type_name", ["Thing", "String", "Offer"])
def test_only_an_object_type_has_a_selection(type_name: str) -> None:
    def look(info: GraphQLResolveInfo[Any]) -> bool:
        with pytest.raises(TypeError):
            selection_of(info, type_name)
        return True

    assert seen("{ shop { name } }", look)


@pytest.mark.parametrize("field", ["name", "offer { __typename }"])
def test_a_field_of_no_object_type_has_no_selection(field: str) -> None:
    def look(info: GraphQLResolveInfo[Any]) -> bool:
        for selected in shop(info).fields(field.split(maxsplit=1)[0]):
            with pytest.raises(TypeError):
                selected.selection()
            return True
        return False

    assert isinstance(build_schema(SCHEMA).type_map["Shop"], GraphQLObjectType)
    assert seen(f"{{ shop {{ {field} }} }}", look)


def test_root_fields_stand_in_the_order_of_the_response() -> None:
    document = """query Q($no: Boolean!) { ...F a: __typename shop { name }
                    b: shop @include(if: $no) { name } }
                  fragment F on Query { z: __typename }"""

    def look(info: GraphQLResolveInfo[Any]) -> list[tuple[str, str]]:
        return [(key, field.name) for key, field in root_fields(scope_of(info)).items()]

    assert seen(document, look, no=False) == [("z", "__typename"), ("a", "__typename"), ("shop", "shop")]


def test_the_name_of_the_type_has_no_arguments() -> None:
    def look(info: GraphQLResolveInfo[Any]) -> dict[str, Any]:
        return shop(info).by_response_key["__typename"].arguments()

    assert seen("{ shop { __typename } }", look) == {}
