"""Another team's subgraph: reviews of projects and images, which it knows by their keys alone."""

from typing import Any

import strawberry
from starlette.types import ASGIApp
from strawberry import federation
from strawberry.asgi import GraphQL


@strawberry.type
class Review:
    """Of a project, or of one of its images."""

    body: str
    # Nullable: the gallery may not know the project, or may not answer.
    project: "Project | None"
    # What docs/federation.md warns of.
    sure_project: "Project"


@federation.type(keys=["id"])
class Project:
    """The gallery's, with what is known of it here."""

    id: strawberry.ID

    @strawberry.field
    def reviews(self) -> list[Review]:
        return [Review(body=f"of {self.id}", project=self, sure_project=self)]

    @classmethod
    def resolve_reference(cls, id: strawberry.ID, **_: Any) -> "Project":  # noqa: A002
        return cls(id=id)


@federation.type(keys=["jobId imageIndex groupIndex version"])
class Image:
    """Likewise."""

    job_id: str
    image_index: int
    group_index: int
    version: int

    @strawberry.field
    def reviews(self) -> list[str]:
        return [f"of {self.job_id}/{self.image_index}/{self.group_index}/{self.version}"]

    @classmethod
    def resolve_reference(cls, **key: Any) -> "Image":
        return cls(
            job_id=key["jobId"],
            image_index=key["imageIndex"],
            group_index=key["groupIndex"],
            version=key["version"],
        )


@strawberry.type
class Query:
    """The root of its graph."""

    @strawberry.field
    def reviews_of(self, ids: list[strawberry.ID]) -> list[Review]:
        projects = [Project(id=id) for id in ids]  # noqa: A001
        return [Review(body=f"of {each.id}", project=each, sure_project=each) for each in projects]


SCHEMA = federation.Schema(query=Query, types=[Project, Image], federation_version="2.9")


def reviews_app() -> ASGIApp:
    return GraphQL(SCHEMA)
