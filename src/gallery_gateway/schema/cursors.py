"""Cursors of a connection: opaque, bound to one list, and protected against changes by a checksum."""

import base64
import binascii
import hashlib
import struct

from gallery_gateway.errors import BadUserInputError
from gallery_gateway.gallery.pagination import CursorPosition
from gallery_gateway.gallery.request import GalleryRequest, project_order

# Position, total and id of the project, hash of the list; then a checksum of all four.
_POSITION = struct.Struct(">IIq6s")
_CHECKSUM = struct.Struct(">I")
_LIST_BYTES = 6

_UNKNOWN_TOTAL = 2**32 - 1
_UNKNOWN_ID = -1
_MAX_POSITION = 2**31 - 1

_URL_ALPHABET = bytes.maketrans(b"+/", b"-_")


def list_hash(request: GalleryRequest) -> bytes:
    """Return a hash of all parameters that decide which projects are in a list, and in which order."""
    return hashlib.blake2b(repr(project_order(request)).encode(), digest_size=_LIST_BYTES).digest()


def encode_cursor(position: CursorPosition, listed: bytes) -> str:
    total = _UNKNOWN_TOTAL if position.total is None else min(max(position.total, 0), _UNKNOWN_TOTAL)
    project_id = position.project_id
    if project_id is None or not 0 <= project_id < 2**63:
        project_id = _UNKNOWN_ID
    packed = _POSITION.pack(min(position.position, _MAX_POSITION), total, project_id, listed)
    encoded = binascii.b2a_base64(packed + _CHECKSUM.pack(binascii.crc32(packed)), newline=False)
    return encoded.translate(_URL_ALPHABET, b"=").decode("ascii")


def decode_cursor(argument: str, cursor: str, listed: bytes) -> CursorPosition:
    """Raises: BadUserInputError: `cursor` is not a cursor of the list with the hash `listed`."""
    packed = _unpack(cursor)
    if packed is None:
        message = f"`{argument}` is not a cursor of this graph. Use a `cursor`, `startCursor` or `endCursor`."
        raise BadUserInputError(message, argument=argument)
    position, total, project_id, its_list = _POSITION.unpack(packed)
    if its_list != listed:
        message = f"`{argument}` is a cursor of another list. Use the same filters and the same `order`."
        raise BadUserInputError(message, argument=argument)
    return CursorPosition(
        position,
        None if project_id == _UNKNOWN_ID else project_id,
        None if total == _UNKNOWN_TOTAL else total,
    )


def _unpack(cursor: str) -> bytes | None:
    """Return the bytes of an unchanged cursor in its canonical spelling, else `None`."""
    try:
        decoded = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except (UnicodeError, binascii.Error):
        return None
    packed, checksum = decoded[: _POSITION.size], decoded[_POSITION.size :]
    if checksum != _CHECKSUM.pack(binascii.crc32(packed)):
        return None
    spelled = base64.urlsafe_b64encode(decoded).rstrip(b"=").decode("ascii")
    return packed if spelled == cursor and _POSITION.unpack(packed)[0] <= _MAX_POSITION else None
