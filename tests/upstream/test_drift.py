"""Where a page differs from the contract: every difference is found, and nothing else."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_gateway.upstream.contract import Page
from gallery_gateway.upstream.drift import Difference, Presence, compare, presence
from tests.canary import MARK
from tests.execution.generated import page_bytes
from tests.fakes import image_body, page_body, project_body

EXAMPLES = Path(__file__).parent / "examples"

JSONPath = tuple[str | int, ...]

FILE = {"full_size": "https://pictures.example/a", "thumbnail": "https://pictures.example/b", "uuid": "u"}

BODY = page_body(
    project_body(
        7,
        image_body(
            0,
            id=1,
            inputs=[{**FILE}],
            output={**FILE},
            input_description={"free": {"form": 1}},
            model_used="m",
            detail_needs_review=True,
            detail_review_reason="r",
            quality_score=0.5,
            processing_time=2,
            error_message="e",
            feedback="like",
            feedback_comment="c",
            review_status="s",
            review_annotations=[{"free": 1}],
            retouch_claim="free",
        ),
    )
)

FREE_FIELDS = ("input_description", "review_annotations", "retouch_claim")

ONE_OF_EACH_TYPE = {
    "object": {},
    "array": [],
    "string": "text",
    "integer": -3,
    "number": 1.5e300,
    "boolean": False,
    "null": None,
}

json_types = st.sampled_from(sorted(ONE_OF_EACH_TYPE))


def found_in(body: Any) -> list[Difference]:
    return compare(json.dumps(body).encode())


def paths(value: Any, path: JSONPath = ()) -> Iterator[JSONPath]:
    """The paths of a value and of all below it, without what is inside free-form JSON."""
    yield path
    if path and path[-1] in FREE_FIELDS:
        return
    members = (
        enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    )
    for name, member in members:
        yield from paths(member, (*path, name))


def at(value: Any, path: JSONPath) -> Any:
    for name in path:
        value = value[name]
    return value


def field_at(path: JSONPath) -> str:
    """The name of a field as a difference has it."""
    text = ""
    for name in path:
        text += "[]" if isinstance(name, int) else f".{name}"
    return text.removeprefix(".") or "$"


def is_page(body: Any) -> bool:
    try:
        msgspec.json.decode(json.dumps(body), type=Page)
    except msgspec.ValidationError:
        return False
    return True


PATHS = list(paths(BODY))
OBJECT_PATHS = [path for path in PATHS if isinstance(at(BODY, path), dict) and path[-1:] != (FREE_FIELDS[0],)]
MEMBER_PATHS = [path for path in PATHS if path and isinstance(path[-1], str)]


@pytest.mark.parametrize("name", ["seed.json", "newer.json"])
def test_the_contracts_examples_do_not_differ(name: str) -> None:
    assert compare((EXAMPLES / name).read_bytes()) == []


def test_the_body_of_these_tests_has_every_field_of_the_contract() -> None:
    read = msgspec.to_builtins(msgspec.json.decode(json.dumps(BODY), type=Page), enc_hook=bytes)

    assert {field_at(path) for path in paths(read)} == {field_at(path) for path in PATHS}


@given(seed=st.integers(0, 10_000))
def test_a_valid_page_does_not_differ(seed: int) -> None:
    assert compare(page_bytes(random.Random(seed), damages=0)) == []


@settings(max_examples=200)
@given(seed=st.integers(0, 10_000), damages=st.integers(1, 4))
def test_a_page_has_missing_or_mistyped_fields_if_and_only_if_it_does_not_decode(
    seed: int, damages: int
) -> None:
    body = page_bytes(random.Random(seed), damages=damages)
    try:
        page = json.loads(body)
    except ValueError:
        assert compare(body) == []
        return

    kinds = {difference.kind for difference in compare(body)}

    assert bool(kinds - {"unknown"}) is not is_page(page)


@given(path=st.sampled_from(OBJECT_PATHS), json_type=json_types)
def test_an_unknown_field_is_found_at_any_depth_with_its_type(path: JSONPath, json_type: str) -> None:
    body = copy.deepcopy(BODY)
    at(body, path)["added"] = ONE_OF_EACH_TYPE[json_type]

    assert found_in(body) == [Difference(field_at((*path, "added")), "unknown", (json_type,), 1, 1)]


@given(path=st.sampled_from(MEMBER_PATHS))
def test_a_missing_field_is_found_at_any_depth_if_the_contract_requires_it(path: JSONPath) -> None:
    body = copy.deepcopy(BODY)
    del at(body, path[:-1])[path[-1]]

    assert found_in(body) == ([] if is_page(body) else [Difference(field_at(path), "missing", (), 1, 1)])


@settings(max_examples=200)
@given(path=st.sampled_from(PATHS), json_type=json_types)
def test_a_mistyped_field_is_found_at_any_depth_with_its_type(path: JSONPath, json_type: str) -> None:
    body = {"page": copy.deepcopy(BODY)}
    holder = at(body, ("page", *path)[:-1])
    holder[("page", *path)[-1]] = ONE_OF_EACH_TYPE[json_type]

    mistyped = [difference for difference in found_in(body["page"]) if difference.kind == "mistyped"]

    has_right_type = json_type in {"object", "array"} and type(at(BODY, path)) is type(
        ONE_OF_EACH_TYPE[json_type]
    )
    expected = Difference(field_at(path), "mistyped", (json_type,), 1, 1)
    assert mistyped == ([] if has_right_type or is_page(body["page"]) else [expected])


def test_differences_of_one_field_are_counted_among_the_objects_that_could_have_it() -> None:
    images = [image_body(), image_body(status=5), image_body(status=[]), image_body(status=None)]
    del images[0]["job_id"]
    body = page_body(project_body(1, *images[:2]), project_body(2, *images[2:]))

    assert found_in(body) == [
        Difference("projects[].images[].status", "mistyped", ("array", "integer"), 2, 4),
        Difference("projects[].images[].job_id", "missing", (), 1, 4),
    ]


def test_no_member_of_an_object_of_the_wrong_type_is_missing() -> None:
    body = {**page_body(), "projects": [project_body(1), None, "text", []]}

    assert found_in(body) == [Difference("projects[]", "mistyped", ("array", "null", "string"), 3, 4)]


def test_objects_beyond_the_bound_are_not_compared() -> None:
    body = page_body(*(project_body(n, image_body(status=5)) for n in range(100)), page="1")

    found = {
        difference.field: difference for difference in compare(json.dumps(body).encode(), max_objects=20)
    }

    assert set(found) == {"pagination.page", "projects[].images[].status"}
    assert 5 <= found["projects[].images[].status"].compared <= 20


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=3) | st.sampled_from(["projects", "images", "id"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@settings(max_examples=150)
@given(any_json)
def test_any_json_is_compared(value: Any) -> None:
    found = found_in(value)

    assert found
    assert all(
        0 < difference.count <= difference.compared or difference.kind == "unknown" for difference in found
    )


@settings(max_examples=150)
@given(st.binary(max_size=40))
def test_any_bytes_are_compared(body: bytes) -> None:
    assert isinstance(compare(body), list)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[" * 100_000,
        b'{"projects":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"projects":[{"\xff":1}]}',
        b'{"projects":[{"\\ud800":1}]}',
        json.dumps(BODY).encode()[:-1],
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_not_json_has_no_differences(body: bytes) -> None:
    assert compare(body) == []


@pytest.mark.parametrize("number", [b"9" * 5000, b"-" + b"9" * 5000, b"1e999", b"-0.5E-9"])
def test_a_number_of_any_length_is_compared_by_its_type(number: bytes) -> None:
    body = json.dumps({**BODY, "added": "number"}).encode().replace(b'"number"', number)

    (difference,) = compare(body)

    assert difference.types == ("integer" if number.strip(b"-").isdigit() else "number",)


def test_differences_show_no_value_and_no_name_that_could_be_one() -> None:
    names = [MARK, "a@b.example", "sku-1", "5f0c9a3be1d2f417", "x" * 41, "$", "", "projects[]", "ü"]
    body = page_body(project_body(7, image_body(status=[MARK]), **dict.fromkeys(names, MARK)), page=MARK)

    found = found_in(body)

    assert {difference.field for difference in found} == {
        "pagination.page",
        "projects[].?",
        "projects[].images[].status",
    }
    assert MARK not in repr(found)


def test_thousands_of_unknown_names_make_few_differences() -> None:
    letters = "abcdefghij"
    names = ["".join(letters[int(digit)] for digit in str(number)) for number in range(5000)]
    project = project_body(7, **dict.fromkeys(names, 1))

    *shown, others = found_in(page_body(project, project))

    assert 1 < len(shown) < 100
    assert {difference.count for difference in shown} == {2}
    assert (others.field, others.count) == ("projects[].?", 2 * (5000 - len(shown)))


def test_the_presence_of_each_field_is_counted_with_its_nulls() -> None:
    [project] = copy.deepcopy(BODY)["projects"]
    del project["images"][0]["model_used"]
    project["images"].append({**project["images"][0], "image_index": 1, "status": None})

    found = {each.field: each for each in presence(json.dumps(page_body(project)).encode())}

    image = "projects[].images[]"
    assert found[f"{image}.job_id"] == Presence(f"{image}.job_id", True, 2, 0, 2)
    assert found[f"{image}.model_used"] == Presence(f"{image}.model_used", False, 0, 0, 2)
    assert found[f"{image}.status"] == Presence(f"{image}.status", False, 2, 1, 2)
    assert found.keys() == {field_at(path).replace("$", "") for path in MEMBER_PATHS}


def test_what_is_no_json_has_no_fields() -> None:
    assert presence(b"<html>") == []
