"""The stand-in as an ASGI app: `GET /gallery/by-project`, and the pictures that its answers link to."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gallery_gateway.demo.callers import authenticate
from gallery_gateway.demo.catalogue import Catalogue, ListedProject, Listing
from gallery_gateway.demo.images import DemoImage
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
        unknown_is_404: a `project_id` that the caller cannot see is a 404, not an empty list.
        past_end_is_404: a page after the last one is a 404, not an empty list.
        lists_empty_projects: an image filter keeps projects without a matching image.
        invalid_status: the status for invalid parameters, 400 or 422.
    """

    unknown_is_404: bool = False
    past_end_is_404: bool = False
    lists_empty_projects: bool = True
    invalid_status: int = 422


_DEFAULT_VARIANT = ContractVariant()


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
    catalogue, signer = Catalogue(seed), LinkSigner(seed)

    async def answer_gallery(request: Request) -> Response:
        await asyncio.sleep(delay_seconds)
        caller = authenticate(request.headers.get("authorization", ""))
        if caller is None:
            return Response(status_code=401)
        try:
            parameters = parse_parameters(request.query_params)
        except InvalidParametersError as exc:
            return JSONResponse(_invalid_body(exc), variant.invalid_status)
        now = clock()
        listing = catalogue.listing(caller, parameters, now=now, lists_empty=variant.lists_empty_projects)
        project_id = parameters.project_id
        if project_id is not None and not catalogue.is_visible(project_id, caller):
            is_missing = variant.unknown_is_404
        else:
            # The first page exists even if it is empty.
            is_missing = variant.past_end_is_404 and parameters.page > max(
                1, _page_count(listing, parameters)
            )
        if is_missing:
            return await _answer_not_found(request)
        base_url = str(request.base_url)
        body = _listing_body(listing, parameters, lambda path: signer.sign(path, base_url=base_url, now=now))
        return JSONResponse(body)

    async def answer_picture(request: Request) -> Response:
        project_id, role = request.path_params["project_id"], request.path_params["role"]
        uuid, size = request.path_params["uuid"], request.path_params["size"]
        path = f"pictures/{project_id}/{role}/{uuid}/{size}.svg"
        try:
            remaining_seconds = signer.check(path, request.query_params, now=clock())
        except LinkError as exc:
            return PlainTextResponse(str(exc), 403)
        # Only links to existing projects are signed.
        picture = draw_picture(catalogue.projects[project_id], role=role, uuid=uuid, size=size)
        headers = {"Cache-Control": f"private, max-age={remaining_seconds}"}
        return Response(picture, media_type="image/svg+xml", headers=headers)

    app = Starlette(
        routes=[
            Route("/gallery/by-project", answer_gallery),
            Route("/pictures/{project_id:int}/{role}/{uuid}/{size}.svg", answer_picture),
        ],
        exception_handlers={404: _answer_not_found},
    )
    app.router.redirect_slashes = False
    return app


@contextmanager
def serve_in_thread(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve `app` in a thread until the block ends, and yield its base URL; port 0 picks a free port."""
    # Listening starts here, so that clients can connect before the thread runs.
    listener = socket.create_server((host, port))
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


async def _answer_not_found(_request: Request, _exc: Exception | None = None) -> Response:
    return JSONResponse({"error": "Not found"}, 404)


def _invalid_body(exc: InvalidParametersError) -> _Body:
    detail = [{"field": field, "message": message, "position": "query"} for field, message in exc.errors]
    return {"error": "Invalid request", "detail": detail}


def _page_count(listing: Listing, parameters: Parameters) -> int:
    return -(-listing.total // parameters.per_page)


def _listing_body(listing: Listing, parameters: Parameters, sign: _Sign) -> _Body:
    pages = _page_count(listing, parameters)
    return {
        "pagination": {
            "page": parameters.page,
            "per_page": parameters.per_page,
            "total": listing.total,
            "pages": pages,
            "has_next": parameters.page < pages,
            "has_prev": parameters.page > 1,
        },
        "projects": [_project_body(listed, sign) for listed in listing.projects],
    }


def _project_body(listed: ListedProject, sign: _Sign) -> _Body:
    project = listed.project
    statuses = [image.status for image in listed.images]
    return {
        "project_id": project.project_id,
        "project_name": project.name,
        "project_key": project.key,
        "created_at": _timestamp(project.created_seconds, project),
        "created_by": project.owner.name,
        "total_images": len(statuses),
        "completed_images": statuses.count("completed"),
        "failed_images": statuses.count("failed"),
        "images": [_image_body(image, project, sign) for image in listed.listed],
    }


def _image_body(image: DemoImage, project: DemoProject, sign: _Sign) -> _Body:
    result = image.result
    body: _Body = {
        **image.identity._asdict(),
        "original_filename": image.original_filename,
        "download_filename": _download_filename(image, project),
        "inputs": [_file_body("input", uuid, project, sign) for uuid in image.inputs],
        "output": result.output and _file_body("output", result.output, project, sign),
        "input_description": image.input_description,
        "status": image.status,
        "quality_score": result.quality_score,
        "processing_time": result.seconds,
        "error_message": result.error_message,
        "feedback": result.feedback,
        "feedback_comment": result.feedback_comment,
        "created_at": _timestamp(image.created_seconds, project),
        "review_status": result.review_status,
        "review_annotations": result.annotations,
        "retouch_claim": result.claim,
    }
    if project.has_new_fields:
        body |= {
            "id": image.result_id,
            "model_used": image.model_used,
            "detail_needs_review": result.needs_review,
            "detail_review_reason": result.review_reason,
        }
    return body


def _file_body(role: str, uuid: str, project: DemoProject, sign: _Sign) -> _Body:
    """Return the body of a file. Older projects have no uuids, and no thumbnails of their inputs."""
    path = f"pictures/{project.project_id}/{role}/{uuid}"
    has_thumbnail = project.has_new_fields or role == "output"
    body: _Body = {
        "full_size": sign(f"{path}/full_size.svg"),
        "thumbnail": sign(f"{path}/thumbnail.svg") if has_thumbnail else None,
    }
    return body | {"uuid": uuid} if project.has_new_fields else body


def _download_filename(image: DemoImage, project: DemoProject) -> str | None:
    if image.result.output is None or image.original_filename is None:
        return None
    stem = image.original_filename.rpartition(".")[0]
    _, _, group_index, version = image.identity
    return f"{project.sku.replace(' ', '-')}_{stem}_g{group_index}_v{version}.jpg"


def _timestamp(seconds: float, project: DemoProject) -> str:
    """Return an ISO 8601 timestamp, without a zone for older projects."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return (moment if project.has_new_fields else moment.replace(tzinfo=None)).isoformat()
