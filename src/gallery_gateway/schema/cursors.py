"""Cursors of a connection: opaque, bound to one list, and protected against changes by a checksum."""

import base64
import binascii
import hashlib
import struct

from gallery_gateway.errors import BadUserInputError
from gallery_gateway.gallery.pagination import NEIGHBOUR_BITS, NEIGHBOURS, CursorPosition
from gallery_gateway.gallery.request import GalleryRequest, project_order
from gallery_gateway.upstream.contract import MAX_PER_PAGE

# Position, total and id of the project, largest page, neighbours, hash of the list; then a checksum of all.
_POSITION = struct.Struct(f">IIqB{2 * NEIGHBOURS}I6s")
_CHECKSUM = struct.Struct(">I")
_LIST_BYTES = 6

_UNKNOWN_TOTAL = 2**32 - 1
_UNKNOWN_ID = -(2**63)
_MAX_POSITION = 2**31 - 1
# In place of a neighbour: the list ends there, or the page did.
_NO_NEIGHBOUR = NEIGHBOUR_BITS

_URL_ALPHABET = bytes.maketrans(b"+/", b"-_")


def list_hash(request: GalleryRequest) -> bytes:
    """Return a hash of all parameters that decide which projects are in a list, and in which order."""
    return hashlib.blake2b(repr(project_order(request)).encode(), digest_size=_LIST_BYTES).digest()


def encode_cursor(position: CursorPosition, listed: bytes) -> str:
    total = _UNKNOWN_TOTAL if position.total is None else min(max(position.total, 0), _UNKNOWN_TOTAL)
    project_id = position.project_id
    if project_id is None or not _UNKNOWN_ID < project_id < 2**63:
        project_id = _UNKNOWN_ID
    neighbours = [
        beside[at] if at < len(beside) else _NO_NEIGHBOUR
        for beside in (position.before, position.after)
        for at in range(NEIGHBOURS)
    ]
    at = min(position.position, _MAX_POSITION)
    packed = _POSITION.pack(at, total, project_id, position.max_size, *neighbours, listed)
    encoded = binascii.b2a_base64(packed + _CHECKSUM.pack(binascii.crc32(packed)), newline=False)
    return encoded.translate(_URL_ALPHABET, b"=").decode("ascii")


def decode_cursor(argument: str, cursor: str, listed: bytes) -> CursorPosition:
    """Raises: BadUserInputError: `cursor` is not a cursor of the list with the hash `listed`."""
    packed = _unpack(cursor)
    if packed is None:
        message = (
            f"`{argument}` is not a cursor of this graph, or is one of an earlier version. Start over without"
            f" `{argument}`, and then use a `cursor`, `startCursor` or `endCursor`."
        )
        raise BadUserInputError(message, argument=argument)
    position, total, project_id, max_size, *neighbours, its_list = _POSITION.unpack(packed)
    if its_list != listed:
        message = f"`{argument}` is a cursor of another list. Use the same filters and the same `order`."
        raise BadUserInputError(message, argument=argument)
    return CursorPosition(
        position,
        None if project_id == _UNKNOWN_ID else project_id,
        None if total == _UNKNOWN_TOTAL else total,
        min(max(max_size, 2), MAX_PER_PAGE),
        tuple(each for each in neighbours[:NEIGHBOURS] if each != _NO_NEIGHBOUR),
        tuple(each for each in neighbours[NEIGHBOURS:] if each != _NO_NEIGHBOUR),
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
