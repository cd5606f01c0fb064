"""Stored pages open under their own key and secret, whole, and as nothing else."""

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.shared.pages import StoredPage
from gallery_gateway.shared.sealing import (
    Encryption,
    Seal,
    Signature,
    WrongPageError,
    open_page,
    seal_page,
)
from tests.shared.servers import stored_page

SECRET = b"a-made-up-secret-of-32-characters"
PAGE = stored_page()

each_seal = pytest.mark.parametrize("kind", [Encryption, Signature])


def opened(sealed: bytes, seal: Seal, *, key: bytes = b"key", max_bytes: int = 10_000) -> StoredPage:
    return open_page(sealed, seal, key=key, max_bytes=max_bytes)


@each_seal
def test_a_page_comes_back_as_it_was(kind: type[Encryption | Signature]) -> None:
    seal = kind(SECRET)

    assert opened(seal_page(PAGE, seal, key=b"key"), seal) == PAGE


@each_seal
def test_a_page_does_not_open_under_another_key(kind: type[Encryption | Signature]) -> None:
    seal = kind(SECRET)

    with pytest.raises(WrongPageError):
        opened(seal_page(PAGE, seal, key=b"key"), seal, key=b"other key")


@each_seal
def test_a_page_does_not_open_with_another_secret(kind: type[Encryption | Signature]) -> None:
    sealed = seal_page(PAGE, kind(SECRET), key=b"key")

    with pytest.raises(WrongPageError):
        opened(sealed, kind(b"another-made-up-secret-of-32-char"))


@each_seal
@given(at=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_a_page_with_one_bit_changed_does_not_open(
    kind: type[Encryption | Signature], at: int, bit: int
) -> None:
    seal = kind(SECRET)
    changed = bytearray(seal_page(PAGE, seal, key=b"key"))
    changed[at % len(changed)] ^= 1 << bit

    with pytest.raises(WrongPageError):
        opened(bytes(changed), seal)


@each_seal
@given(junk=st.binary(max_size=200))
def test_junk_does_not_open(kind: type[Encryption | Signature], junk: bytes) -> None:
    with pytest.raises(WrongPageError):
        opened(junk, kind(SECRET))


@each_seal
@given(content=st.binary(max_size=200))
def test_what_is_sealed_but_no_page_does_not_open(kind: type[Encryption | Signature], content: bytes) -> None:
    seal = kind(SECRET)

    for sealed in (content, zstandard.compress(content)):
        with pytest.raises(WrongPageError):
            opened(seal.close(sealed, key=b"key"), seal)


@each_seal
def test_a_page_that_inflates_to_more_than_is_read_does_not_open(kind: type[Encryption | Signature]) -> None:
    seal = kind(SECRET)
    bomb = zstandard.compress(bytes(1_000_000))

    with pytest.raises(WrongPageError):
        opened(seal.close(bomb, key=b"key"), seal, max_bytes=999_999)


def test_an_encrypted_page_shows_nothing_of_itself() -> None:
    sealed = seal_page(PAGE, Encryption(SECRET), key=b"key")

    assert b"pagination" not in sealed
    assert seal_page(PAGE, Encryption(SECRET), key=b"key") != sealed


def test_a_signed_page_does_not_open_as_an_encrypted_one() -> None:
    with pytest.raises(WrongPageError):
        opened(seal_page(PAGE, Signature(SECRET), key=b"key"), Encryption(SECRET))


def test_an_encrypted_page_does_not_open_as_a_signed_one() -> None:
    with pytest.raises(WrongPageError):
        opened(seal_page(PAGE, Encryption(SECRET), key=b"key"), Signature(SECRET))
