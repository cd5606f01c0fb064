"""The endpoint itself: `GET /gallery/by-project` and the pictures that it links to."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gallery_gateway.demo.behaviour import Behaviour
from gallery_gateway.demo.bodies import invalid_body, listing_body, pages_of
from gallery_gateway.demo.callers import DemoCaller, caller_of
from gallery_gateway.demo.catalogue import Catalogue, Listing
from gallery_gateway.demo.links import LinkError, LinkSigner, signing_date
from gallery_gateway.demo.parameters import InvalidParametersError, Parameters, parse_parameters
from gallery_gateway.demo.pictures import draw_picture

__all__ = ["Behaviour", "create_upstream"]

_BY_DEFAULT = Behaviour()


def create_upstream(
    *,
    clock: Callable[[], float] = time.time,
    seed: int = 20_26,
    delay_seconds: float = 0.0,
    behaviour: Behaviour = _BY_DEFAULT,
) -> Starlette:
    """A stand-in for the REST endpoint.

    Args:
        clock: seconds since 1970; live projects and the life of links follow it.
        seed: the same seed makes the same catalogue, and links that outlive a restart.
        delay_seconds: how long each answer of the endpoint is held back.
        behaviour: how the contract's open questions turn out.
    """
    upstream = _Upstream(clock, seed, delay_seconds, behaviour)
    app = Starlette(
        routes=[
            Route("/gallery/by-project", upstream.answer_gallery),
            Route("/pictures/{project_id:int}/{role}/{uuid}/{size}.svg", upstream.answer_picture),
        ],
        exception_handlers={404: _answer_not_found},
    )
    app.router.redirect_slashes = False
    return app


class _Upstream:
    """The catalogue behind HTTP; arguments as in `create_upstream`."""

    def __init__(
        self, clock: Callable[[], float], seed: int, delay_seconds: float, behaviour: Behaviour
    ) -> None:
        self._clock = clock
        self._delay_seconds = delay_seconds
        self._behaviour = behaviour
        self._catalogue = Catalogue(seed)
        self._signer = LinkSigner(seed)

    async def answer_gallery(self, request: Request) -> Response:
        await asyncio.sleep(self._delay_seconds)
        caller = caller_of(request.headers.get("authorization", ""))
        if caller is None:
            return Response(status_code=401)
        try:
            parameters = parse_parameters(request.query_params)
        except InvalidParametersError as exc:
            return JSONResponse(invalid_body(exc.problems), self._behaviour.invalid_status)
        now = self._clock()
        listing = self._catalogue.listing(
            caller, parameters, now=now, lists_empty=self._behaviour.lists_empty_projects
        )
        if self._is_missing(caller, parameters, listing):
            return await _answer_not_found(request)
        sign = partial(self._signer.sign, base_url=str(request.base_url), date=signing_date(now))
        return JSONResponse(listing_body(listing, parameters, sign))

    async def answer_picture(self, request: Request) -> Response:
        project_id, role = request.path_params["project_id"], request.path_params["role"]
        uuid, size = request.path_params["uuid"], request.path_params["size"]
        path = f"pictures/{project_id}/{role}/{uuid}/{size}.svg"
        try:
            seconds_left = self._signer.check(path, request.query_params, now=self._clock())
        except LinkError as exc:
            return PlainTextResponse(str(exc), 403)
        # What is signed exists: only the catalogue's own links are.
        picture = draw_picture(self._catalogue.project(project_id), role=role, uuid=uuid, size=size)
        headers = {"Cache-Control": f"private, max-age={seconds_left}"}
        return Response(picture, media_type="image/svg+xml", headers=headers)

    def _is_missing(self, caller: DemoCaller, parameters: Parameters, listing: Listing) -> bool:
        sought = parameters.project_id
        if sought is not None and not self._catalogue.is_seen(sought, caller):
            return self._behaviour.unknown_is_404
        # The first page of nothing is a page.
        last_page = max(1, pages_of(listing, parameters))
        return self._behaviour.past_end_is_404 and parameters.page > last_page


async def _answer_not_found(_request: Request, _exc: Exception | None = None) -> Response:
    return JSONResponse({"error": "Not found"}, 404)
