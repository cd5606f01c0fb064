"""The process: where it listens, and how it ends."""

from pydantic import BaseModel, Field


class ServingSettings(BaseModel):
    """The process and its workers."""

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    workers: int = Field(1, ge=1, le=64, description="processes")
    shutdown_delay_seconds: float = Field(
        0.0,
        ge=0,
        le=120,
        description="time between SIGTERM, when it stops being ready, and refusing connections",
    )
    shutdown_grace_seconds: int = Field(
        30, ge=0, le=600, description="time that operations under way get after SIGTERM"
    )
