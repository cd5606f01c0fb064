"""The stand-in as an ASGI app: `GET /gallery/by-project`, and the pictures that its answers link to."""

import asyncio
import hashlib
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gallery_gateway.demo.callers import authenticate
from gallery_gateway.demo.catalogue import Catalogue, ListedProject
from gallery_gateway.demo.images import Image
from gallery_gateway.demo.pictures import draw_picture
from gallery_gateway.demo.projects import DemoProject
from gallery_gateway.demo.query_parameters import InvalidParametersError, Parameters, parse_parameters
from gallery_gateway.demo.signing import LinkError, LinkSigner

_Body = dict[str, object]
_Sign = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractVariant:
    """One reading of the questions listed under "Open" in the REST contract.

    Args:
        past_end_is_404: a page after the last one is a 404, not an empty list (question 1).
        unknown_is_404: a `project_id` that the caller cannot see is a 404, not an empty list (2).
        counters: the images that the counters of a project count: all, those that match the filter, or
            those that are listed (3).
        lists_empty_projects: an image filter keeps projects without a matching image (4).
        signs_links: links carry a signature and expire (5).
        latest_versions_only: earlier versions of an image are neither listed nor counted (6).
        sends_etags: answers carry an ETag, and a request with it gets a 304 (7).
        dates: ISO 8601 with an offset, without one, or without one in older projects; or seconds since
            1970 (9).
        max_per_page: larger values of `per_page` up to 100 are replaced by this (10).
        unlisted_projects: how many deleted projects `total` counts (10).
        large_ids: numeric ids of projects and settled images exceed 32 bits (11).
        invalid_status: the status for invalid parameters, 400 or 422.
    """

    past_end_is_404: bool = False
    unknown_is_404: bool = False
    counters: Literal["all", "matching", "listed"] = "all"
    lists_empty_projects: bool = True
    signs_links: bool = True
    latest_versions_only: bool = False
    sends_etags: bool = False
    dates: Literal["mixed", "offset", "local", "epoch"] = "mixed"
    max_per_page: int = 100
    unlisted_projects: int = 0
    large_ids: bool = False
    invalid_status: int = 422


_DEFAULT_VARIANT = ContractVariant()

# Beyond 32 bits.
_LARGE_ID = 5_000_000_000


class _StandIn:
    """The handlers of the stand-in; the arguments are those of `create_upstream`."""

    def __init__(
        self, *, clock: Callable[[], float], seed: int, delay_seconds: float, variant: ContractVariant
    ) -> None:
        self._clock = clock
        self._delay_seconds = delay_seconds
        self._variant = variant
        self._catalogue = Catalogue(seed, id_offset=_LARGE_ID if variant.large_ids else 0)
        self._signer = LinkSigner(seed)

    async def answer_gallery(self, request: Request) -> Response:
        await asyncio.sleep(self._delay_seconds)
        caller = authenticate(request.headers.get("authorization", ""))
        if caller is None:
            return Response(status_code=401)
        try:
            parameters = parse_parameters(request.query_params)
        except InvalidParametersError as exc:
            detail = [
                {"field": name, "message": message, "position": "query"} for name, message in exc.errors
            ]
            return JSONResponse({"error": "Invalid request", "detail": detail}, self._variant.invalid_status)
        parameters = replace(parameters, per_page=min(parameters.per_page, self._variant.max_per_page))
        now, project_id = self._clock(), parameters.project_id
        total, page = self._catalogue.listing(
            caller,
            parameters,
            now=now,
            lists_empty=self._variant.lists_empty_projects,
            latest_only=self._variant.latest_versions_only,
        )
        pagination = _pagination(parameters, total + self._variant.unlisted_projects)
        if project_id is not None and not self._catalogue.is_visible(project_id, caller):
            is_missing = self._variant.unknown_is_404
        else:
            # The first page exists even if it is empty.
            is_missing = self._variant.past_end_is_404 and parameters.page > max(1, pagination["pages"])
        if is_missing:
            return await _answer_not_found(request)
        projects = [self._project_body(listed, str(request.base_url), now) for listed in page]
        response = JSONResponse({"pagination": pagination, "projects": projects})
        return _with_etag(response, request) if self._variant.sends_etags else response

    async def answer_picture(self, request: Request) -> Response:
        params = request.path_params
        path = request.scope["path"].removeprefix("/")
        try:
            remaining_seconds = self._signer.check(path, request.query_params, now=self._clock())
        except LinkError as exc:
            return PlainTextResponse(str(exc), 403)
        # Only links to existing projects are signed.
        project = self._catalogue.projects[params["project_id"]]
        picture = draw_picture(project, role=params["role"], uuid=params["uuid"], size=params["size"])
        headers = {"Cache-Control": f"private, max-age={remaining_seconds}"}
        return Response(picture, media_type="image/svg+xml", headers=headers)

    def _project_body(self, listed: ListedProject, base_url: str, now: float) -> _Body:
        project, variant = listed.project, self._variant
        sign: _Sign = partial(self._signer.sign, base_url=base_url, now=now)
        if not variant.signs_links:
            sign = base_url.__add__
        statuses = [image["status"] for image in getattr(listed, variant.counters)]
        return {
            "project_id": project.project_id,
            "project_name": project.name,
            "project_key": project.key,
            "created_at": _date(project.timestamp(), variant),
            "created_by": project.owner.name,
            "total_images": len(statuses),
            "completed_images": statuses.count("completed"),
            "failed_images": statuses.count("failed"),
            "images": [
                _image_body(image, project, sign) | {"created_at": _date(image["created_at"], variant)}
                for image in listed.listed
            ],
        }


def create_upstream(
    *,
    clock: Callable[[], float] = time.time,
    seed: int = 20_26,
    delay_seconds: float = 0.0,
    variant: ContractVariant = _DEFAULT_VARIANT,
) -> Starlette:
    """Create a stand-in for the REST API.

    Args:
        clock: seconds since 1970; drives live projects and the lifetime of links.
        seed: the same seed gives the same catalogue, and links that survive a restart.
        delay_seconds: a delay before each answer to a gallery request.
        variant: the answers to the contract's open questions.
    """
    stand_in = _StandIn(clock=clock, seed=seed, delay_seconds=delay_seconds, variant=variant)
    app = Starlette(
        routes=[
            Route("/gallery/by-project", stand_in.answer_gallery),
            Route("/pictures/{project_id:int}/{role}/{uuid}/{size}.svg", stand_in.answer_picture),
        ],
        exception_handlers={404: _answer_not_found},
    )
    app.router.redirect_slashes = False
    return app


@contextmanager
def serve_in_thread(app: ASGIApp, *, port: int = 0, lifespan: Literal["on", "off"] = "off") -> Iterator[str]:
    """Serve `app` on 127.0.0.1 until the block ends, and yield its base URL; port 0 picks a free port."""
    # Listening starts here, so that clients can connect before the thread runs.
    listener = socket.create_server(("127.0.0.1", port))
    # The lines of its start and end would look like those of the gateway.
    options: Any = {"log_config": None, "log_level": "warning", "access_log": False}
    config = uvicorn.Config(app, **options, lifespan=lifespan, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


async def _answer_not_found(_request: Request, _exc: Exception | None = None) -> Response:
    return JSONResponse({"error": "Not found"}, 404)


def _pagination(parameters: Parameters, total: int) -> dict[str, int]:
    pages = math.ceil(total / parameters.per_page)
    return {
        "page": parameters.page,
        "per_page": parameters.per_page,
        "total": total,
        "pages": pages,
        "has_next": parameters.page < pages,
        "has_prev": parameters.page > 1,
    }


def _with_etag(response: Response, request: Request) -> Response:
    etag = f'"{hashlib.sha256(response.body).hexdigest()[:32]}"'
    is_known = request.headers.get("if-none-match") == etag
    response = Response(status_code=304) if is_known else response
    response.headers["ETag"] = etag
    return response


def _date(text: str, variant: ContractVariant) -> str | float:
    """Return a date of the catalogue as the variant sends it; without an offset, it is in UTC."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    match variant.dates:
        case "offset":
            return moment.isoformat()
        case "local":
            return moment.replace(tzinfo=None).isoformat()
        case "epoch":
            return moment.timestamp()
    return text


def _image_body(image: Image, project: DemoProject, sign: _Sign) -> _Body:
    return image | {
        "inputs": [_file_body("input", uuid, project, sign) for uuid in image["inputs"]],
        "output": image["output"] and _file_body("output", image["output"], project, sign),
    }


def _file_body(role: str, uuid: str, project: DemoProject, sign: _Sign) -> _Body:
    """Return the body of a file. Older projects have no uuids, and no thumbnails of their inputs."""
    path = f"pictures/{project.project_id}/{role}/{uuid}"
    has_thumbnail = project.has_new_fields or role == "output"
    body: _Body = {
        "full_size": sign(f"{path}/full_size.svg"),
        "thumbnail": sign(f"{path}/thumbnail.svg") if has_thumbnail else None,
    }
    return body | {"uuid": uuid} if project.has_new_fields else body
