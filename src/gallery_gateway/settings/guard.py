"""What the gateway lets come to it: from which pages, under which names, how large and how slowly."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

# RFC 6454, section 6.2, as browsers write it: lower case, and no default port.
_ORIGIN = re.compile(r"https?://[a-z0-9._-]+(:\d{1,5})?|https?://\[[0-9a-f:.]+\](:\d{1,5})?")
_DEFAULT_PORT = re.compile(r"http:.*:80|https:.*:443")
_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")


def listed(text: str | None) -> tuple[str, ...]:
    """The members of a setting that holds a list."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _origins(text: str | None) -> str | None:
    for origin in listed(text):
        if not _ORIGIN.fullmatch(origin) or _DEFAULT_PORT.fullmatch(origin):
            raise ValueError(
                "origins as browsers send them, such as https://shop.example, separated by commas:"
                " no path, no default port, no *"
            )
    return text


def _hosts(text: str | None) -> str | None:
    if not all(_HOST.fullmatch(host) for host in listed(text)):
        raise ValueError("host names in lower case without a port, separated by commas")
    return text


class GuardSettings(BaseModel):
    """Requests that are refused before anything of them is used."""

    csrf_prevention: bool = Field(
        default=True, description="a GET that any web page could send is refused, as Apollo Server does it"
    )
    cors_origins: Annotated[str | None, AfterValidator(_origins)] = Field(
        None, description="origins whose pages may ask and read, separated by commas; by default none"
    )
    cors_max_age_seconds: int = Field(
        7_200, ge=0, le=86_400, description="how long browsers keep the answer to a preflight request"
    )
    allowed_hosts: Annotated[str | None, AfterValidator(_hosts)] = Field(
        None, description="names that the endpoint answers to, without port; by default any"
    )
    hsts_max_age_seconds: int = Field(
        0,
        ge=0,
        le=63_072_000,
        description="`Strict-Transport-Security`, where all is HTTPS; 0 = not sent",
    )
    max_head_bytes: int = Field(
        16_384, ge=1_024, le=262_144, description="largest request line with all headers"
    )
    request_timeout_seconds: float = Field(
        15.0,
        gt=0,
        le=600,
        description="time for a whole request to come, for the first to begin,"
        " and for a client to read some of its answer",
    )
    keep_alive_seconds: int = Field(
        65,
        ge=1,
        le=600,
        description="how long an idle connection is kept; longer than a proxy keeps it",
    )
    batch_max_operations: int = Field(
        0, ge=0, le=100, description="operations in one request, as a JSON array; 0 = no batches"
    )
