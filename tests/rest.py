"""What the graph says, in REST's words: the whole of it in one query, and answers turned back."""

import re
from typing import Any

from graphql import GraphQLObjectType, get_named_type

from gallery_gateway.schema.build import build_schema, executable

SCHEMA = executable(build_schema())

# Fields of the graph that REST does not have, and the one that it has under another name.
_ADDED = {"id", "pendingImages", "expiresAt"}
_RENAMED = {"resultId": "id"}


def every_field(type_name: str) -> str:
    """A selection of every field of a type, and of all types below it."""
    fields = []
    graphql_type = SCHEMA.type_map[type_name]
    assert isinstance(graphql_type, GraphQLObjectType)
    for name, field in graphql_type.fields.items():
        inner = get_named_type(field.type)
        below = f" {every_field(inner.name)}" if isinstance(inner, GraphQLObjectType) else ""
        fields.append(name + below)
    return "{ " + " ".join(fields) + " }"


def as_rest(value: Any) -> Any:
    """An answer's value as the REST body has it; JSON scalars are left alone."""
    if isinstance(value, list):
        return [as_rest(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        _RENAMED.get(name, _snake(name)): member if _snake(name) in JSON_FIELDS else as_rest(member)
        for name, member in value.items()
        if name not in _ADDED
    }


JSON_FIELDS = {"input_description", "review_annotations", "retouch_claim"}

_NEWER_IMAGE_FIELDS = ("id", "model_used", "detail_needs_review", "detail_review_reason")


def with_newer_fields(page: dict[str, Any]) -> dict[str, Any]:
    """A REST body, with the fields that its rendering may leave out as the nulls they are in the graph."""
    for project in page["projects"]:
        for image in project["images"]:
            for name in _NEWER_IMAGE_FIELDS:
                image.setdefault(name, None)
            for file in [*image["inputs"], image["output"]]:
                if file is not None:
                    file.setdefault("uuid", None)
    return page


def _snake(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()
