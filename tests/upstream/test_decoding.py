"""Damaged bodies: a page with whatever can be saved, or one error; never another exception."""

import asyncio
import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_gateway.errors import UpstreamContractError
from gallery_gateway.structs import ProjectionSource
from gallery_gateway.upstream.contract import (
    Page,
    UpstreamImage,
    UpstreamImageFile,
    UpstreamPagination,
    UpstreamProject,
)
from gallery_gateway.upstream.decoding import PageDecoder, parse_page, parse_rejected_parameter
from tests.execution.generated import page_bytes
from tests.fakes import image_body, page_body, project_body

Path = tuple[str | int, ...]

BODY = page_body(
    project_body(7, image_body(0, id=1), image_body(1, output=None)),
    project_body(8, image_body(2, inputs=[{"full_size": "a", "uuid": "b"}, {"thumbnail": "c"}])),
)

MARK = "MARK"


def parse_with(name: str, value: Any) -> UpstreamImage:
    """The image of a page whose field of this name has this value."""
    body = page_body(project_body(7, {**image_body(), name: value}))
    return parse_page(json.dumps(body).encode()).projects[0].images[0]


def body_with(name: str, text: bytes) -> bytes:
    """A page, and in its image the field of this name written so."""
    body = page_body(project_body(7, {**image_body(), name: MARK}))
    return json.dumps(body).encode().replace(b'"MARK"', text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", 5),
        ("status", ["completed"]),
        ("quality_score", "0.5"),
        ("version", "0"),
        ("image_index", 1.5),
        ("job_id", None),
        ("detail_needs_review", "yes"),
    ],
)
def test_a_scalar_of_the_wrong_type_is_kept_unchanged(name: str, value: object) -> None:
    image = parse_with(name, value)

    assert getattr(image, name) == value


def test_a_wrong_value_costs_nothing_but_itself() -> None:
    sound = parse_with("status", "completed")

    image = parse_with("status", 5)

    assert msgspec.structs.replace(image, status="completed") == sound


@pytest.mark.parametrize("name", ["inputs", "output"])
@pytest.mark.parametrize("value", ["text", 1, True])
def test_an_object_or_a_list_of_the_wrong_type_is_null(name: str, value: object) -> None:
    image = parse_with(name, value)

    assert getattr(image, name) is None


@pytest.mark.parametrize("value", [None, "text", 1, {}])
def test_images_of_the_wrong_type_are_null(value: object) -> None:
    body = page_body(project_body(7, images=value))

    page = parse_page(json.dumps(body).encode())

    assert page.projects[0].images is None


@pytest.mark.parametrize("value", [None, "text", 1, []])
def test_a_project_of_the_wrong_type_is_null_in_its_place(value: object) -> None:
    body = {**page_body(), "projects": [project_body(1), value, project_body(3)]}

    page = parse_page(json.dumps(body).encode())

    assert page.projects[1] is None
    assert [page.projects[0].project_id, page.projects[2].project_id] == [1, 3]


def test_an_absent_field_that_is_required_is_null() -> None:
    image = image_body()
    del image["job_id"]

    page = parse_page(json.dumps(page_body(project_body(7, image))).encode())

    assert page.projects[0].images[0].job_id is None


def test_the_structs_below_a_damaged_page_are_the_contracts_own() -> None:
    body = page_body(project_body(7, image_body(status=5), total_images="many"))

    page = parse_page(json.dumps(body).encode())

    project = page.projects[0]
    assert isinstance(project, UpstreamProject)
    assert isinstance(project.images[0], UpstreamImage)
    assert isinstance(project.images[0].output, UpstreamImageFile)


def test_a_damaged_page_keeps_free_json_byte_for_byte() -> None:
    body = body_with("review_annotations", b'{"b" : [1.50]}').replace(b'"completed"', b"5")

    page = parse_page(body)

    assert bytes(page.projects[0].images[0].review_annotations) == b'{"b" : [1.50]}'


def test_a_huge_integer_is_kept_unchanged() -> None:
    image = parse_with("image_index", 10**400)

    assert image.image_index == 10**400


@pytest.mark.parametrize("name", ["review_annotations", "unknown"])
def test_an_integer_too_long_for_python_is_ignored_in_fields_that_are_not_read(name: str) -> None:
    page = parse_page(body_with(name, b"9" * 5000))

    assert page.projects[0].images[0].status == "completed"


@pytest.mark.parametrize("name", ["status", "review_annotations", "unknown"])
@pytest.mark.parametrize(
    "text",
    [
        b"NaN",
        b"Infinity",
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"'x'",
        b"01",
        b"[1,]",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_a_body_that_is_not_json_in_utf8_is_refused(name: str, text: bytes) -> None:
    body = body_with(name, text)

    with pytest.raises(UpstreamContractError):
        parse_page(body)


def test_an_integer_too_long_for_python_is_refused_in_fields_that_are_read() -> None:
    body = body_with("image_index", b"9" * 5000)

    with pytest.raises(UpstreamContractError):
        parse_page(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"\x00",
        b"<!doctype html><title>Sign in</title>",
        b"null",
        b"1",
        b'"text"',
        b"[]",
        b"{}",
        b'{"projects": []}',
        b'{"pagination": null, "projects": []}',
        json.dumps({**page_body(), "projects": None}).encode(),
        json.dumps({**page_body(), "projects": {}}).encode(),
        json.dumps(page_body()).encode()[:-1],
        json.dumps(page_body()).encode() + b"{}",
        b"\xef\xbb\xbf" + json.dumps(page_body()).encode(),
        json.dumps(page_body()).encode("utf-16"),
    ],
)
def test_json_that_is_not_a_page_is_refused(body: bytes) -> None:
    with pytest.raises(UpstreamContractError):
        parse_page(body)


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        (b'{"detail": [{"field": "per_page", "message": "no"}]}', "per_page"),
        (b'{"detail": [{"field": null}, {"field": "page"}]}', "page"),
        (b'{"error": "Payment required"}', None),
        (b'{"detail": "no"}', None),
        (b'{"detail": [null]}', None),
        (b'{"detail": [{"field": 1}]}', None),
        (b'{"detail": [{"field": "\xff"}]}', None),
        (b'{"detail": [{"field": "\\ud800"}]}', None),
        (b'{"detail": [{"field": ' + b"9" * 5000 + b"}]}", None),
        (b"[" * 100_000, None),
        (b"<html>", None),
        (b"", None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_error_body_names_a_parameter_or_none(body: bytes, parameter: str | None) -> None:
    assert parse_rejected_parameter(body) == parameter


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _paths(member, (*path, name))


EVERY_PATH = list(_paths(BODY))

# The page itself, its pagination and its projects have to be there; whatever lies below may be anything.
INNER_PATHS = [path for path in EVERY_PATH if len(path) > 1]

# An item that is missing from a list is a shorter list, and no damage.
MEMBER_PATHS = [path for path in INNER_PATHS if isinstance(path[-1], str)]


@settings(deadline=None, max_examples=150)
@given(damages=st.lists(st.tuples(st.sampled_from(INNER_PATHS), any_json), min_size=1, max_size=4))
def test_damage_costs_only_what_it_hits(damages: list[tuple[Path, Any]]) -> None:
    body = copy.deepcopy(BODY)
    for path, value in damages:
        _damage(body, path, value)

    page = parse_page(json.dumps(body).encode())

    hit = [path for path, _ in damages]
    for path in EVERY_PATH:
        if not any(_touch(path, damaged) for damaged in hit):
            assert _read(page, path) == _read_json(BODY, path)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(MEMBER_PATHS))
def test_a_missing_member_costs_only_itself(missing: Path) -> None:
    body = copy.deepcopy(BODY)
    del _read_json(body, missing[:-1])[missing[-1]]

    page = parse_page(json.dumps(body).encode())

    for path in EVERY_PATH:
        if not _touch(path, missing):
            assert _read(page, path) == _read_json(BODY, path)


@settings(deadline=None, max_examples=150)
@given(
    start=st.integers(0, len(json.dumps(BODY))),
    length=st.integers(0, 40),
    inserted=st.binary(max_size=8) | st.sampled_from([b"null", b"[", b"}", b'"', b"1e999", b"\xff"]),
)
def test_damaged_bytes_are_a_page_or_one_kind_of_error(start: int, length: int, inserted: bytes) -> None:
    body = json.dumps(BODY).encode()

    try:
        page = parse_page(body[:start] + inserted + body[start + length :])
    except UpstreamContractError:
        return

    assert isinstance(page, Page)


@settings(deadline=None, max_examples=150)
@given(any_json)
def test_any_json_is_a_page_or_one_kind_of_error(value: Any) -> None:
    with pytest.raises(UpstreamContractError):
        parse_page(json.dumps(value).encode())


def _damage(body: Any, path: Path, value: Any) -> None:
    try:
        _read_json(body, path[:-1])[path[-1]] = value
    except (KeyError, IndexError, TypeError):
        # An earlier damage has already taken what holds it.
        return


def _read_json(value: Any, path: Path) -> Any:
    for name in path:
        value = value[name]
    return value


def _read(page: Page, path: Path) -> Any:
    """What the page has at a path of the body, as JSON."""
    value: Any = page
    for name in path:
        if isinstance(value, msgspec.Raw):
            value = msgspec.json.decode(value)
        if isinstance(value, msgspec.Struct):
            value = getattr(value, "result_id" if name == "id" else str(name))
        else:
            value = value[name]
    return _as_json(value, path)


def _as_json(value: Any, path: Path) -> Any:
    read = msgspec.json.decode(msgspec.json.encode(value))
    return _without_added(read, _read_json(BODY, path))


def _without_added(value: Any, original: Any) -> Any:
    """Without the members that the body does not have: a struct has them all."""
    if isinstance(original, dict) and isinstance(value, dict):
        return {name: _without_added(value[name], member) for name, member in original.items()}
    if isinstance(original, list) and isinstance(value, list):
        return [_without_added(one, other) for one, other in zip(value, original, strict=True)]
    return value


def _touch(path: Path, damaged: Path) -> bool:
    """Whether one of them lies within the other."""
    shorter = min(len(path), len(damaged))
    return path[:shorter] == damaged[:shorter]


def test_a_page_of_hundreds_of_thousands_of_damaged_projects_is_given_up() -> None:
    pagination = b'{"page":1,"per_page":20,"total":1,"pages":1,"has_next":false,"has_prev":false}'
    projects = b",".join([b'{"images":[{}]}'] * 400_000)

    with pytest.raises(UpstreamContractError, match="Too much"):
        parse_page(b'{"pagination":%b,"projects":[%b]}' % (pagination, projects))


class NamedProject(ProjectionSource, frozen=True, gc=False):
    project_name: str | None


class NamedPage(ProjectionSource, frozen=True, gc=False):
    pagination: UpstreamPagination
    projects: list[NamedProject]


SLICING, SLICING_NAMES = PageDecoder(slice_bytes=1), PageDecoder(NamedPage, slice_bytes=1)


@settings(deadline=None, max_examples=200)
@given(
    seed=st.integers(0, 10_000),
    damages=st.sampled_from([0, 0, 1, 3]),
    decoders=st.sampled_from([(SLICING, parse_page), (SLICING_NAMES, PageDecoder(NamedPage))]),
)
async def test_slices_make_the_page_that_the_body_makes_at_once(
    seed: int, damages: int, decoders: tuple[PageDecoder, PageDecoder]
) -> None:
    body = page_bytes(random.Random(seed), damages=damages)
    slicing, whole = decoders

    assert await decoded(slicing, body) == await decoded(whole, body)


async def decoded(decoder: PageDecoder, body: bytes) -> object:
    try:
        page = await decoder.decode(body, asyncio.Lock())
    except UpstreamContractError as exc:
        return exc.kind
    return type(page), msgspec.json.encode(page)


@pytest.mark.parametrize("text", ["a shirt", "ein Hemd für Ö"])
async def test_other_tasks_run_while_a_large_page_is_decoded(text: str) -> None:
    body = json.dumps(page_body(*(project_body(n, project_name=text) for n in range(30))), ensure_ascii=False)
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    page = await PageDecoder(slice_bytes=len(body) // 30).decode(body.encode(), asyncio.Lock())
    other.cancel()

    assert len(page.projects) == 30
    assert turns >= 15


async def test_a_large_body_without_projects_is_a_page() -> None:
    body = json.dumps(page_body() | {"projects": [], "more": "x" * 100}).encode()

    assert (await SLICING.decode(body, asyncio.Lock())).projects == []


async def test_bytes_that_are_no_text_are_an_error_of_a_large_body_too() -> None:
    body = json.dumps(page_body() | {"more": "x"}).encode().replace(b'"x"', b'"\xff"')

    with pytest.raises(UpstreamContractError):
        await SLICING.decode(body, asyncio.Lock())


async def test_large_bodies_are_decoded_one_after_another_and_small_ones_at_once() -> None:
    lock, body = asyncio.Lock(), json.dumps(BODY).encode()
    await lock.acquire()
    large = asyncio.create_task(SLICING.decode(body, lock))

    for _ in range(20):
        await asyncio.sleep(0)
    small_page = await parse_page.decode(body, lock)
    waits = not large.done()
    lock.release()

    assert waits
    assert await large == small_page
