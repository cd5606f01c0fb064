"""The gallery page at `/`: what a frontend looks like that is built on the graph."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gallery_gateway.demo.callers import CALLERS

_SITE = Path(__file__).parent / "site"
_INDEX = "index.html"
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def site_routes(*, pictures_origin: str, explorer_path: str | None) -> list[Route]:
    """The page and its files, for an app that serves the graph at `/graphql`.

    Args:
        pictures_origin: scheme, host and port of the pictures that the graph links to.
        explorer_path: where GraphiQL is; None if it is nowhere.
    """
    policy = _content_security_policy(pictures_origin)
    files = {path.name: path for path in _SITE.iterdir() if path.suffix in _MEDIA_TYPES}
    responses = {name: (path.read_bytes(), _headers(path, policy)) for name, path in files.items()}
    page, page_headers = responses.pop(_INDEX)
    page = page.replace(b"__CONFIG__", _config(explorer_path))

    async def answer_file(request: Request) -> Response:
        found = responses.get(request.path_params["name"])
        if found is None:
            return PlainTextResponse("Not found", 404)
        return Response(found[0], headers=found[1])

    return [Route("/", _answer(page, page_headers)), Route("/demo/{name}", answer_file)]


def _answer(body: bytes, headers: dict[str, str]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_request: Request) -> Response:
        return Response(body, headers=headers)

    return answer


def _config(explorer_path: str | None) -> bytes:
    """For a script element: the made-up tokens are no secret, but `<` would end it."""
    config = {
        "callers": [{"name": caller.name, "token": caller.token} for caller in CALLERS],
        "endpoint": "graphql",
        # Relative, as everything on the page: there may be a prefix before all paths.
        "explorer": explorer_path and explorer_path.removeprefix("/"),
    }
    return json.dumps(config).replace("<", "\\u003c").encode()


def _headers(path: Path, policy: str) -> dict[str, str]:
    return {
        "content-type": _MEDIA_TYPES[path.suffix],
        "content-security-policy": policy,
        "cache-control": "no-cache",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }


def _content_security_policy(pictures_origin: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' {pictures_origin}",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
