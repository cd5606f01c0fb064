"""GraphiQL for browsers: the page and the files that it loads, built by `graphiql/source/build.mjs`."""

import json
import re
from html import escape
from pathlib import Path
from string import Template

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

GRAPHQL_PATH = "/graphql"

_STATIC = Path(__file__).parent / "graphiql" / "static"

# Everything comes from this origin, and the page itself holds neither script nor style.
PAGE_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "vary": "Accept",
    "x-content-type-options": "nosniff",
}
# Python's own table depends on the system.
_MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".woff2": "font/woff2",
}
_ACCEPTS_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.IGNORECASE)


def render_page(path: str, *, token: str | None) -> str:
    """Return the page.

    Args:
        path: where the page is served.
        token: the token that the headers editor starts with. Every visitor can read it, so it is for the
            made-up callers of the demo only.
    """
    # Relative addresses also work behind a proxy that adds a prefix to all paths.
    root = "../" * (path.count("/") - 1)
    return Template((_STATIC / "index.html").read_text()).substitute(root=root, token=escape(token or ""))


def explorer_routes(path: str, page: str) -> list[Route]:
    """Return routes for the files, and for the page unless the GraphQL endpoint serves it at its own path."""
    listed = json.loads((_STATIC / "manifest.json").read_bytes())["files"].keys() - {"index.html"}
    names = frozenset(name for name in listed if not name.endswith(".gz"))

    async def send_page(_request: Request) -> Response:
        return Response(page, media_type="text/html", headers=PAGE_HEADERS)

    async def send_file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in names:
            raise HTTPException(404)
        # RFC 8246. All names but this one contain a hash of the content.
        caching = "no-cache" if name == "LICENSES.txt" else "public, max-age=31536000, immutable"
        headers = {"cache-control": caching}
        file = name
        if f"{name}.gz" in listed:
            headers["vary"] = "Accept-Encoding"
            if _ACCEPTS_GZIP.search(",".join(request.headers.getlist("accept-encoding"))):
                headers["content-encoding"] = "gzip"
                file = f"{name}.gz"
        return FileResponse(_STATIC / file, media_type=_MEDIA_TYPES[Path(name).suffix], headers=headers)

    files = Route("/graphiql/{name}", send_file)
    # Relative: the Host header may name any host.
    moved = RedirectResponse(f"../{path.rpartition('/')[2]}", 308)
    return [files] if path == GRAPHQL_PATH else [Route(path, send_page), Route(f"{path}/", moved), files]
