"""Opaque global ids, made of what identifies a project or an image.

An id is base64url without padding of `Project:<project_id>` or
`Image:<image_index>:<group_index>:<version>:<job_id>`; the job id stands last as it may hold colons. What
stands before it is made a multiple of three bytes long by spaces behind the version, so that both can be
encoded apart: a page has a thousand images, but few such beginnings.
"""

import base64
import binascii
from binascii import b2a_base64
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class ProjectIdentity:
    """What identifies a project."""

    project_id: int


@dataclass(frozen=True, slots=True)
class ImageIdentity:
    """What identifies an image."""

    job_id: str
    image_index: int
    group_index: int
    version: int


def project_global_id(project_id: int) -> str:
    """Raises: TypeError: that is no whole number."""
    _check_whole(project_id)
    return _encoded(f"Project:{project_id}")


def image_global_id(job_id: str, image_index: int, group_index: int, version: int) -> str:
    """Raises: TypeError: one of them is not of its type."""
    if type(job_id) is not str:
        raise TypeError("a job id is a text")
    return _image_position(image_index, group_index, version) + _encoded(job_id)


def parse_global_id(global_id: str) -> ProjectIdentity | ImageIdentity:
    """Raises: ValueError: this is no id of ours."""
    text = _decoded(global_id)
    match text.split(":", 4):
        case ["Project", project_id]:
            identity: ProjectIdentity | ImageIdentity = ProjectIdentity(int(project_id))
            canonical = project_global_id(int(project_id))
        case ["Image", image_index, group_index, version, job_id]:
            position = int(image_index), int(group_index), int(version)
            identity = ImageIdentity(job_id, *position)
            canonical = image_global_id(job_id, *position)
        case _:
            raise ValueError("an id of no known type")
    if canonical != global_id:
        raise ValueError("an id in another spelling than ours")
    return identity


# By type too, so that nothing passes for a number that was equal to one.
@lru_cache(maxsize=16_384, typed=True)
def _image_position(image_index: int, group_index: int, version: int) -> str:
    _check_whole(image_index, group_index, version)
    beginning = f"Image:{image_index}:{group_index}:{version}"
    return _encoded(beginning + " " * (-len(beginning + ":") % 3) + ":")


def _check_whole(*numbers: int) -> None:
    # A bool is an int that is none.
    if any(type(number) is not int for number in numbers):
        raise TypeError("not a whole number")


_URL_ALPHABET = bytes.maketrans(b"+/", b"-_")


def _encoded(text: str) -> str:
    # What base64.urlsafe_b64encode does, in half the time: a page has a thousand ids.
    return b2a_base64(text.encode(), newline=False).translate(_URL_ALPHABET, b"=").decode()


def _decoded(global_id: str) -> str:
    try:
        padded = global_id.encode("ascii") + b"=" * (-len(global_id) % 4)
        return base64.urlsafe_b64decode(padded).decode()
    except (UnicodeError, binascii.Error) as exc:
        raise ValueError("an id that is not base64url") from exc
