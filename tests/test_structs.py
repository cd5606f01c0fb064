"""A subset of a struct decodes what is read of it, and skips the rest."""

import random
from typing import Any

import msgspec
import pytest

from gallery_gateway.structs import AliasedSource, ProjectionSource, again, first, subset_of
from gallery_gateway.upstream.contract import (
    Page,
    UpstreamImage,
    UpstreamImageFile,
    UpstreamPagination,
    UpstreamProject,
)
from tests.execution.generated import page_bytes

CONTRACT = (Page, UpstreamPagination, UpstreamProject, UpstreamImage, UpstreamImageFile)


def plan(**attributes: Any) -> type[msgspec.Struct]:
    """What reads these attributes, each of its type."""
    return msgspec.defstruct("Plan", list(attributes.items()))


def names(struct: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(struct)]


def below(struct: type[msgspec.Struct], attribute: str) -> Any:
    """The struct that the items of a list are."""
    kinds = {field.name: field.type for field in msgspec.structs.fields(struct)}
    return kinds[attribute].__args__[0]


def test_an_subset_has_what_is_read_and_nothing_else() -> None:
    projects = plan(project_name=str, images=list[plan(status=str)])  # type: ignore[misc]  # made here

    subset = subset_of(Page, plan(projects=list[projects]))  # type: ignore[valid-type]  # likewise

    assert names(subset) == ["projects"]
    assert names(below(subset, "projects")) == ["images", "project_name"]
    assert names(below(below(subset, "projects"), "images")) == ["status"]


def test_several_readers_share_an_subset() -> None:
    one = plan(images=list[plan(status=str)])  # type: ignore[misc]  # made here
    other = plan(images=list[plan(feedback=str)], project_key=str)  # type: ignore[misc]  # likewise

    subset = subset_of(UpstreamProject, one, other)

    assert names(subset) == ["images", "project_key"]
    assert names(below(subset, "images")) == ["status", "feedback"]


def test_what_is_read_again_or_in_part_is_read_once() -> None:
    images = {first("images", 2): list[plan(status=str)], again("images", 1): list[plan(version=int)]}  # type: ignore[misc]  # made here

    subset = subset_of(UpstreamProject, plan(**images))

    assert names(subset) == ["images"]
    assert names(below(subset, "images")) == ["version", "status"]


def test_the_same_is_read_by_the_same_subset() -> None:
    assert subset_of(UpstreamImage, plan(id=str)) is subset_of(UpstreamImage, plan(id=str))
    assert subset_of(UpstreamImage, plan(id=str)) is not subset_of(UpstreamImage, plan(status=str))


def test_a_wrong_type_is_an_error_only_where_it_is_read() -> None:
    body = b'{"thumbnail": 5, "uuid": "a"}'

    assert msgspec.json.decode(body, type=subset_of(UpstreamImageFile, plan(uuid=str))) is not None
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=subset_of(UpstreamImageFile, plan(thumbnail=str)))


@pytest.mark.parametrize(
    "rest", [rb'"\ud800"', rb'"\q"', b'"\n"', b"01", b"1.", b"NaN", b"[", b"nul", rb'"\u12g4"']
)
def test_what_is_skipped_has_to_be_json_all_the_same(rest: bytes) -> None:
    subset = subset_of(UpstreamImageFile, plan(uuid=str))

    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(b'{"rest": %b, "uuid": "a"}' % rest, type=subset)


def properties() -> list[tuple[type[ProjectionSource], str]]:
    return [
        (struct, name)
        for struct in CONTRACT
        for name, value in vars(struct).items()
        if isinstance(value, property)
    ]


@pytest.mark.parametrize(("struct", "name"), properties(), ids=str)
def test_a_derived_value_is_made_of_what_it_says(struct: type[ProjectionSource], name: str) -> None:
    page = msgspec.json.decode(page_bytes(random.Random(3), damages=0), type=Page)
    project = page.projects[0]
    signed = UpstreamImageFile(
        full_size="https://x.example/a?Expires=1777000000", thumbnail="https://x.example/b"
    )
    wholes = {UpstreamProject: project, UpstreamImage: project.images[0], UpstreamImageFile: signed}
    whole = wholes[struct]

    subset = msgspec.convert(whole, subset_of(struct, plan(**{name: Any})), from_attributes=True)

    assert set(subset.__struct_fields__) == set(struct.derived[name])
    assert getattr(subset, name) == getattr(whole, name)


@pytest.mark.parametrize("struct", CONTRACT, ids=str)
def test_the_subset_of_everything_has_all_attributes(struct: type[ProjectionSource]) -> None:
    assert subset_of(struct, struct).__struct_fields__ == struct.__struct_fields__


def test_only_structs_that_are_read_under_an_alias_have_aliases() -> None:
    file = plan(thumbnail=str)
    image = plan(inputs=list[file], status=str, **{again("status", 1): str})  # type: ignore[valid-type]  # made here

    subset = subset_of(UpstreamImage, image)

    assert issubclass(subset, AliasedSource)
    assert not issubclass(below(subset, "inputs"), AliasedSource)
