"""The scalar BigInt: what responses hold, and what clients may send."""

from typing import Any

import pytest
from graphql import GraphQLError, parse, validate
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.errors import UpstreamContractError
from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.schema.scalars import parse_big_int, serialize_big_int

SAFE = 2**53 - 1


@pytest.mark.parametrize(
    ("value", "serialized"),
    [
        (7, 7),
        (0, 0),
        (-5, -5),
        (3_000_000_001, 3_000_000_001),
        (SAFE, SAFE),
        (-SAFE, -SAFE),
        (SAFE + 1, "9007199254740992"),
        (-SAFE - 1, "-9007199254740992"),
        (2**63, "9223372036854775808"),
        (10**40, "1" + "0" * 40),
    ],
)
def test_responses_hold_a_number_that_javascript_reads_exactly_or_a_string(
    value: int, serialized: Any
) -> None:
    assert (serialize_big_int(value), type(serialize_big_int(value))) == (serialized, type(serialized))


@pytest.mark.parametrize("value", [True, 7.0, 1.5, "7", "", [7], {}, float("nan")])
def test_what_is_no_integer_is_an_error_of_the_api(value: object) -> None:
    with pytest.raises(UpstreamContractError):
        serialize_big_int(value)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        (-5, -5),
        ("7", 7),
        ("-5", -5),
        ("0", 0),
        (7.0, 7),
        (3_000_000_001, 3_000_000_001),
        ("9007199254740993", 2**53 + 1),
        (2**63 - 1, 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_clients_send_a_number_or_a_string(value: object, number: int) -> None:
    assert (parse_big_int(value), type(parse_big_int(value))) == (number, int)


@pytest.mark.parametrize(
    "value",
    [
        *[True, None, 1.5, float("inf"), float("nan"), 2.0**60, 2**63, -(2**63) - 1, 10**5_000, [7], {}],
        *["", " 7", "7 ", "07", "+7", "-", "7.0", "1e3", "0x7", "seven", "\u0667", "7\n", "1_0"],
        *["9223372036854775808", "9" * 5_000],
    ],
    ids=lambda value: str(type(value).__name__) if isinstance(value, int) else str(value)[:20],
)
def test_clients_send_nothing_else(value: object) -> None:
    with pytest.raises(GraphQLError, match="at most 64 bits"):
        parse_big_int(value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_what_a_response_holds_may_be_sent_back(number: int) -> None:
    assert parse_big_int(serialize_big_int(number)) == number


@pytest.mark.parametrize("literal", ['"abc"', "99999999999999999999", "1.5", "true", "[7]", "{ a: 7 }"])
@pytest.mark.parametrize("field", ["project(projectId: {})", "gallery(projectId: {})"])
def test_the_error_of_a_literal_has_its_place(literal: str, field: str) -> None:
    document = parse(f"{{ {field.format(literal)} {{ __typename }} }}")

    [error] = validate(executable(build_schema()), document)

    assert error.locations == [(1, 3 + field.index("{}"))]
