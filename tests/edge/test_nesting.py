"""How deep the JSON of a request may be, on every version of Python."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gallery_gateway.edge.request import MAX_NESTING, HTTPRequest
from gallery_gateway.errors import RequestError

QUERY = "{ __typename }"
# The object of the body, and that of its variables.
OUTER = 2

TEXTS = st.sampled_from(["", "[[", "}}", '\\"[', "\\\\", "{\\n", "\u00e9]"]) | st.text(max_size=6)
SIBLINGS: st.SearchStrategy[list[Any]] = st.lists(
    st.none() | TEXTS | st.just([[[]]]) | st.just({"a": {}}), max_size=2
)
LEVELS = st.lists(st.tuples(st.booleans(), SIBLINGS, TEXTS), min_size=1, max_size=4)


def nested(levels: list[tuple[bool, list[Any], str]], depth: int) -> Any:
    """A value of this depth, whose levels repeat these lists and objects with what is beside the next one."""
    value: Any = "x"
    for level in range(depth):
        is_list, siblings, text = levels[level % len(levels)]
        # Values beside the deepest ones would add to the depth.
        around = siblings if level > 4 else []
        value = [*around, value, *around] if is_list else {text: (around or [None])[0], f"{text}.": value}
    return value


def request(method: str, body: bytes = b"", query: str = "") -> HTTPRequest:
    made = HTTPRequest({"method": method, "query_string": query.encode(), "headers": [], "path": "/graphql"})
    made.body = body
    return made


DEPTHS = st.integers(MAX_NESTING - 6, MAX_NESTING + 3)


@given(LEVELS, DEPTHS)
@example([(True, [], "")], MAX_NESTING - OUTER)
@example([(True, [], "")], MAX_NESTING - OUTER + 1)
@example([(False, ['"[['], "{")], MAX_NESTING - OUTER)
def test_a_body_is_refused_beyond_the_bound(levels: list[tuple[bool, list[Any], str]], depth: int) -> None:
    value = nested(levels, depth)
    body = json.dumps({"query": QUERY, "variables": {"v": value}}).encode()

    if depth + OUTER <= MAX_NESTING:
        assert request("POST", body).operation().variables == {"v": value}
    else:
        with pytest.raises(RequestError, match=r"^The body is nested too deeply\.$"):
            request("POST", body).operation()


@given(LEVELS, DEPTHS)
def test_a_query_string_is_refused_beyond_the_bound(
    levels: list[tuple[bool, list[Any], str]], depth: int
) -> None:
    value = nested(levels, depth)
    query = str(httpx.QueryParams({"query": QUERY, "variables": json.dumps({"v": value})}))

    if depth + 1 <= MAX_NESTING:
        assert request("GET", query=query).operation().variables is not None
    else:
        with pytest.raises(RequestError, match=r"^`variables` is not a JSON object\.$"):
            request("GET", query=query).operation()


@pytest.mark.parametrize("member", ["variables", "extensions", "unknown"])
@pytest.mark.parametrize("depth", [300, 900, 3_000, 30_000])
def test_every_member_is_bounded(member: str, depth: int) -> None:
    value = '{"a":' * depth + "1" + "}" * depth
    body = f'{{"query": "{QUERY}", "{member}": {value}}}'.encode()

    with pytest.raises(RequestError, match="nested too deeply"):
        request("POST", body).operation()


def test_brackets_beside_each_other_are_no_depth() -> None:
    variables = {"v": [[], {}] * 10_000, "w": "[{" * 10_000}

    parsed = request("POST", json.dumps({"query": QUERY, "variables": variables}).encode()).operation()

    assert parsed.variables == variables
