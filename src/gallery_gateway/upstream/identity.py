"""Opaque global ids of projects and images.

An id is base64url without padding of `Project:<project_id>` or
`Image:<image_index>:<group_index>:<version>:<job_id>`. The job id is the last part because it may hold
colons. Spaces after the version make the text before the job id a multiple of three bytes long, so that both
can be encoded separately: a page has a thousand images, but few different positions.
"""

import base64
from binascii import b2a_base64
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gallery_gateway.errors import UpstreamContractError


@dataclass(frozen=True, slots=True)
class ProjectIdentity:
    """The fields that identify a project."""

    project_id: int


@dataclass(frozen=True, slots=True)
class ImageIdentity:
    """The fields that identify an image."""

    job_id: str
    image_index: int
    group_index: int
    version: int


def id_of_project(project: Any) -> str:
    """Return the global id of a project of the REST API.

    Raises:
        UpstreamContractError: the project is damaged, which its declared types do not exclude.
    """
    # A bool is an int.
    if type(project.project_id) is not int:
        raise UpstreamContractError("The gallery API sent a project without its id.")
    return project_global_id(project.project_id)


def id_of_image(image: Any) -> str:
    """Return the global id of an image of the REST API.

    Raises:
        UpstreamContractError: the image is damaged, which its declared types do not exclude.
    """
    try:
        # Without the function for both parts: a page has a thousand images.
        return _image_position(image.image_index, image.group_index, image.version) + _job(image.job_id)
    except TypeError as exc:
        raise UpstreamContractError("The gallery API sent an image without its identity.") from exc


def project_global_id(project_id: int) -> str:
    return _encoded(f"Project:{project_id}")


def image_global_id(job_id: str, image_index: int, group_index: int, version: int) -> str:
    """Raises: TypeError: an argument has another type."""
    return _image_position(image_index, group_index, version) + _job(job_id)


def parse_global_id(global_id: str) -> ProjectIdentity | ImageIdentity:
    """Raises: ValueError: this is not a global id of the gateway."""
    padded = global_id.encode("ascii") + b"=" * (-len(global_id) % 4)
    # The errors of both codecs are subclasses of ValueError.
    match base64.urlsafe_b64decode(padded).decode().split(":", 4):
        case ["Project", number]:
            identity: ProjectIdentity | ImageIdentity = ProjectIdentity(int(number))
            canonical = project_global_id(int(number))
        case ["Image", image_index, group_index, version, job_id]:
            position = int(image_index), int(group_index), int(version)
            identity = ImageIdentity(job_id, *position)
            canonical = image_global_id(job_id, *position)
        case _:
            raise ValueError("unknown type")
    if canonical != global_id:
        raise ValueError("not in canonical form")
    return identity


# Also keyed by type, because True equals 1.
@lru_cache(maxsize=16_384, typed=True)
def _image_position(image_index: int, group_index: int, version: int) -> str:
    # A bool is an int.
    if any(type(number) is not int for number in (image_index, group_index, version)):
        raise TypeError("not an integer")
    position = f"Image:{image_index}:{group_index}:{version}"
    return _encoded(position + " " * (-len(position + ":") % 3) + ":")


# The images of one job follow each other.
@lru_cache(maxsize=16)
def _job(job_id: str) -> str:
    if type(job_id) is not str:
        raise TypeError("not a string")
    return _encoded(job_id)


_URL_ALPHABET = bytes.maketrans(b"+/", b"-_")


def _encoded(text: str) -> str:
    # The same as base64.urlsafe_b64encode, in half the time: a page has a thousand ids.
    return b2a_base64(text.encode(), newline=False).translate(_URL_ALPHABET, b"=").decode()
