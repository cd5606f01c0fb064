"""What the endpoint's headers say of keeping an answer."""

import httpx
import pytest

from gallery_gateway.upstream.caching import NOTHING_SAID, CachingRules, parse_caching_rules


def rules(**headers: str) -> CachingRules:
    return parse_caching_rules(httpx.Headers({n.replace("_", "-"): value for n, value in headers.items()}))


def test_a_response_without_caching_headers_has_no_rules() -> None:
    assert rules() == NOTHING_SAID


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("max-age=60", 60),
        ("private, max-age=60", 60),
        ("Private,MAX-AGE=60", 60),
        ('max-age="60"', 60),
        ("max-age=0", 0),
        ("no-cache", 0),
        ("no-cache, max-age=60", 0),
        ('no-cache="set-cookie", max-age=60', 0),
        ("private", None),
        # For shared caches only (RFC 9111, 5.2.2.10), and this one is not shared.
        ("s-maxage=60", None),
        ("", None),
        (",,", None),
        ("max-age", None),
        ("max-age=", None),
        ("max-age=soon", None),
        ("max-age=-1", None),
        ("max-age=" + "9" * 400, None),
    ],
)
def test_cache_control_sets_the_lifetime(value: str, seconds: float | None) -> None:
    assert rules(cache_control=value).lifetime_seconds == seconds


@pytest.mark.parametrize(
    ("value", "is_storable"),
    [("no-store", False), ("max-age=60, No-Store", False), ("no-cache", True), ("private", True)],
)
def test_no_store_forbids_storing(value: str, is_storable: bool) -> None:
    assert rules(cache_control=value).is_storable is is_storable


@pytest.mark.parametrize(("age", "seconds"), [("15", 45), ("60", 0), ("90", 0), ("old", 60), ("-5", 60)])
def test_age_is_taken_off_the_lifetime(age: str, seconds: float) -> None:
    assert rules(cache_control="max-age=60", age=age).lifetime_seconds == seconds


def test_age_is_parsed() -> None:
    assert rules(age="15").age_seconds == 15


@pytest.mark.parametrize("etag", ['"a"', 'W/"a"'])
def test_an_etag_is_unchanged(etag: str) -> None:
    assert rules(etag=etag).etag == etag


def test_several_headers_of_one_name_count_as_one() -> None:
    headers = httpx.Headers([("cache-control", "private"), ("cache-control", "max-age=5")])

    assert parse_caching_rules(headers).lifetime_seconds == 5


def test_a_304_replaces_the_rules_that_it_has() -> None:
    known = rules(cache_control="max-age=60", etag='"a"')

    renewed = known.renewed(rules(cache_control="max-age=5", etag='"b"', age="1"))

    assert renewed == CachingRules(lifetime_seconds=4, age_seconds=1, etag='"b"')


def test_a_304_keeps_the_rules_that_it_does_not_have() -> None:
    known = rules(cache_control="max-age=60", etag='"a"')

    assert known.renewed(rules()) == known


def test_a_304_may_forbid_storing() -> None:
    known = rules(cache_control="max-age=60", etag='"a"')

    assert not known.renewed(rules(cache_control="no-store")).is_storable
