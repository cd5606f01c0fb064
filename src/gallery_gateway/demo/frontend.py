"""The gallery at `/`: an example of a web page built on the graph."""

import json
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gallery_gateway.demo.callers import CALLERS

_FOLDER = Path(__file__).parent / "site"
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' {}; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def frontend_routes(*, pictures_origin: str, explorer_path: str | None) -> list[Route]:
    """Return the routes of the page and its files, for an app that serves the graph at `/graphql`.

    Args:
        pictures_origin: the scheme, host and port of the pictures that the graph links to.
        explorer_path: the path of GraphiQL, or `None`.
    """
    headers = {
        "content-security-policy": _POLICY.format(pictures_origin),
        "cache-control": "no-cache",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    files = {
        path.name: (path.read_bytes(), headers | {"content-type": _MEDIA_TYPES[path.suffix]})
        for path in _FOLDER.iterdir()
        if path.suffix in _MEDIA_TYPES
    }
    page, page_headers = files.pop("index.html")
    page = page.replace(b"__CONFIG__", _config(explorer_path))

    async def answer_page(_request: Request) -> Response:
        return Response(page, headers=page_headers)

    async def answer_file(request: Request) -> Response:
        body, file_headers = files.get(request.path_params["name"], (None, None))
        if body is None:
            return PlainTextResponse("Not found", 404)
        return Response(body, headers=file_headers)

    return [Route("/", answer_page), Route("/demo/{name}", answer_file)]


def _config(explorer_path: str | None) -> bytes:
    """Return the page's configuration as JSON that is safe within a script element."""
    config = {
        "callers": [{"name": caller.name, "token": caller.token} for caller in CALLERS],
        # Relative paths, so that the page works behind a path prefix.
        "endpoint": "graphql",
        "explorer": explorer_path and explorer_path.removeprefix("/"),
    }
    return json.dumps(config).replace("<", "\\u003c").encode()
