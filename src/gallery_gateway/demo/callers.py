"""Who may ask: the made-up callers, their tokens and the groups that they share in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCaller:
    """A made-up user of the endpoint.

    Args:
        name: the username, as in `created_by`.
        group: members of one group see each other's shared projects.
        settled_projects: how many finished projects are made up for this caller.
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


def caller_of(authorization: str) -> DemoCaller | None:
    """The caller whom an Authorization header names, or None when it names nobody."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return None
    return next((caller for caller in CALLERS if caller.token == token.strip()), None)
