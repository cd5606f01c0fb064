"""Cursors of the connection: a place in a list, the list that it belongs to, and a checksum.

They are opaque, not secret: whoever makes one up gets no more than the list that the caller may see.
"""

import base64
import binascii
import hashlib
import struct

from gallery_gateway.errors import BadUserInputError
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.walking import Place

# Position, total and id of the project, the list, and the checksum of all of these.
_PLACE = struct.Struct(">IIq6s")
_CHECKSUM = struct.Struct(">I")
_LIST_BYTES = 6

_UNKNOWN_TOTAL = 2**32 - 1
_UNKNOWN_ID = -1
_LAST_POSITION = 2**31 - 1

_URL_ALPHABET = bytes.maketrans(b"+/", b"-_")


def list_hash(request: GalleryRequest) -> bytes:
    """What tells lists apart: all that decides which projects there are, and in which order."""
    parts = (
        request.order,
        request.project_id,
        request.status,
        request.feedback,
        request.ownership,
        request.search,
    )
    return hashlib.blake2b(repr(parts).encode(), digest_size=_LIST_BYTES).digest()


def encode_cursor(place: Place, listed: bytes) -> str:
    total = _UNKNOWN_TOTAL if place.total is None else min(max(place.total, 0), _UNKNOWN_TOTAL)
    project_id = place.project_id
    if project_id is None or not 0 <= project_id < 2**63:
        project_id = _UNKNOWN_ID
    packed = _PLACE.pack(min(place.position, _LAST_POSITION), total, project_id, listed)
    encoded = binascii.b2a_base64(packed + _CHECKSUM.pack(binascii.crc32(packed)), newline=False)
    return encoded.translate(_URL_ALPHABET, b"=").decode("ascii")


def decode_cursor(argument: str, cursor: str, listed: bytes) -> Place:
    """Raises: BadUserInputError: no cursor of ours, or one of another list."""
    packed = _checked(cursor)
    if packed is None:
        raise BadUserInputError(f"`{argument}` is no cursor of this graph.", argument=argument)
    position, total, project_id, its_list = _PLACE.unpack(packed)
    if its_list != listed:
        message = f"`{argument}` is a cursor of another list: the filters and the order must stay the same."
        raise BadUserInputError(message, argument=argument)
    return Place(
        position,
        None if project_id == _UNKNOWN_ID else project_id,
        None if total == _UNKNOWN_TOTAL else total,
    )


def _checked(cursor: str) -> bytes | None:
    """What was packed; None unless it is in our own spelling, whole, and as it was."""
    try:
        decoded = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except (UnicodeError, binascii.Error):
        return None
    packed, checksum = decoded[: _PLACE.size], decoded[_PLACE.size :]
    if checksum != _CHECKSUM.pack(binascii.crc32(packed)):
        return None
    spelled = base64.urlsafe_b64encode(decoded).rstrip(b"=").decode("ascii")
    return packed if spelled == cursor and _PLACE.unpack(packed)[0] <= _LAST_POSITION else None
