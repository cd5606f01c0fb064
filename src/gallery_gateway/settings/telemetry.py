"""What the gateway tells about itself: logs, metrics and traces."""

from typing import Literal

from pydantic import BaseModel, Field

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "text"]


class TelemetrySettings(BaseModel):
    """Logs, metrics and traces."""

    log_level: LogLevel = Field("info", description="least level that is logged")
    log_format: LogFormat = Field(
        "auto", description="`auto` is text on a terminal, and JSON anywhere else, one object a line"
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="port of `/metrics`, on the same address; 0 = no metrics"
    )
    metrics_max_operations: int = Field(
        100, ge=0, le=10_000, description="operations that are counted under names of their own"
    )
    traces: bool = Field(
        default=False, description="traces by OTLP, as the variables `OTEL_*` say; needs the extra `traces`"
    )
