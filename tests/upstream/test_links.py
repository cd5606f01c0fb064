"""A link's expiry is read out of its URL, in each of the contract's five ways of signing."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.upstream.decoding import parse_page
from gallery_gateway.upstream.links import earliest_link_expiry, link_expiry
from tests.fakes import image_body, page_body, project_body

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()


def cloudfront_policy(policy: Any) -> str:
    """A policy as CloudFront puts it into a URL."""
    text = policy if isinstance(policy, bytes) else json.dumps(policy, separators=(",", ":")).encode()
    return base64.b64encode(text).decode().translate(str.maketrans("+=/", "-_~"))


def expiring_policy(moment: Any) -> dict[str, Any]:
    resource = "https://d111111abcdef8.cloudfront.net/out/*?~>"
    return {
        "Statement": [
            {
                "Resource": resource,
                "Condition": {
                    "DateLessThan": {"AWS:EpochTime": moment},
                    "IpAddress": {"AWS:SourceIp": "0.0.0.0/0"},
                },
            }
        ]
    }


S3 = (
    "https://piktid-results.s3.eu-central-1.amazonaws.com/out/7/0.png?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&X-Amz-Credential=AKIAEXAMPLE%2F20260101%2Feu-central-1%2Fs3"
    "%2Faws4_request&X-Amz-Date=20260101T120000Z&X-Amz-Expires=900&X-Amz-Security-Token=IQoJb3%2F%2F"
    "&X-Amz-SignedHeaders=host&X-Amz-Signature=6f2e&response-content-disposition=attachment%3Bse%3D1"
)
CLOUDFRONT = (
    "https://d111111abcdef8.cloudfront.net/out/7/0.png?Expires=1767269700"
    "&Signature=nitfHRCrtziwO2HwPfWw~yYDhUF5EwRunQA-j19DzZr__&Key-Pair-Id=K2JCJMDEHXQW5F"
)
GCS = (
    "https://storage.googleapis.com/piktid-results/out/7/0.png?X-Goog-Algorithm=GOOG4-RSA-SHA256"
    "&X-Goog-Credential=example%40example.iam.gserviceaccount.com%2F20260101%2Fauto%2Fstorage%2Fgoog4_request"
    "&X-Goog-Date=20260101T120000Z&X-Goog-Expires=900&X-Goog-SignedHeaders=host&X-Goog-Signature=247a"
)
AZURE = (
    "https://piktid.blob.core.windows.net/results/out/7/0.png?sv=2024-11-04&st=2026-01-01T11%3A55%3A00Z"
    "&se=2026-01-01T12%3A15%3A00Z&sr=b&sp=r&sig=Z%2FRHIX5Xcg0Mq2rqI3OlWTjEg2tYkboXr1P9ZUXDtkk%3D"
)
POLICY = (
    f"https://d111111abcdef8.cloudfront.net/out/7/0.png?Policy={cloudfront_policy(expiring_policy(1767269700))}"
    "&Signature=nitfHRCrtziwO2HwPfWw~&Key-Pair-Id=K2JCJMDEHXQW5F"
)
SIGNED = {"s3": S3, "cloudfront expires": CLOUDFRONT, "cloudfront policy": POLICY, "gcs": GCS, "azure": AZURE}


@pytest.mark.parametrize("url", SIGNED.values(), ids=SIGNED)
def test_a_signed_link_says_when_it_expires(url: str) -> None:
    assert link_expiry(url) == NOON + 900


@pytest.mark.parametrize(
    ("url", "seconds"),
    [
        # Version 2 of S3 and of GCS.
        ("https://b.s3.amazonaws.com/k?AWSAccessKeyId=AKIA&Signature=v%3D&Expires=1767268860", 60),
        ("https://storage.googleapis.com/b/k?GoogleAccessId=a%40b&Expires=1767268860&Signature=v%3D", 60),
        # The first parameter, and the last.
        ("https://d1.cloudfront.net/k?Expires=1767268860", 60),
        ("https://a.blob.core.windows.net/k?se=2026-01-01T12:01:00Z", 60),
        # Azure's other spellings of a moment.
        ("https://a.blob.core.windows.net/k?sp=r&se=2026-01-01T12%3A01Z&sig=x", 60),
        ("https://a.blob.core.windows.net/k?sp=r&se=2026-01-02&sig=x", 12 * 3600),
        ("https://a.blob.core.windows.net/k?sp=r&se=2026-01-01T14%3A01%3A00%2B02%3A00&sig=x", 60),
        # A parameter of CloudFront's before it, whose name ends alike.
        ("https://d1.cloudfront.net/k?response-Expires=9&Expires=1767268860", 60),
    ],
)
def test_other_spellings_of_a_moment_are_read(url: str, seconds: int) -> None:
    assert link_expiry(url) == NOON + seconds


JUNK = [
    "",
    "nonsense",
    "https://pictures.example/out.png",
    "https://pictures.example/out.png?",
    "https://pictures.example/out.png?width=200",
    "https://pictures.example/Expires=1767269700",
    S3.replace("20260101T120000Z", "yesterday"),
    S3.replace("20260101T120000Z", ""),
    S3.replace("X-Amz-Date=20260101T120000Z&", ""),
    S3.replace("Expires=900", "Expires=soon"),
    S3.replace("Expires=900", "Expires=" + "9" * 400),
    S3.replace("Expires=900", "Expires=" + "9" * 5000),
    GCS.replace("20260101T120000Z", "20261301T120000Z"),
    GCS.replace("X-Goog-Expires=900&", ""),
    CLOUDFRONT.replace("1767269700", "later"),
    CLOUDFRONT.replace("1767269700", ""),
    CLOUDFRONT.replace("1767269700", "9" * 400),
    CLOUDFRONT.replace("1767269700", "-1"),
    AZURE.replace("se=2026-01-01T12%3A15%3A00Z", "se="),
    AZURE.replace("se=2026-01-01T12%3A15%3A00Z", "se=%FF%00"),
    AZURE.replace("se=2026-01-01T12%3A15%3A00Z", "se=2026-13-41"),
    "https://d1.cloudfront.net/k?Policy=",
    "https://d1.cloudfront.net/k?Policy=abc",
    "https://d1.cloudfront.net/k?Policy=%C3%A9",
]
JUNK_POLICIES = [
    b"not json",
    b"\xff\xfe",
    b"[]",
    b"null",
    {"Statement": []},
    {"Statement": [{}]},
    {"Statement": [{"Condition": {"DateGreaterThan": {"AWS:EpochTime": 1}}}]},
    expiring_policy("soon"),
    expiring_policy(None),
    expiring_policy(10**400),
    b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
]


@pytest.mark.parametrize("url", JUNK)
def test_a_malformed_link_has_no_expiry(url: str) -> None:
    assert link_expiry(url) is None


@pytest.mark.parametrize("policy", JUNK_POLICIES, ids=lambda policy: str(policy)[:40])
def test_a_malformed_policy_has_no_expiry(policy: Any) -> None:
    assert link_expiry(f"https://d1.cloudfront.net/k?Policy={cloudfront_policy(policy)}") is None


@given(
    url=st.sampled_from([*SIGNED.values()]),
    start=st.integers(min_value=0, max_value=600),
    length=st.integers(min_value=0, max_value=40),
    junk=st.text(max_size=20),
)
def test_no_damage_to_a_link_is_an_error(url: str, start: int, length: int, junk: str) -> None:
    moment = link_expiry(url[:start] + junk + url[start + length :])

    assert moment is None or isinstance(moment, float)


def expiry_with(*images: dict[str, Any]) -> float | None:
    return expiry_of(page_body(project_body(1, *images), project_body(2)))


def expiry_of(page: dict[str, Any]) -> float | None:
    body = json.dumps(page).encode()
    return earliest_link_expiry(body, parse_page)


def expiring(seconds: int) -> str:
    return S3.replace("Expires=900", f"Expires={seconds}")


@pytest.mark.parametrize(
    "fields",
    [
        {"output": {"full_size": expiring(60), "thumbnail": None}},
        {"output": {"full_size": None, "thumbnail": expiring(60)}},
        {"inputs": [{"full_size": expiring(800)}, {"full_size": expiring(60)}]},
        {"inputs": [{"thumbnail": expiring(60)}], "output": None},
    ],
)
def test_the_first_link_of_a_page_to_expire_counts(fields: dict[str, Any]) -> None:
    later = image_body(0, output={"full_size": AZURE, "thumbnail": POLICY})

    assert expiry_with(later, image_body(1, **fields)) == NOON + 60


def test_a_page_without_signed_links_has_no_expiry() -> None:
    assert expiry_with(image_body(0), image_body(1, output=None, inputs=[])) is None


def test_the_intact_links_of_a_damaged_page_count() -> None:
    damaged = [
        None,
        3,
        {"output": 5},
        {"output": {"full_size": ["x"]}},
        {"inputs": [None, "x"]},
        {"inputs": 1},
    ]
    sound = image_body(9, output={"full_size": S3, "thumbnail": None})
    images = [{**image_body(0), **d} if isinstance(d, dict) else d for d in damaged]
    body = page_body(project_body(1, images=[*images, sound]), project_body(2, images=None))
    body["projects"] += [None, 5]

    assert expiry_of(body) == NOON + 900


@pytest.mark.parametrize(
    "odd",
    [
        {"output": {"full_size": expiring(60)}},
        {"output": {"full_size": POLICY}},
        {"feedback_comment": "why? why?"},
        {},
    ],
)
def test_links_signed_all_at_once_hide_no_other(odd: dict[str, Any]) -> None:
    alike = [image_body(n, inputs=[{"full_size": S3}], output={"thumbnail": S3}) for n in range(3)]
    moments = [link_expiry(url) for url in (S3, (odd.get("output") or {}).get("full_size", S3))]

    expiry = expiry_with(*alike, image_body(9, **{"output": {"full_size": S3}, **odd}))

    assert expiry == min(moment for moment in moments if moment is not None)
