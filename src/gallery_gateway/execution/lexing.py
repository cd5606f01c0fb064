"""The tokens of a document, counted at the speed of C before anything is parsed.

graphql-core's lexer takes some microseconds for a token, and as long for each 50 characters of a string: a
document of ten thousand tokens would stop the loop for longer than it takes to refuse it.
"""

import re

# GraphQL specification, 2.1. Each alternative takes all that it begins with, so that no character is
# looked at twice: what is not closed runs to where it must end. Whatever cannot begin a token is one.
_TOKEN = re.compile(
    r"""
      \#[^\n\r]*+
    | \"\"\"(?:[^"\\]++|\\\"\"\"|\\|"(?!""))*+(?:\"\"\")?+
    | "(?:[^"\\\n\r]++|\\[^\n\r])*+"?+
    | [_A-Za-z][_0-9A-Za-z]*+
    | -?+[0-9][0-9.eE+-]*+
    | \.\.\.
    | [^\s,\ufeff]
    """,
    re.VERBOSE,
)


def tokens_of(text: str) -> list[str]:
    """The lexical tokens, comments among them."""
    return _TOKEN.findall(text)


def significant(text: str) -> tuple[str, ...]:
    """The tokens that have a meaning; documents that have the same are the same but for their layout."""
    return tuple(token for token in tokens_of(text) if not token.startswith("#"))
