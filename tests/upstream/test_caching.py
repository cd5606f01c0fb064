"""What the caching headers of a response say, in every spelling: one table for each header."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gallery_gateway.upstream.caching import NOTHING_SAID, CachingRules, parse_caching_rules, parse_http_date

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
HEADERS = ["cache-control", "age", "etag", "expires", "date"]


def rules(**headers: str | list[str]) -> CachingRules:
    """Return the rules of these headers; a list is sent as several lines."""
    lines = [
        (name.replace("_", "-").encode(), value.encode())
        for name, values in headers.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return parse_caching_rules(httpx.Headers(lines))


def test_a_response_without_caching_headers_has_no_rules() -> None:
    assert rules(date=DATE, vary="*") == NOTHING_SAID


CACHE_CONTROL = [
    # How long, whether it is stored, and whether it may be stale.
    ("max-age=60", 60, True, True),
    ("private, max-age=60", 60, True, True),
    ("Private,MAX-AGE=60", 60, True, True),
    ("public, max-age=60, immutable", 60, True, True),
    ('max-age="60"', 60, True, True),
    ("max-age = 60", 60, True, True),
    ("max-age=060", 60, True, True),
    ("private; max-age=60", 60, True, True),
    (" , ,max-age=60,, ", 60, True, True),
    ("\tmax-age=60\t", 60, True, True),
    ("max-age=0", 0, True, True),
    # An argument that cannot be read: expired (RFC 9111, 4.2.1).
    ("max-age", 0, True, True),
    ("max-age=", 0, True, True),
    ('max-age=""', 0, True, True),
    ("max-age=soon", 0, True, True),
    ("max-age=-1", 0, True, True),
    ("max-age=+60", 0, True, True),
    ("max-age=60.5", 0, True, True),
    ("max-age=60s", 0, True, True),
    ("max-age=1e9", 0, True, True),
    ("max-age=0x60", 0, True, True),
    ("max-age=٦٠", 0, True, True),
    # More than fits: a very long time (RFC 9111, 1.2.2).
    ("max-age=2147483648", 2**31, True, True),
    ("max-age=" + "9" * 40, 1e12, True, True),
    ("max-age=" + "9" * 9_000, 1e12, True, True),
    # Twice: the shorter time.
    ("max-age=60, max-age=60", 60, True, True),
    ("max-age=60, max-age=5", 5, True, True),
    ("max-age=5, max-age=60", 5, True, True),
    ("max-age=60, max-age=never", 0, True, True),
    (["max-age=60", "max-age=5"], 5, True, True),
    (["private", "max-age=5"], 5, True, True),
    (["max-age=5", "no-store"], 5, False, False),
    # The most restrictive directive counts.
    ("no-cache", 0, True, False),
    ("no-cache, max-age=60", 0, True, False),
    ("max-age=60, NO-CACHE", 0, True, False),
    ("no-store", None, False, False),
    ("max-age=60, No-Store", 60, False, False),
    ("no-store=", None, False, False),
    ("no-store, no-cache, must-revalidate", 0, False, False),
    ("max-age=60, must-revalidate", 60, True, False),
    # Qualified by header names; a cache may ignore that.
    ('no-cache="set-cookie", max-age=60', 0, True, False),
    ('private="set-cookie", max-age=60', 60, True, True),
    ('private="x, max-age=0, no-store", max-age=60', 60, True, True),
    (r'private="x\", no-store", max-age=60', 60, True, True),
    ('private="x, max-age=60', 60, True, True),
    # For shared caches only (RFC 9111, 5.2.2.10), and this one is not shared.
    ("s-maxage=60", None, True, True),
    ("max-age=60, s-maxage=5, proxy-revalidate", 60, True, True),
    # Other names.
    ("private", None, True, True),
    ("", None, True, True),
    (",,", None, True, True),
    ("=60", None, True, True),
    ("x-max-age=60", None, True, True),
    ("max-agent=60", None, True, True),
    ("no-cached, no-stores", None, True, True),
    ('x="no-store"', None, True, True),
]


@pytest.mark.parametrize(("value", "seconds", "is_storable", "may_be_stale"), CACHE_CONTROL)
def test_cache_control(
    value: str | list[str], seconds: float | None, is_storable: bool, may_be_stale: bool
) -> None:
    assert rules(cache_control=value) == CachingRules(
        lifetime_seconds=seconds, is_storable=is_storable, may_be_stale=may_be_stale
    )


@pytest.mark.parametrize("name", ["stale-while-revalidate", "stale-if-error"])
@pytest.mark.parametrize(
    ("argument", "seconds"),
    [("=60", 60), ('="60"', 60), ("=0", 0), ("=60, {}=5", 5), ("", None), ("=soon", None), ("=-1", None)],
)
def test_how_long_a_page_may_be_stale(name: str, argument: str, seconds: float | None) -> None:
    given = rules(cache_control=f"{name}{argument.format(name)}")

    assert getattr(given, f"{name.replace('-', '_')}_seconds") == seconds


AGES = [
    ("15", 15),
    (" 15 ", 15),
    ("60", 60),
    ("90", 90),
    ("15, 20", 15),
    (["15", "20"], 15),
    ("9" * 5_000, 1e12),
    ("old", 0),
    ("-5", 0),
    ("1.5", 0),
    ("", 0),
]


@pytest.mark.parametrize(("value", "seconds"), AGES)
def test_age(value: str | list[str], seconds: float) -> None:
    given = rules(cache_control="max-age=60", age=value)

    assert given.age_seconds == seconds
    assert given.lifetime_seconds == max(0, 60 - seconds)


EXPIRES = [
    # A minute after `Date`, in the three formats of RFC 9110, section 5.6.7.
    ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
    ("Sunday, 06-Nov-94 08:50:37 GMT", 60),
    ("Sun Nov  6 08:50:37 1994", 60),
    ("Sun, 06 Nov 1994 10:50:37 +0200", 60),
    ("06 Nov 1994 08:50:37 GMT", 60),
    # Now, and before.
    (DATE, 0),
    ("Sun, 06 Nov 1994 08:48:37 GMT", 0),
    ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    # No date (RFC 9111, section 5.3).
    ("0", 0),
    ("-1", 0),
    ("60", 0),
    ("never", 0),
    ("", 0),
    ("1994-11-06T08:50:37Z", 0),
    ("Sun, 31 Feb 2094 08:49:37 GMT", 0),
    ("Sun, 06 Nov 2094 25:49:37 GMT", 0),
    ("Sun, 06 Nov 99994 08:49:37 GMT", 0),
    # Twice: the earlier one.
    (["Sun, 06 Nov 1994 08:50:37 GMT", "Sun, 06 Nov 1994 08:49:47 GMT"], 10),
    (["Sun, 06 Nov 1994 08:50:37 GMT", "0"], 0),
]


@pytest.mark.parametrize(("value", "seconds"), EXPIRES)
def test_expires(value: str | list[str], seconds: float) -> None:
    assert rules(expires=value, date=DATE).lifetime_seconds == seconds


def test_expires_counts_from_the_clock_of_the_server() -> None:
    """Whatever the time is here: the server's clock may be years off."""
    ahead = rules(expires="Sun, 06 Nov 2094 08:50:37 GMT", date="Sun, 06 Nov 2094 08:49:37 GMT")

    assert ahead.lifetime_seconds == 60


@pytest.mark.parametrize("date", [[], "yesterday", "0"])
def test_without_a_date_expires_counts_from_now(date: str | list[str]) -> None:
    expires = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)

    assert rules(expires=expires, date=date).lifetime_seconds == pytest.approx(3600, abs=60)


@pytest.mark.parametrize(
    ("cache_control", "seconds"), [("max-age=5", 5), ("max-age=x", 0), ("private", 60), ("no-cache", 0)]
)
def test_max_age_goes_before_expires(cache_control: str, seconds: float) -> None:
    given = rules(cache_control=cache_control, expires="Sun, 06 Nov 1994 08:50:37 GMT", date=DATE)

    assert given.lifetime_seconds == seconds


def test_age_is_taken_off_expires() -> None:
    given = rules(expires="Sun, 06 Nov 1994 08:50:37 GMT", date=DATE, age="50")

    assert given.lifetime_seconds == 10


ETAGS = [
    ('"a"', True),
    ('W/"a"', True),
    ('w/"a"', True),
    ('""', True),
    ('"a, b"', False),
    ('"a,b"', True),
    ('"a-gzip"', True),
    ("a", True),
    ("0815:7", True),
    ("", False),
    ("*", False),
    ('"*"', True),
    ('"a", "b"', False),
    (['"a"', '"b"'], False),
    ('"a', False),
    ('a"', False),
    ('"a"b"', False),
    ("a b", False),
    ('"ä"', False),
    ('"' + "a" * 2_000 + '"', False),
]


@pytest.mark.parametrize(("value", "is_sent_back"), ETAGS)
def test_an_etag_is_sent_back_unchanged_or_not_at_all(value: str | list[str], is_sent_back: bool) -> None:
    assert rules(etag=value).etag == (value if is_sent_back else None)


def test_a_304_replaces_the_rules_that_it_has() -> None:
    known = rules(cache_control="max-age=60", etag='"a"')

    renewed = known.renewed(rules(cache_control="max-age=5", etag='"a"', age="1"))

    assert renewed == CachingRules(lifetime_seconds=4, age_seconds=1, etag='"a"')


def test_a_304_keeps_the_rules_that_it_does_not_have() -> None:
    known = rules(cache_control="max-age=60", etag='"a"')

    assert known.renewed(rules()) == known


@pytest.mark.parametrize("etag", ['"b"', 'W/"a"'])
def test_a_304_does_not_give_the_known_page_the_etag_of_another(etag: str) -> None:
    known = rules(etag='"a"')

    assert known.renewed(rules(etag=etag)).etag == '"a"'


def test_a_304_may_forbid_storing() -> None:
    known = rules(cache_control="max-age=60", etag='"a"')

    assert not known.renewed(rules(cache_control="no-store")).is_storable


TEXTS = st.text(st.characters(codec="latin-1"), max_size=40)
PIECES = ["max-age", "no-store", "=", '"', "\\", ",", " ", "5", "Sun", "Nov", ":", "-"]
ALMOST = st.lists(st.sampled_from(PIECES))


@given(st.dictionaries(st.sampled_from(HEADERS), TEXTS | ALMOST.map("".join)))
@example({"cache-control": 'a="' + "\\" * 60_000})
@example({"cache-control": "a" + " " * 60_000})
def test_whatever_headers_hold_they_give_sound_rules(headers: dict[str, str]) -> None:
    given = parse_caching_rules(httpx.Headers([(name.encode(), headers[name].encode()) for name in headers]))

    assert given.lifetime_seconds is None or given.lifetime_seconds >= 0
    assert 0 <= given.age_seconds <= 1e12
    assert given.etag is None or given.etag.isprintable()


@given(st.integers(0, 2**32))
def test_a_date_of_any_format_is_the_same_moment(seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    formats = ["%a, %d %b %Y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]

    parsed = {parse_http_date(moment.strftime(form)) for form in formats}

    assert parsed == {seconds}
