"""What a document may be: each limit at its edge, introspection, and that the pass is linear."""

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    OperationDefinitionNode,
    SelectionSetNode,
    build_schema,
    get_introspection_query,
    parse,
)
from graphql.language import Lexer, Source, TokenKind
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.limits import (
    DocumentError,
    DocumentLimits,
    Expansion,
    check_document,
    significant,
    tokens_of,
)
from tests.execution.generated import OperationWriter
from tests.fakes import document_limits

SCHEMA = build_schema("type Query { one: Int me: Query add(to: [Int!]): Int }")

# Made so that exactly so many of what is limited are in it, and as little as can be of the rest.
EDGES: dict[str, tuple[int, Callable[[int], str]]] = {
    "bytes": (100, "{ one }".ljust),
    "tokens": (100, lambda count: "{ me {" + " one" * (count - 5) + "} }"),
    "depth": (6, lambda count: "{ me " * (count - 1) + "{ one }" + "}" * (count - 1)),
    "fields": (
        60,
        lambda count: (
            "{ me { me {" + " one" * (count - 6) + "} ...F ...F } } fragment F on Query { one one }"
        ),
    ),
    "aliases": (5, lambda count: "{ " + " ".join(f"a{n}: one" for n in range(count)) + " }"),
    "root_fields": (
        7,
        lambda count: "{ ...F one ...{ one } } fragment F on Query {" + " one" * (count - 2) + "}",
    ),
    "directives": (8, lambda count: "{" + " one @skip(if: true)" * count + "}"),
    "fragments": (
        10,
        lambda count: "{ one" + " ...F" * (count - 1) + " ...{ one } } fragment F on Query { one }",
    ),
}


def documents(**limits: int) -> Documents:
    """Documents that are prepared each time."""
    return Documents(SCHEMA, document_limits(**limits), max_bytes=0)


def refusal(of: Documents, text: str) -> tuple[str, object]:
    with pytest.raises(DocumentError) as caught:
        of.prepare(text)
    (error,) = caught.value.errors
    return error.message, (error.extensions or {})["code"]


def test_every_limit_is_below() -> None:
    limits = set(DocumentLimits.__dataclass_fields__)

    assert limits == {*EDGES, "comparisons"}


def test_the_limits_of_2000_tokens_are_the_documented_ones() -> None:
    assert DocumentLimits.for_tokens(2_000) == DocumentLimits(
        bytes=32_768,
        tokens=2_000,
        depth=12,
        fields=1_000,
        aliases=100,
        root_fields=30,
        directives=100,
        fragments=100,
        comparisons=15_000,
    )


def test_a_longer_document_may_have_more_but_not_deeper_fields() -> None:
    usual, longer = DocumentLimits.for_tokens(2_000), DocumentLimits.for_tokens(4_000)

    assert (longer.bytes, longer.fields, longer.aliases) == (65_536, 2_000, 200)
    assert (longer.directives, longer.comparisons) == (200, 30_000)
    assert (longer.depth, longer.root_fields) == (usual.depth, usual.root_fields)
    assert longer.fragments == usual.fragments


@pytest.mark.parametrize("name", EDGES)
def test_as_much_as_is_allowed_is_accepted(name: str) -> None:
    limit, text = EDGES[name]

    documents(**{name: limit}).prepare(text(limit))


@pytest.mark.parametrize("name", EDGES)
def test_one_more_is_refused_with_the_limit_and_its_value(name: str) -> None:
    limit, text = EDGES[name]

    message, code = refusal(documents(**{name: limit}), text(limit + 1))

    unit = "levels" if name == "depth" else name.replace("_", " ")
    assert f"has more than {limit} {unit}" in message
    assert code == ("GRAPHQL_PARSE_FAILED" if name in {"bytes", "tokens"} else "GRAPHQL_VALIDATION_FAILED")


def test_bytes_are_counted_and_not_characters() -> None:
    refusal(documents(bytes=20), "{ one } # \u00e9\u00e9\u00e9\u00e9\u00e9\u00e9")


def test_fragment_definitions_count_even_where_they_are_not_spread() -> None:
    text = "{ one }" + "".join(f" fragment F{n} on Query {{ one }}" for n in range(11))

    assert "more than 10 fragments" in refusal(documents(fragments=10), text)[0]


def test_directives_of_definitions_are_counted() -> None:
    text = "query @a @b { ...F } fragment F on Query @c { one }"

    assert "more than 2 directives" in refusal(documents(directives=2), text)[0]


def test_of_many_errors_twenty_are_told() -> None:
    with pytest.raises(DocumentError) as caught:
        documents().prepare("{" + "".join(f" x{n}" for n in range(25)) + "}")

    assert len(caught.value.errors) == 20 + 1
    assert "error limit reached" in caught.value.errors[-1].message


def test_each_operation_is_counted_by_itself() -> None:
    text = "query A { a: one b: one } query B { a: one b: one }"

    documents(aliases=2).prepare(text)


def test_comparisons_of_fields_are_bounded() -> None:
    text = "{" + " me { one }" * 100 + "}"

    message, code = refusal(documents(root_fields=100, comparisons=1_000), text)

    assert "more than 1000 comparisons" in message
    assert code == "GRAPHQL_VALIDATION_FAILED"
    documents(root_fields=100, comparisons=100_000).prepare(text)


NESTED_IN_FRAGMENTS = """
{ __schema { ...F } }
fragment F on __Schema { types { fields { ...G } } }
fragment G on __Field { type { possibleTypes { name } } }
"""
DEEP_IN_A_FRAGMENT = (
    '{ ...F } fragment F on Query { __type(name: "Q") {' + "ofType {" * 15 + "name" + "}" * 17
)
INTROSPECTIONS = [
    get_introspection_query(),
    get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
        experimental_directive_deprecation=True,
        one_of=True,
    ),
    '{ __type(name: "Query") { fields { name type { fields { name } } } } i: __type(name: "Int") { name } }',
    "{ __schema { queryType { fields { name type { name fields { name } } } } } }",
]  # fmt: skip


@pytest.mark.parametrize("text", INTROSPECTIONS)
def test_introspection_passes_in_its_usual_form(text: str) -> None:
    try:
        documents(depth=5).prepare(text)
    except DocumentError as exc:
        # A schema that does not know an option has said so; no limit has.
        assert all("Cannot query field" in error.message for error in exc.errors)  # noqa: PT017


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{ __schema { types { fields { type { fields { name } } } } } }", "2 lists of types"),
        (NESTED_IN_FRAGMENTS, "2 lists of types"),
        ('{ __type(name: "Q") {' + "ofType {" * 15 + "name" + "}" * 17, "at most 15 fields"),
        ('{ __type(name: "Q") { ...F } } fragment F on __Type {' + "ofType {" * 14 + "name" + "}" * 15,
         "at most 15 fields"),
        (DEEP_IN_A_FRAGMENT, "at most 15 fields"),
        ("{ a: __schema { types { name } } b: __schema { types { name } } }", "`__schema` once"),
        ("{ ...F ...F } fragment F on Query { __schema { types { name } } }", "`__schema` once"),
        ("{ __schema { types { a: name } } }", "no aliases"),
        ("{ __schema { ...F } } fragment F on __Schema { a: types { name } }", "no aliases"),
    ],
)  # fmt: skip
def test_introspection_passes_in_no_other_form(text: str, told: str) -> None:
    assert told in refusal(documents(), text)[0]


def test_what_is_beside_an_introspection_is_counted() -> None:
    text = "{ __schema { types { name } } " + "me { " * 5 + "one" + "}" * 6

    assert "more than 5 levels" in refusal(documents(depth=5), text)[0]


@pytest.mark.parametrize(
    "text",
    [
        "{ ...F } fragment F on Query { ...F }",
        "{ ...F } fragment F on Query { me { ...G } } fragment G on Query { me { ...F } }",
        "{ one ...Nowhere }",
    ],
)
def test_cycles_and_unknown_fragments_are_left_to_validation(text: str) -> None:
    check_document(parse(text), document_limits())

    with pytest.raises(DocumentError):
        documents().prepare(text)


def test_chained_fragments_are_counted_as_often_as_they_are_spread() -> None:
    chain = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(60))
    text = f"{{ ...F0 }} {chain} fragment F60 on Query {{ one }}"

    assert "more than 1000 fields" in refusal(documents(fragments=400), text)[0]


class Counted(tuple[Any, ...]):  # noqa: SLOT001  # the count is kept with the class
    """Selections that count how often they are gone through."""

    visits = 0

    def __iter__(self) -> Iterator[Any]:
        type(self).visits += len(self)
        return super().__iter__()


def counted(node: Any) -> None:
    """Makes all selections below count."""
    for definition in node.definitions:
        stack = [definition.selection_set]
        while stack:
            selection_set = stack.pop()
            if isinstance(selection_set, SelectionSetNode):
                stack.extend(getattr(inner, "selection_set", None) for inner in selection_set.selections)
                object.__setattr__(selection_set, "selections", Counted(selection_set.selections))


@pytest.mark.parametrize("seed", range(10))
def test_each_selection_is_visited_once(seed: int) -> None:
    chance = random.Random(seed)
    fragments = chance.randrange(2, 60)
    text = "{ ...F0 }" + "".join(
        f" fragment F{n} on Query {{ one me {{ ...F{chance.randrange(fragments)} ...F{n} }} }}"
        for n in range(fragments)
    )
    document = parse(text)
    selections = text.count("one") + text.count("me {") + text.count("...F")
    counted(document)
    Counted.visits = 0

    Expansion(fragments_of(document)).total(operation_of(document))

    assert Counted.visits <= selections


def fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    found = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    return {node.name.value: node for node in found}


def operation_of(document: DocumentNode) -> OperationDefinitionNode:
    return next(node for node in document.definitions if isinstance(node, OperationDefinitionNode))


@pytest.mark.parametrize("seed", range(100))
def test_the_pass_finds_what_an_expansion_of_all_fragments_finds(seed: int) -> None:
    text = OperationWriter(random.Random(seed)).operation()
    document = parse(text)
    operation = operation_of(document)
    fragments = fragments_of(document)

    total = Expansion(fragments).total(operation)

    selections = list(expanded(operation.selection_set, fragments, 0))
    fields = [(node, depth) for node, depth in selections if isinstance(node, FieldNode)]
    assert total.fields == len(fields)
    assert total.aliases == sum(node.alias is not None for node, _ in fields)
    assert total.root_fields == sum(depth == 0 for _, depth in fields)
    assert total.depth == max(depth for _, depth in fields) + 1
    assert total.fragments == len(selections) - len(fields)
    assert total.directives == sum(len(node.directives or ()) for node, _ in selections)


def expanded(
    selection_set: SelectionSetNode, fragments: dict[str, FragmentDefinitionNode], depth: int
) -> Iterator[tuple[Any, int]]:
    for node in selection_set.selections:
        yield node, depth
        inner = getattr(node, "selection_set", None)
        if isinstance(node, FieldNode):
            if inner:
                yield from expanded(inner, fragments, depth + 1)
        else:
            name = getattr(node, "name", None)
            below = inner or fragments[name.value if name else ""].selection_set
            yield from expanded(below, fragments, depth)


PIECES = st.sampled_from(
    ["{", "}", "...", "a", "_b1", "-1", "2.5e-3", '"x"', '"\\""', '"""b\n"c"\\""" """', "#c\n",
     ",", "\n", " ", "@", "$", "&", "\ufeff"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40).map(" ".join))
def test_tokens_are_counted_as_the_lexer_counts_them(text: str) -> None:
    lexer = Lexer(Source(text))
    while lexer.advance().kind is not TokenKind.EOF:
        pass
    token, kinds = lexer.token, []
    while token.prev:
        kinds.append(token.kind)
        token = token.prev

    # Of the two ends the lexer makes tokens too; one was not gone past.
    assert len(tokens_of(text)) == len(kinds) - 1


@given(st.text(alphabet='"\\#{}a1.\n\ud800\u00e9', max_size=60))
def test_any_text_has_tokens(text: str) -> None:
    assert "".join(tokens_of(text)).replace(",", "") or not text.strip(" ,\n\ufeff")


def test_layout_and_comments_are_no_part_of_what_is_significant() -> None:
    assert significant("{ one, # first\n two }") == significant("{one two}") == ("{", "one", "two", "}")


# Stands for what a machine that is busy with other things makes of 20 ms.
SLACK = 3
HOSTILE = {
    "fragments in a circle": "{...F0}" + "".join(
        f" fragment F{n} on Query {{ ...F{(n + 1) % 49} ...F{(n + 2) % 49} }}" for n in range(49)
    ),
    "chained fragments": "{...F0}" + "".join(
        f" fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(99)
    ),
    "10,000 tokens": "{" + " one" * 9_998 + "}",
    "lists in each other": "{ add(to: " + "[" * 900 + "]" * 900 + ") }",
    "lists in each other, just parsed": "{ add(to: " + "[" * 190 + "]" * 190 + ") }",
    "100,000 lists": "{ add(to: " + "[" * 100_000,
    "objects in each other": "{ add(to: " + "{a:" * 600 + "1" + "}" * 600 + ") }",
    "fields in each other": "{ me " * 900 + "}" * 900,
    "a huge string": '{ add(to: "' + "x" * 250_000 + '") }',
    "a long string": '{ add(to: "' + "\\n" * 16_000 + '") }',
    "a huge integer": "{ add(to: " + "9" * 250_000 + ") }",
    "a long integer": "{ add(to: " + "9" * 32_000 + ") }",
    "quotes": '"' * 32_000,
    "comments": "#\n" * 16_000 + "{ one }",
    "a name": "{ " + "a" * 32_000 + " }",
    "unknown fields": "{" + "".join(f" x{n}" for n in range(29)) + "}",
    "deep introspection": "{ __schema { types {" + "fields { type {" * 90 + "name" + "}" * 183,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_refused_within_20_milliseconds(name: str) -> None:
    of = documents()

    assert milliseconds(lambda: of.prepare(HOSTILE[name])) < 20 * SLACK


def milliseconds(run: Callable[[], object]) -> float:
    """Of CPU for a refusal: the least of a few, so that what else the machine does is left out."""
    least = float("inf")
    for _ in range(3):
        started = time.process_time()
        with pytest.raises(DocumentError):
            run()
        least = min(least, 1000 * (time.process_time() - started))
    return least
