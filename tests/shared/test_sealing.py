"""A sealed page opens under its own key and secret, complete, and as nothing else."""

import os

import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.shared.sealing import PageSeal
from tests.shared.servers import stored_page

SECRET = b"a-made-up-secret-of-32-characters"
PAGE = stored_page()
SEAL = PageSeal(SECRET, max_bytes=10_000)


def sealed_content(content: bytes) -> bytes:
    """Content that is encrypted like a page, whatever it is."""
    nonce = os.urandom(12)
    return nonce + SEAL._cipher.encrypt(nonce, content, b"key")


def test_a_page_comes_back_as_it_was() -> None:
    assert SEAL.open(SEAL.seal(PAGE, b"key"), b"key") == PAGE


def test_a_page_does_not_open_under_another_key() -> None:
    assert SEAL.open(SEAL.seal(PAGE, b"key"), b"other key") is None


def test_a_page_does_not_open_with_another_secret() -> None:
    other = PageSeal(b"another-made-up-secret-of-32-char", max_bytes=10_000)

    assert other.open(SEAL.seal(PAGE, b"key"), b"key") is None


@given(at=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_a_page_with_one_bit_changed_does_not_open(at: int, bit: int) -> None:
    changed = bytearray(SEAL.seal(PAGE, b"key"))
    changed[at % len(changed)] ^= 1 << bit

    assert SEAL.open(bytes(changed), b"key") is None


@given(junk=st.binary(max_size=200))
def test_junk_does_not_open(junk: bytes) -> None:
    assert SEAL.open(junk, b"key") is None


@given(content=st.binary(max_size=200))
def test_sealed_content_that_is_not_a_page_does_not_open(content: bytes) -> None:
    assert SEAL.open(sealed_content(content), b"key") is None
    assert SEAL.open(sealed_content(zstandard.compress(content)), b"key") is None


def test_a_page_that_inflates_to_more_than_the_limit_does_not_open() -> None:
    bomb = SEAL.seal(stored_page(bytes(1_000_000)), b"key")

    assert len(bomb) < 10_000
    assert SEAL.open(bomb, b"key") is None
    assert PageSeal(SECRET, max_bytes=1_001_000).open(bomb, b"key") is not None


def test_a_sealed_page_shows_nothing_of_itself() -> None:
    sealed = SEAL.seal(PAGE, b"key")

    assert b"pagination" not in sealed
    assert SEAL.seal(PAGE, b"key") != sealed
