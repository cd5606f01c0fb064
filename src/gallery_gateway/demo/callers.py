"""The demo's users, their tokens and groups."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCaller:
    """A user of the stand-in.

    Args:
        name: the username, as in `created_by`.
        group: members of a group see each other's shared projects.
        settled_projects: the number of finished projects generated for this user.
    """

    name: str
    group: str
    settled_projects: int

    @property
    def token(self) -> str:
        return f"demo-{self.name}-token"


CALLERS = (
    DemoCaller(name="ada", group="atelier", settled_projects=190),
    DemoCaller(name="ben", group="atelier", settled_projects=130),
    DemoCaller(name="cleo", group="studio", settled_projects=70),
)


def authenticate(authorization: str) -> DemoCaller | None:
    """Return the caller that an `Authorization` header identifies, or `None`."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return None
    return next((caller for caller in CALLERS if caller.token == token.strip()), None)
