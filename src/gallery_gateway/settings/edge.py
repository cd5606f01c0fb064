"""HTTP: what is served where, and what a request may be."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from gallery_gateway.settings.units import MEBIBYTE

# RFC 3986, section 2.3: what stands for itself in a path.
_PLAIN_PATH = re.compile(r"(/(?!\.\.?(/|$))[A-Za-z0-9._~-]+)+")
_TAKEN_PATHS = frozenset({"/livez", "/readyz", "/metrics"})


def _plain_path(path: str) -> str:
    if not _PLAIN_PATH.fullmatch(path):
        raise ValueError(
            "an absolute path without trailing slash, of letters, digits, - . _ ~ and /, such as /graphiql"
        )
    if path in _TAKEN_PATHS:
        raise ValueError("a path that the gateway serves something else at")
    return path


class EdgeSettings(BaseModel):
    """Requests of clients, and pages for browsers."""

    graphql_get: bool = Field(default=True, description="queries by GET as well as by POST")
    graphiql: bool = Field(default=True, description="GraphiQL for browsers")
    graphiql_path: Annotated[str, AfterValidator(_plain_path)] = Field(
        "/graphql", description="where browsers find GraphiQL"
    )
    max_body_bytes: int = Field(
        256 * 1024, ge=1024, le=16 * MEBIBYTE, description="largest GraphQL request body"
    )
