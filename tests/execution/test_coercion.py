"""Prepared coercion of variables and arguments: the values of graphql-core, or none at all."""

from collections.abc import Mapping
from typing import Any

import pytest
from graphql import (
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    get_argument_values,
    get_variable_values,
    parse,
)
from graphql.execution.values import VariableValues
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.execution.coercion import MisfitError, prepare_arguments, prepare_variables
from gallery_gateway.schema.build import build_schema, executable

SCHEMA = executable(build_schema())

# Each type of a variable with default values, and with values that fit, nearly fit, or do not fit.
DEFAULTS = {
    "Int": ["null", "7"],
    "Int!": ["7"],
    "Float": ["1.5"],
    "String": ["null", '"x"'],
    "String!": ['"x"'],
    "ID": ['"x"', "7"],
    "ID!": ['"x"'],
    "Boolean": ["true"],
    "SortOrder": ["ASC", "null"],
    "SortOrder!": ["ASC"],
    "Ownership": ["MINE"],
    "[String!]": ["null", "[]", '["x"]', '"x"'],
    "[String!]!": ['["x"]'],
    "[String]": ["[null]"],
    "[[Int]]": ["[[1], null]"],
}
VALUES = st.recursive(
    st.sampled_from(
        [None, True, False, 0, 7, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 7.0, 7.5, 1e400, "", "7"]
    )
    | st.sampled_from(["ASC", "DESC", "asc", "MINE", "original_filename", "true", "\ud800"])
    | st.text(max_size=3)
    | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


def operation_of(document: str) -> OperationDefinitionNode:
    operation = parse(document).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return operation


def field_of(operation: OperationDefinitionNode) -> FieldNode:
    field = operation.selection_set.selections[0]
    assert isinstance(field, FieldNode)
    return field


@st.composite
def definitions(draw: st.DrawFn) -> str:
    types = draw(st.lists(st.sampled_from(sorted(DEFAULTS)), min_size=1, max_size=4))
    written = []
    for number, type_ in enumerate(types):
        default = draw(st.sampled_from([None, *DEFAULTS[type_]]))
        written.append(f"$v{number}: {type_}" + (f" = {default}" if default is not None else ""))
    return f"query ({', '.join(written)}) {{ __typename }}"


RAW = st.dictionaries(st.sampled_from(["v0", "v1", "v2", "v3", "other"]), VALUES)


@given(document=definitions(), raw=RAW)
def test_variables_have_the_values_of_graphql_core_or_are_misfits(document: str, raw: dict[str, Any]) -> None:
    declared = operation_of(document).variable_definitions or ()

    expected = get_variable_values(SCHEMA, declared, raw)

    coerce = prepare_variables(SCHEMA, declared)
    if isinstance(expected, VariableValues):
        coerced = coerce(raw)
        assert coerced == expected.coerced
        assert kinds(coerced) == kinds(expected.coerced)
    else:
        with pytest.raises(MisfitError):
            coerce(raw)


def kinds(values: Mapping[str, object]) -> dict[str, type]:
    """The types of values, since True == 1 == 1.0."""
    return {name: type(value) for name, value in values.items()}


# Arguments of `gallery`, the types of variables that validation allows for them, and constants.
ARGUMENTS = {
    "page": (["Int", "Int!"], ["2", "null"]),
    "perPage": (["Int", "Int!"], ["3"]),
    "order": (["SortOrder", "SortOrder!"], ["ASC"]),
    "ownership": (["Ownership", "Ownership!"], ["MINE", "null"]),
    "status": (["String", "String!"], ['"done"', "null"]),
    "feedback": (["[String!]", "[String!]!"], ['["good"]', '"good"', "[]", "null"]),
    "search": (["String", "String!"], ['"a"']),
}


@st.composite
def fields(draw: st.DrawFn) -> str:
    declared, arguments = [], []
    for name in draw(st.lists(st.sampled_from(sorted(ARGUMENTS)), unique=True)):
        types, constants = ARGUMENTS[name]
        value = draw(st.sampled_from(["variable", *constants]))
        if value == "variable":
            declared.append(f"${name}: {draw(st.sampled_from(types))}")
            value = f"${name}"
        arguments.append(f"{name}: {value}")
    variables = f"({', '.join(declared)})" if declared else ""
    written = f"({', '.join(arguments)})" if arguments else ""
    return f"query Q{variables} {{ gallery{written} {{ __typename }} }}"


@given(document=fields(), coerced=st.dictionaries(st.sampled_from(sorted(ARGUMENTS)), VALUES))
def test_arguments_have_the_values_of_graphql_core_or_are_misfits(
    document: str, coerced: dict[str, Any]
) -> None:
    node = field_of(operation_of(document))
    definition = SCHEMA.query_type.fields["gallery"]  # type: ignore[union-attr]

    try:
        expected = get_argument_values(definition, node, VariableValues({}, coerced))
    except GraphQLError:
        expected = None

    try:
        coerce = prepare_arguments(definition, node)
        assert coerce is not None
        arguments = coerce(coerced)
    except (GraphQLError, MisfitError):
        assert expected is None
    else:
        assert arguments == expected
        assert kinds(arguments) == kinds(expected)


def test_a_required_argument_without_its_variable_is_a_misfit() -> None:
    operation = operation_of("query ($id: Int!) { project(projectId: $id) { id } }")
    definition = SCHEMA.query_type.fields["project"]  # type: ignore[union-attr]

    coerce = prepare_arguments(definition, field_of(operation))

    assert coerce is not None
    with pytest.raises(MisfitError):
        coerce({})
    with pytest.raises(MisfitError):
        coerce({"id": None})


def test_a_constant_that_does_not_fit_is_reported_when_it_is_prepared() -> None:
    node = field_of(operation_of('{ gallery(page: "one") { __typename } }'))

    with pytest.raises(GraphQLError):
        prepare_arguments(SCHEMA.query_type.fields["gallery"], node)  # type: ignore[union-attr]


def test_an_argument_with_a_variable_inside_is_left_to_graphql_core() -> None:
    node = field_of(operation_of('query ($v: String!) { gallery(feedback: ["a", $v]) { __typename } }'))

    assert prepare_arguments(SCHEMA.query_type.fields["gallery"], node) is None  # type: ignore[union-attr]
