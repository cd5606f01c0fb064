"""Documents: prepared once, found again by their text, refused with a code."""

import pytest
from graphql import GraphQLSchema, build_schema

from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.limits import DocumentError
from tests.fakes import document_limits

SCHEMA = build_schema(
    "type Query { one: Int me: Query add(to: [Int!]): Int } type Mutation { set: Int }",
)


def documents(
    *, max_bytes: int = 1_000_000, max_tokens: int = 1_000, schema: GraphQLSchema = SCHEMA
) -> Documents:
    limits = document_limits(tokens=max_tokens, bytes=1_000_000)
    return Documents(schema, limits, max_bytes=max_bytes)


def codes_of(error: DocumentError) -> list[object]:
    return [(each.extensions or {}).get("code") for each in error.errors]


def test_the_same_text_is_prepared_once() -> None:
    prepared = documents()
    first = prepared.prepare("{ one }")

    assert prepared.prepare("{ one }") is first


def test_another_text_is_another_document() -> None:
    prepared = documents()
    first = prepared.prepare("{ one }")

    assert prepared.prepare("{ one  }") is not first


def test_the_least_recently_used_document_goes_first() -> None:
    prepared = documents(max_bytes=14_000)
    first = prepared.prepare("{ a: one }")
    second = prepared.prepare("{ b: one }")
    prepared.prepare("{ a: one }")

    prepared.prepare("{ c: one }")

    assert prepared.prepare("{ a: one }") is first
    assert prepared.prepare("{ b: one }") is not second


def test_a_document_larger_than_the_budget_is_prepared_each_time() -> None:
    prepared = documents(max_bytes=6)

    assert prepared.prepare("{ one }") is not prepared.prepare("{ one }")


@pytest.mark.parametrize(
    "heavier",
    ["{ one me { one } }", "{ one } # " + "x" * 100, "{ one } # \U0001f5bc"],
    ids=["tokens", "text", "width"],
)
def test_a_document_weighs_its_tokens_and_what_its_text_takes(heavier: str) -> None:
    prepared = documents()

    assert prepared.prepare(heavier).weight_bytes > prepared.prepare("{ one } # .").weight_bytes


def test_plans_weigh_too_and_push_out_others() -> None:
    prepared = documents(max_bytes=20_000)
    first = prepared.prepare("{ a: one }")
    second = prepared.prepare("{ b: one }")

    second.plan_bytes = 10_000
    prepared.weigh(second)

    assert prepared.prepare("{ b: one }") is second
    assert prepared.prepare("{ a: one }") is not first


def test_a_document_whose_plans_outgrow_the_budget_goes() -> None:
    prepared = documents(max_bytes=20_000)
    first = prepared.prepare("{ a: one }")

    first.plan_bytes = 20_000
    prepared.weigh(first)

    assert len(prepared) == 0


def test_without_a_budget_nothing_is_kept() -> None:
    prepared = documents(max_bytes=0)

    assert prepared.prepare("{ one }") is not prepared.prepare("{ one }")


def refused(prepared: Documents, text: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        prepared.prepare(text)
    return caught.value


@pytest.mark.parametrize("text", ["{ two }", "{ ", "{ one @skip }"])
def test_a_refused_document_is_refused_again_without_being_looked_at(text: str) -> None:
    prepared = documents()
    first = refused(prepared, text)

    again = refused(prepared, text)

    assert again is not first
    assert again.errors[0] is first.errors[0]
    assert again.document is first.document


def test_refused_documents_push_out_no_prepared_one() -> None:
    prepared = documents(max_bytes=200_000)
    kept = prepared.prepare("{ one }")
    for number in range(500):
        refused(prepared, f"{{ unknown{number} }}")

    assert prepared.prepare("{ one }") is kept


def test_without_a_budget_no_refused_document_is_kept() -> None:
    prepared = documents(max_bytes=0)

    assert refused(prepared, "{ two }").errors[0] is not refused(prepared, "{ two }").errors[0]


@pytest.mark.parametrize("text", ["", " ", "# nothing", "{", "{ one", "{ one }}", "{one}\x00", "{ \ud800 }"])
def test_what_cannot_be_parsed_has_its_code(text: str) -> None:
    with pytest.raises(DocumentError) as caught:
        documents().prepare(text)

    assert codes_of(caught.value) == ["GRAPHQL_PARSE_FAILED"]


@pytest.mark.parametrize(
    "text",
    [
        "{ two }",
        "query($x: Int) { one }",
        "fragment F on Query { one }",
        "fragment F on Query { ...F } { ...F }",
        "subscription { one }",
        "type X { one: Int }",
        "{ one } { one }",
        "{ add(to: " + "9" * 5000 + ") }",
    ],
    ids=lambda text: text[:30],
)
def test_what_is_not_valid_has_its_code(text: str) -> None:
    with pytest.raises(DocumentError) as caught:
        documents().prepare(text)

    assert set(codes_of(caught.value)) == {"GRAPHQL_VALIDATION_FAILED"}


def test_everything_that_is_not_valid_is_told() -> None:
    with pytest.raises(DocumentError) as caught:
        documents().prepare("{ two three }")

    assert codes_of(caught.value) == ["GRAPHQL_VALIDATION_FAILED"] * 2


def test_a_document_of_as_many_tokens_as_may_be_is_prepared() -> None:
    text = "{ one one one one }"

    assert documents(max_tokens=6).prepare(text).text == text


def test_a_document_of_too_many_tokens_is_refused() -> None:
    with pytest.raises(DocumentError, match="more than 5 tokens") as caught:
        documents(max_tokens=5).prepare("{ one one one one }")

    assert codes_of(caught.value) == ["GRAPHQL_PARSE_FAILED"]


@pytest.mark.parametrize(
    "text",
    [
        "{ me " * 20_000 + "{ one }" + "}" * 20_000,
        "{ add(to: " + "[" * 20_000 + "]" * 20_000 + ") }",
        "query($x: " + "[" * 20_000 + "Int" + "]" * 20_000 + ") { one }",
        "{ ... " * 20_000 + "{ one }" + "}" * 20_000,
    ],
    ids=["fields", "lists", "types", "fragments"],
)
def test_a_document_that_is_nested_too_deeply_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match="nested too deeply") as caught:
        documents(max_tokens=100_000).prepare(text)

    assert codes_of(caught.value) == ["GRAPHQL_PARSE_FAILED"]


def test_fragments_chained_too_deeply_are_refused() -> None:
    chain = " ".join(f"fragment F{at} on Query {{ ...F{at + 1} }}" for at in range(3000))

    with pytest.raises(DocumentError):
        documents(max_tokens=100_000).prepare(chain + " fragment F3000 on Query { one } { ...F0 }")


def test_an_operation_is_found_by_its_name() -> None:
    operation = documents().prepare("query A { one } query B { one }").operation("B")

    assert operation.name
    assert operation.name.value == "B"


@pytest.mark.parametrize("text", ["{ one }", "query A { one }", "query A { ...F } fragment F on Query {one}"])
def test_the_only_operation_needs_no_name(text: str) -> None:
    prepared = documents().prepare(text)

    assert prepared.operation(None) is prepared.document.definitions[0]


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("query A { one } query B { one }", None, "several operations"),
        ("query A { one } query B { one }", "C", "named 'C'"),
        ("query A { one }", "B", "named 'B'"),
        ("{ one }", "A", "named 'A'"),
    ],
)
def test_an_operation_that_is_not_there_is_a_bad_request(text: str, name: str | None, message: str) -> None:
    prepared = documents().prepare(text)

    with pytest.raises(DocumentError, match=message) as caught:
        prepared.operation(name)

    assert codes_of(caught.value) == ["BAD_REQUEST"]
