import copy
import hmac
import pickle

import pytest

from gallery_gateway.gallery.caller import Caller
from tests.fakes import OTHER_TOKEN, TOKEN

SECRET = b"s" * 32


def test_callers_are_equal_by_token_alone() -> None:
    caller = Caller(TOKEN, secret=SECRET)

    assert caller == Caller(TOKEN, secret=SECRET)
    assert caller != Caller(OTHER_TOKEN, secret=SECRET)
    assert caller != TOKEN


def test_a_key_under_another_secret_is_another_key() -> None:
    assert Caller(TOKEN, secret=SECRET).key != Caller(TOKEN, secret=b"t" * 32).key


def test_the_token_is_in_no_key_and_no_repr() -> None:
    caller = Caller(TOKEN, secret=SECRET)

    shown = f"{caller!r} {caller} {caller.fingerprint} {caller.key!r} {vars.__doc__ and dir(caller)}"

    assert TOKEN not in shown


@pytest.mark.parametrize("carry", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_caller_does_not_leave_its_process(carry: object) -> None:
    with pytest.raises(TypeError):
        carry(Caller(TOKEN, secret=SECRET))  # type: ignore[operator]  # a parametrised callable


def test_the_key_is_the_hmac_of_the_token_whatever_was_asked_before() -> None:
    pairs = [(token, secret) for token in ("ada", "ben", "ada") for secret in (b"one", b"two", b"one")]

    keys = [Caller(token, secret=secret).key for token, secret in pairs]

    assert keys == [hmac.digest(secret, token.encode(), "sha256") for token, secret in pairs]
