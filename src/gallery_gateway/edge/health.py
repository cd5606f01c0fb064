"""Health for orchestrators: alive as long as it answers, ready while it takes operations."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse


class Readiness:
    """Whether operations are taken: from the end of the start to the beginning of the end."""

    def __init__(self) -> None:
        self.is_ready = False


def health_router(readiness: Readiness) -> APIRouter:
    router = APIRouter()

    @router.get("/livez")
    async def livez() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        if readiness.is_ready:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready"}, status_code=503)

    return router
