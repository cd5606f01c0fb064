"""GraphiQL for browsers: the page, written once, and the files that it loads.

`graphiql/source/build.mjs` says what the page expects of its server.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

GRAPHQL_PATH = "/graphql"

_STATIC = Path(__file__).parent / "graphiql" / "static"
_INDEX = "index.html"
_TITLE = "Gallery gateway"

# Nothing but what comes from here, and no script or style in the page itself.
_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
# RFC 8246. All names but this one hold a hash of what they name.
_FOR_EVER = "public, max-age=31536000, immutable"
_UNHASHED = "LICENSES.txt"
_REFUSED = re.compile(r"q=0(\.0*)?")


class _Asset(NamedTuple):
    plain: bytes
    gzipped: bytes | None


class Explorer:
    """The page and its files, all in memory.

    Args:
        path: where the page is served; at `/graphql` it shares the path with the endpoint.
        token: what its headers editor begins with. Everyone who opens the page reads it: for the
            demo's made-up callers only.
    """

    def __init__(self, *, path: str, token: str | None) -> None:
        self._path = path
        self._page = _render_page(path, token)
        self._assets = _read_assets()

    def page(self) -> Response:
        """A response of its own for each request, since the edge adds headers to it."""
        return Response(
            self._page,
            media_type="text/html",
            headers={
                "content-security-policy": _CONTENT_SECURITY_POLICY,
                "cache-control": "no-store",
                "referrer-policy": "no-referrer",
                "vary": "Accept",
                "x-content-type-options": "nosniff",
            },
        )

    @property
    def shares_path(self) -> bool:
        """Whether the endpoint's own path gives the page to browsers."""
        return self._path == GRAPHQL_PATH

    def routes(self) -> list[Route]:
        """The files, and the page unless the endpoint gives it."""
        assets = Route("/graphiql/{name}", self._answer_asset)
        return [assets] if self.shares_path else [Route(self._path, self._answer_page), assets]

    async def _answer_page(self, _request: Request) -> Response:
        return self.page()

    async def _answer_asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        asset = self._assets.get(name)
        if asset is None:
            return PlainTextResponse("Not found", 404, headers={"x-content-type-options": "nosniff"})
        headers = {
            "content-type": _MEDIA_TYPES[Path(name).suffix],
            "cache-control": "no-cache" if name == _UNHASHED else _FOR_EVER,
            "x-content-type-options": "nosniff",
        }
        if asset.gzipped is None:
            return Response(asset.plain, headers=headers)
        headers["vary"] = "Accept-Encoding"
        if not _accepts_gzip(request.headers.getlist("accept-encoding")):
            return Response(asset.plain, headers=headers)
        return Response(asset.gzipped, headers=headers | {"content-encoding": "gzip"})


def _render_page(path: str, token: str | None) -> bytes:
    # Relative, so that the page also works behind a proxy that puts a prefix before all paths.
    root = "../" * (path.count("/") - 1)
    config = {"endpoint": f"{root}{GRAPHQL_PATH[1:]}", "token": token, "title": _TITLE}
    page = (_STATIC / _INDEX).read_bytes().replace(b'="graphiql/', f'="{root}graphiql/'.encode())
    return page.replace(b"__CONFIG__", _html_safe_json(config))


def _html_safe_json(value: object) -> bytes:
    """JSON that cannot end the script element in which it stands, nor begin another."""
    text = json.dumps(value)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def _read_assets() -> dict[str, _Asset]:
    """By name: the manifest says which there are, and a file beside it is not served."""
    names = json.loads((_STATIC / "manifest.json").read_bytes())["files"].keys()
    return {
        name: _Asset(
            (_STATIC / name).read_bytes(),
            (_STATIC / f"{name}.gz").read_bytes() if f"{name}.gz" in names else None,
        )
        for name in names
        if name != _INDEX and not name.endswith(".gz")
    }


def _accepts_gzip(accept_encoding: list[str]) -> bool:
    """RFC 9110, section 12.5.3; without the header nothing is compressed, as clients expect."""
    weights = {}
    for part in ",".join(accept_encoding).lower().split(","):
        coding, _, parameter = part.partition(";")
        weights[coding.strip()] = parameter.replace(" ", "")
    weight = weights.get("gzip", weights.get("*"))
    return weight is not None and not _REFUSED.fullmatch(weight)
