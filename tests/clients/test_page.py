"""The operations on the page for frontends are valid in this graph."""

import re
from pathlib import Path

import pytest
from graphql import NoUnusedFragmentsRule, parse, print_schema, specified_rules, validate
from graphql import build_schema as schema_of

from gallery_gateway.schema.build import build_schema, executable

PAGE = (Path(__file__).parent.parent.parent / "docs" / "frontend.md").read_text(encoding="utf-8")

# What Relay's compiler takes out.
RELAYS = """
scalar Any
directive @refetchable(queryName: String!) on FRAGMENT_DEFINITION
directive @argumentDefinitions(count: Any, cursor: Any, search: Any, images: Any) on FRAGMENT_DEFINITION
directive @connection(key: String!, filters: [String]) on FIELD
"""
SCHEMA = schema_of(print_schema(executable(build_schema())) + RELAYS)
RULES = [rule for rule in specified_rules if rule is not NoUnusedFragmentsRule]

DOCUMENTS = [
    *re.findall(r"```graphql\n(.*?)```", PAGE, flags=re.DOTALL),
    *re.findall(r"graphql\(`(.*?)`\)", PAGE, flags=re.DOTALL),
    # Calls of the REST API have a member of that name too.
    *re.findall(r'"query": "([^"]*{.*?)"', PAGE),
    *re.findall(r'(?:string document|const query) = "(.*?)"', PAGE),
    *re.findall(r"'query=(.*?)'", PAGE),
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_an_operation_on_the_page_is_valid(document: str) -> None:
    assert validate(SCHEMA, parse(document), RULES) == []


def test_there_are_operations_on_the_page() -> None:
    assert len(DOCUMENTS) == 11
