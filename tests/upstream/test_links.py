"""A link's expiry is read out of its URL, in each of the contract's five ways of signing."""

import base64
import json
import re
import time
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_gateway.upstream.contract import UpstreamImageFile
from gallery_gateway.upstream.links import earliest_link_expiry, without_signatures
from tests.counting import lines_run
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


def link_expiry(url: str) -> float | None:
    """The expiry of a page with this one link."""
    return expiry_with(image_body(inputs=[], output={"full_size": url}))


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


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Expires=900&X-Amz-Date=20260101T120000Z",
        "X-Amz-Date=20260101T120000Z&response-expires=1&X-Amz-SignedHeaders=host&X-Amz-Expires=900",
        "X-Goog-Date=20260101T120000Z&X-Amz-Expires=1&X-Goog-Expires=900",
        "X-Amz-Date=20260101T120000Z&X-Amz-Meta=1&X-Amz-Expires=900&X-Amz-Expires=1",
    ],
)
def test_a_date_and_its_seconds_need_not_follow_each_other(query: str) -> None:
    assert link_expiry(f"https://b.s3.amazonaws.com/k?{query}") == NOON + 900


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
    return earliest_link_expiry(json.dumps(page).encode())


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


def test_an_expired_link_in_a_comment_is_no_link_of_the_page() -> None:
    commented = image_body(0, feedback_comment=expiring(60), output={"full_size": S3})

    assert expiry_with(commented, image_body(1, output={"full_size": S3})) == NOON + 900
    assert expiry_with(image_body(0, inputs=[], output=None, feedback_comment=S3)) is None


@pytest.mark.parametrize(
    "first", ['https://pictures.example/"k"?a="b"&Expires=1767269700', "https://pictures.example/k?v=%22"]
)
def test_a_quote_in_a_link_hides_no_expiry(first: str) -> None:
    assert expiry_with(image_body(0, inputs=[{"full_size": first}], output={"full_size": S3})) == NOON + 900
    assert link_expiry(first) in {NOON + 900, None}


def test_a_link_that_begins_like_another_may_expire_before_it() -> None:
    midnight, elsewhere = AZURE.partition("&se=")[0] + "&se=2026-01-02", "T00:00:00%2B05:00&sp=r"

    expiry = expiry_with(image_body(0, output={"full_size": midnight, "thumbnail": midnight + elsewhere}))

    assert expiry == NOON + 7 * 3600


def signed_page(kind: str, images: int) -> bytes:
    urls = [f"{SIGNED[kind]}&number={number}" for number in range(images)]
    return json.dumps(
        page_body(project_body(1, *(image_body(output={"full_size": url}) for url in urls)))
    ).encode()


@pytest.mark.parametrize("kind", SIGNED)
def test_links_that_begin_alike_are_read_once(kind: str) -> None:
    """A page may have tens of thousands of links."""
    # Moments that have been read once are remembered.
    earliest_link_expiry(signed_page(kind, 1))

    steps = {
        images: lines_run(partial(earliest_link_expiry, signed_page(kind, images))) for images in (2, 200)
    }

    assert steps[200] == steps[2]


MOMENTS = st.integers(min_value=1, max_value=5)


@st.composite
def links(draw: st.DrawFn) -> str | None:
    """A link of any kind, with the moments of few."""
    moment = draw(MOMENTS)
    seconds = 60 * moment
    until = int(NOON) + seconds
    kinds = [
        None,
        "https://pictures.example/out.png",
        f"https://pictures.example/out.png?v={moment}",
        "https://pictures.example/a?b?c",
        expiring(seconds),
        S3.replace("&X-Amz-Expires=900", "").replace("?", f"?X-Amz-Expires={seconds}&"),
        GCS.replace("Expires=900", f"Expires={seconds}"),
        CLOUDFRONT.replace("1767269700", str(until)),
        f"https://b.s3.amazonaws.com/k?AWSAccessKeyId=AKIA&Signature=v%3D&Expires={until}",
        f"https://d1.cloudfront.net/k?Policy={cloudfront_policy(expiring_policy(until))}&Signature=n~",
        AZURE.replace("12%3A15", f"12%3A{moment:02}"),
    ]
    # What stands before the query, or in its signature, differs from link to link.
    url = draw(st.sampled_from(kinds))
    varied = draw(st.sampled_from(["", "%C3%A9", "1", "~\u00e9", "\\", '"', "\n", "#a"]))
    return url and draw(st.sampled_from([url, f"{url}&x={varied}", url.replace("/out", f"/{varied}/out")]))


TEXTS = links() | st.sampled_from(["why? why?", 'a "quoted" one?', "C:\\?", "\\u0026?Expires=1", "?"])
FREE_FORM = st.none() | TEXTS | st.dictionaries(st.sampled_from(["full_size", "url", "thumbnail"]), TEXTS)


@st.composite
def pages(draw: st.DrawFn) -> dict[str, Any]:
    files = st.fixed_dictionaries({}, optional={"full_size": links(), "thumbnail": links()})
    images = st.fixed_dictionaries(
        {"inputs": st.lists(files, max_size=3), "output": st.none() | files},
        optional={"feedback_comment": TEXTS, "input_description": FREE_FORM, "retouch_claim": FREE_FORM},
    )
    listed = draw(st.lists(images, max_size=12))
    return page_body(project_body(1, *(image_body(n, **fields) for n, fields in enumerate(listed))))


def spelled(page: dict[str, Any], escaping: str, *, indent: int | None) -> bytes:
    """JSON as different encoders write it."""
    text = json.dumps(page, ensure_ascii=escaping != "utf-8", indent=indent)
    if escaping == "html":
        for character in "&<>'":
            text = text.replace(character, f"\\u00{ord(character):02x}")
    if escaping == "slashes":
        text = text.replace("/", "\\/")
    if escaping == "all":
        # Everything in strings but what is escaped already.
        strings = re.compile(r'"((?:[^"\\]|\\.)*)"')
        each = re.compile(r"\\u[0-9a-f]{4}|\\.|(.)")
        text = strings.sub(
            lambda whole: '"' + each.sub(lambda c: f"\\u{ord(c[1]):04X}" if c[1] else c[0], whole[1]) + '"',
            text,
        )
    return text.encode()


def slowly(value: Any) -> list[float]:
    """The moments of all links in a value, by parsing each one."""
    if isinstance(value, list):
        return [moment for item in value for moment in slowly(item)]
    if not isinstance(value, dict):
        return []
    urls = [url for name, url in value.items() if name in {"full_size", "thumbnail"} and isinstance(url, str)]
    own = [moment for url in urls if (moment := moment_of(url)) is not None]
    return own + [moment for item in value.values() for moment in slowly(item)]


def moment_of(url: str) -> float | None:
    parameters = dict(parse_qsl(url.partition("?")[2]))
    for vendor in ("X-Amz-", "X-Goog-"):
        if vendor + "Date" in parameters:
            signed = datetime.strptime(parameters[vendor + "Date"], "%Y%m%dT%H%M%S%z").timestamp()
            return signed + int(parameters[vendor + "Expires"])
    if "Policy" in parameters:
        policy = base64.b64decode(parameters["Policy"].translate(str.maketrans("-_~", "+=/")))
        return float(json.loads(policy)["Statement"][0]["Condition"]["DateLessThan"]["AWS:EpochTime"])
    if "se" in parameters:
        return datetime.fromisoformat(parameters["se"]).timestamp()
    return float(parameters["Expires"]) if "Expires" in parameters else None


@settings(max_examples=300)
@given(
    page=pages(),
    escaping=st.sampled_from(["ascii", "utf-8", "html", "slashes", "all"]),
    indent=st.sampled_from([None, 2]),
)
def test_the_search_finds_what_reading_each_link_finds(
    page: dict[str, Any], escaping: str, indent: int | None
) -> None:
    found = earliest_link_expiry(spelled(page, escaping, indent=indent))

    assert found == min(slowly(page), default=None)


def shown(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("url", SIGNED.values(), ids=SIGNED)
def test_a_file_says_when_its_signed_link_expires(url: str) -> None:
    assert UpstreamImageFile(thumbnail=url).expires_at == "2026-01-01T12:15:00Z"


@pytest.mark.parametrize(
    "url", [*JUNK, "https://d1.cloudfront.net/k?Expires=" + "9" * 15, "?\ud800", None, 5, ["?"]]
)
def test_a_file_whose_links_do_not_say_so_has_no_expiry(url: Any) -> None:
    assert UpstreamImageFile(full_size=url, thumbnail=None).expires_at is None


def test_an_expiry_before_the_year_1000_has_four_digits_too() -> None:
    url = "https://a.blob.core.windows.net/k?se=0900-01-01"

    assert UpstreamImageFile(full_size=url).expires_at == "0900-01-01T00:00:00Z"


@given(full_size=links(), thumbnail=links())
def test_a_file_expires_with_the_first_of_its_links(full_size: str | None, thumbnail: str | None) -> None:
    moments = slowly({"full_size": full_size, "thumbnail": thumbnail})

    expires_at = UpstreamImageFile(full_size=full_size, thumbnail=thumbnail).expires_at

    assert expires_at == shown(min(moments, default=None))


@pytest.mark.parametrize("url", SIGNED.values(), ids=SIGNED)
def test_a_link_without_its_signature_says_what_it_links_to(url: str) -> None:
    body = json.dumps({"data": {"before": "?", "link": url, "after": "Expires=9"}}).encode()

    found = json.loads(without_signatures(body))

    file, _, query = url.partition("?")
    others = [each for each in query.split("&") if each.startswith("response-content-")]
    assert found == {"data": {"before": "?", "link": "&".join([file, *others]), "after": "Expires=9"}}


@given(texts=st.lists(st.text() | st.sampled_from([*SIGNED.values(), *JUNK, 'https://a/b?Expires=9&"c\\d'])))
def test_only_links_that_say_when_they_expire_are_shortened(texts: list[str]) -> None:
    found = json.loads(without_signatures(json.dumps(texts, ensure_ascii=False).encode(errors="replace")))

    for before, after in zip(texts, found, strict=True):
        if "://" not in before or not re.search("[?&6].*(Expires|Date|se|Policy)=", before, re.DOTALL):
            assert after == before.encode(errors="replace").decode()
        else:
            assert after.startswith(before.partition("?")[0])


def test_the_time_to_shorten_a_text_of_question_marks_is_linear() -> None:
    text = b'"https://' * 20_000 + b"?" * 400_000

    started = time.perf_counter()
    without_signatures(text)

    assert time.perf_counter() - started < 1
