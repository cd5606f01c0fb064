"""Global ids: there and back, and nothing but our own spelling."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.upstream.identity import (
    ImageIdentity,
    ProjectIdentity,
    image_global_id,
    parse_global_id,
    project_global_id,
)


def spelled(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


@given(st.integers())
def test_a_project_id_round_trips(project_id: int) -> None:
    assert parse_global_id(project_global_id(project_id)) == ProjectIdentity(project_id)


@given(st.text(), st.integers(), st.integers(), st.integers())
def test_an_image_id_round_trips(job_id: str, image_index: int, group_index: int, version: int) -> None:
    global_id = image_global_id(job_id, image_index, group_index, version)

    assert parse_global_id(global_id) == ImageIdentity(job_id, image_index, group_index, version)


def test_a_job_id_may_hold_colons() -> None:
    global_id = image_global_id("1:2:Image:3", 4, 5, 6)

    assert parse_global_id(global_id) == ImageIdentity("1:2:Image:3", 4, 5, 6)


image_like = st.text(alphabet="0123 +-:").map(lambda text: spelled(f"Image:{text}"))


@given(st.text() | st.text().map(spelled) | image_like)
def test_any_text_is_refused_or_canonical(text: str) -> None:
    try:
        identity = parse_global_id(text)
    except ValueError:
        return

    if isinstance(identity, ProjectIdentity):
        canonical = project_global_id(identity.project_id)
    else:
        canonical = image_global_id(
            identity.job_id, identity.image_index, identity.group_index, identity.version
        )
    assert text == canonical


@pytest.mark.parametrize(
    "global_id",
    [
        "",
        "7",
        "Project:7",
        spelled("Project"),
        spelled("Project:"),
        spelled("Project:seven"),
        spelled("Project:7:8"),
        spelled("Project:07"),
        spelled("Project:+7"),
        spelled("Project: 7"),
        spelled("Project:1_000"),
        spelled("Project:\u0667"),
        spelled("project:7"),
        spelled("Image:1:2:3"),
        spelled("Image:1:2:x:job"),
        spelled("Gallery:1"),
        spelled("Project:" + "9" * 5000),
        spelled("Project:7") + "=",
        spelled("Project:7") + "\n",
        " " + spelled("Project:7"),
        spelled("Project:7").swapcase(),
        "\u00e9",
        "\ud800",
        "____",
        "A",
    ],
)
def test_an_id_that_is_not_canonical_is_refused(global_id: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # int() has words of its own
        parse_global_id(global_id)
