"""Probes of the way to the REST API: connections, certificates, tokens, compression, sizes and times."""

import asyncio
import ipaddress
import socket
import ssl
import statistics
import time

import httpx

from gallery_gateway.upstream.caching import parse_http_date
from gallery_gateway.upstream.proxy import Proxy
from gallery_gateway.upstream.refusals import transport_error
from gallery_gateway.upstream.transport import port_of
from gallery_gateway.verify.probe import Finding, differs, holds, not_seen, probe
from gallery_gateway.verify.session import NotSeenError, Response, Session, Token

# The smallest page.
SMALLEST = {"per_page": 1, "max_images_per_project": 1}

_FEW_DAYS = 14
_MAX_CLOCK_SECONDS = 5
_SECONDS_PER_DAY = 86_400

# What the contract says about the size of an image.
_MAX_IMAGE_BYTES = 12 * 1024


@probe(
    "reachability.dns",
    "Does the host name have an address?",
    meaning="There is no call at all: check UPSTREAM_URL and the resolver of this machine.",
)
async def dns(session: Session) -> Finding:
    host, port, what = _first_hop(session)
    started = time.monotonic()
    try:
        async with asyncio.timeout(session.settings.upstream_connect_timeout_seconds):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        return _no_way(session, f"the resolver does not answer for the name of {what}")
    except (OSError, UnicodeError):
        return _no_way(session, f"the name of {what} has no address")
    families = " and ".join(sorted({_FAMILIES.get(family, "another family") for family, *_ in found}))
    addresses = f"{len(found)} address{'es' if len(found) > 1 else ''} of {families}"
    return holds(f"{what} has {addresses}, {_milliseconds(time.monotonic() - started)}")


_FAMILIES = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}


@probe(
    "reachability.tcp",
    "Does it accept connections?",
    meaning="There is no call at all: check firewalls, UPSTREAM_URL and UPSTREAM_PROXY_URL.",
)
async def tcp(session: Session) -> Finding:
    session.check()
    host, port, what = _first_hop(session)
    started = time.monotonic()
    try:
        async with asyncio.timeout(session.settings.upstream_connect_timeout_seconds):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return _no_way(session, f"no connection to {what} in time")
    except (OSError, UnicodeError):
        return _no_way(session, f"{what} accepts no connection")
    writer.transport.abort()
    return holds(f"{what} accepts a connection, {_milliseconds(time.monotonic() - started)}")


@probe(
    "reachability.tls",
    "Is the connection encrypted, with a certificate that stays valid?",
    meaning="Over plain HTTP, tokens travel in the clear. Without TLS and a valid certificate, all calls"
    " fail: check UPSTREAM_URL, renew the certificate, or trust its authority with UPSTREAM_CA_FILE.",
)
async def tls(session: Session) -> Finding:
    started = time.monotonic()
    try:
        connection = await session.connect()
    except httpx.TransportError as exc:
        return _no_way(session, transport_error(exc).consequences.cause)
    seconds = time.monotonic() - started
    secured = connection.tls()
    connection.abort()
    if secured is None:
        return holds("plain HTTP within this machine") if _is_local(session) else differs("plain HTTP")
    version, certificate = secured
    days = int(ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) // _SECONDS_PER_DAY
    organisations = [value for ((name, value), *_) in certificate["issuer"] if name == "organizationName"]
    local = f"issued by {organisations[0]}" if organisations else ""
    evidence = f"{version}, {days} days left, {_milliseconds(seconds)}"
    return differs(evidence, local=local) if days < _FEW_DAYS else holds(evidence, local=local)


@probe(
    "authentication.no_token",
    "Is a call without a token refused as such?",
    meaning="Clients without a token get another error code than UNAUTHENTICATED, or an answer.",
    noticed=True,
)
async def no_token(session: Session) -> Finding:
    return await _refusal(session, Token.NONE)


@probe(
    "authentication.wrong_token",
    "Is a wrong token refused as such?",
    meaning="Clients with an expired token get another error code than UNAUTHENTICATED, or an answer.",
    noticed=True,
)
async def wrong_token(session: Session) -> Finding:
    return await _refusal(session, Token.WRONG)


@probe(
    "authentication.right_token",
    "Does the access token get a page?",
    meaning="Nothing else can be checked: check the token, and UPSTREAM_URL.",
    noticed=True,
)
async def right_token(session: Session) -> Finding:
    response = await session.get(SMALLEST)
    if response.status == 200 and isinstance(response.json, dict):
        return holds(response.seen)
    if response.error is not None and response.error.code == "UPSTREAM_UNAVAILABLE":
        # It may be available for the next call.
        return not_seen(response.seen)
    session.ended = session.ended or f"the access token gets no page: {response.seen}"
    return differs(response.seen)


@probe(
    "authentication.other_token",
    "Does the second access token get a page?",
    meaning="Whether callers are kept apart cannot be checked: check the second token.",
)
async def other_token(session: Session) -> Finding:
    response = await session.get(SMALLEST, token=Token.OTHER)
    is_page = response.status == 200 and isinstance(response.json, dict)
    return holds(response.seen) if is_page else differs(response.seen)


@probe(
    "reachability.clock",
    "Does the clock of this machine agree with that of the API?",
    meaning="The gateway misjudges when links and pages expire: synchronise the clock of its machine.",
)
async def clock(session: Session) -> Finding:
    token = Token.OURS if session.has(Token.OURS) else Token.NONE
    response = await session.get(SMALLEST, token=token)
    date = parse_http_date(response.headers.get("date", ""))
    if date is None:
        return not_seen("responses have no readable Date")
    seconds = abs(response.received_at - date)
    # The date has no fraction, and the response took a while.
    evidence = f"{seconds:.0f} s apart"
    return differs(evidence) if seconds > _MAX_CLOCK_SECONDS + response.seconds else holds(evidence)


@probe(
    "reachability.keep_alive",
    "Does a connection carry a second call?",
    meaning="Each call opens a connection, which adds the time of DNS, TCP and TLS to it.",
)
async def keep_alive(session: Session) -> Finding:
    token = Token.OURS if session.has(Token.OURS) else Token.NONE
    await session.get(SMALLEST, token=token)
    before = session.opened
    await session.get(SMALLEST, token=token, time=2)
    return differs("a new connection") if session.opened > before else holds("the same connection")


@probe(
    "reachability.compression",
    "Is compression used only on request, and readable?",
    meaning="Every response costs CPU time, or none can be read while gzip is requested.",
)
async def compression(session: Session) -> Finding:
    parameters = {"per_page": 3, "max_images_per_project": 10}
    plain = await session.get(parameters, encoding="identity")
    if plain.headers.get("content-encoding", "identity") != "identity":
        return differs("compressed although identity was requested")
    packed = await session.get(parameters, encoding="gzip")
    if packed.json is None or packed.status != 200:
        return differs(f"gzip requested: {packed.seen}")
    if "content-encoding" not in packed.headers:
        return holds("gzip requested: not compressed")
    return holds(f"gzip sends {packed.received_bytes:,} bytes for {len(packed.body):,}")


@probe(
    "reachability.latency",
    "Do responses begin and end well within the timeouts?",
    meaning="Operations of several pages may fail with UPSTREAM_TIMEOUT.",
    setting="UPSTREAM_FIRST_BYTE_TIMEOUT_SECONDS=30",
    noticed=True,
)
async def latency(session: Session) -> Finding:
    seconds = [response.seconds for response in _pages(session)]
    evidence = f"median {_milliseconds(statistics.median(seconds))}, at most {_milliseconds(max(seconds))}"
    evidence += f", of {len(seconds)} small pages"
    is_slow = max(seconds) > session.settings.upstream_first_byte_timeout_seconds / 2
    return differs(evidence) if is_slow else holds(evidence)


@probe(
    "reachability.bytes",
    "Do images weigh what the contract says, at most 12 KB?",
    meaning="Fewer pages fit into the cache than planned, and large ones may exceed UPSTREAM_MAX_BYTES.",
    setting="OPERATION_MAX_IMAGES=5000",
)
async def bytes_per_image(session: Session) -> Finding:
    pages = [response for response in _pages(session) if _images(response) > 0]
    if not pages:
        return not_seen("no page had an image")
    images, projects = sum(map(_images, pages)), sum(map(_projects, pages))
    size = sum(len(response.body) for response in pages)
    evidence = f"{size // images:,} bytes an image, {size // projects:,} a project, {images:,} images seen"
    # Of a page with one image, the project weighs as much.
    return differs(evidence) if size // images > _MAX_IMAGE_BYTES else holds(evidence)


def _first_hop(session: Session) -> tuple[str, int, str]:
    """Return host and port of what the gateway connects to, and its name for evidence."""
    proxy_url = session.settings.upstream_proxy_url
    if proxy_url is not None:
        proxy = Proxy(proxy_url.get_secret_value())
        return proxy.host, proxy.port, "the proxy"
    url = httpx.URL(str(session.settings.upstream_url))
    return url.host, port_of(url), "the API"


def _no_way(session: Session, reason: str) -> Finding:
    session.ended = f"there is no connection: {reason}"
    return differs(reason)


def _is_local(session: Session) -> bool:
    host = session.settings.upstream_url.host or ""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


async def _refusal(session: Session, token: Token) -> Finding:
    response = await session.get(SMALLEST, token=token)
    error = response.error
    evidence = f"{response.seen}: {'no error' if error is None else error.code}"
    is_refused = error is not None and error.code == "UNAUTHENTICATED"
    return holds(evidence) if is_refused else differs(evidence)


def _pages(session: Session) -> list[Response]:
    pages = [r for r in session.responses if r.status == 200 and isinstance(r.json, dict)]
    if not pages:
        raise NotSeenError(session.ended or "there was no page")
    return pages


def _projects(response: Response) -> int:
    projects = response.json.get("projects")
    return len(projects) if isinstance(projects, list) else 0


def _images(response: Response) -> int:
    if not _projects(response):
        return 0
    listed = [project.get("images") for project in response.json["projects"] if isinstance(project, dict)]
    return sum(len(images) for images in listed if isinstance(images, list))


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


FIRST = (dns, tcp, tls, no_token, wrong_token, right_token, other_token, clock, keep_alive, compression)
LAST = (latency, bytes_per_image)
