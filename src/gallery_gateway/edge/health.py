"""Health for orchestrators: alive as long as it answers, ready while it takes operations."""

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse


class Readiness:
    """Whether operations are taken: from the end of the start to the beginning of the end.

    It does not depend on the endpoint behind: every process would be taken away from its clients at once, and
    what is kept could not be given.

    Args:
        is_sharing: whether the shared cache is there; None if there is none. Operations are taken without it.
    """

    def __init__(self, is_sharing: Callable[[], bool | None] = lambda: None) -> None:
        self.is_ready = False
        self.is_sharing = is_sharing
        self.is_leaving = False

    def leave(self) -> None:
        """From now on, clients are to go elsewhere; whoever still comes is served."""
        self.is_ready = False
        self.is_leaving = True


def health_router(readiness: Readiness) -> APIRouter:
    router = APIRouter()

    @router.get("/livez")
    async def livez() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        if readiness.is_ready:
            return JSONResponse({"status": "ready"} | _detail(is_sharing=readiness.is_sharing()))
        return JSONResponse({"status": "not ready"}, status_code=503)

    return router


def _detail(*, is_sharing: bool | None) -> dict[str, str]:
    if is_sharing is None:
        return {}
    return {"sharedCache": "available" if is_sharing else "unavailable"}
