"""Probes about the way to the REST API, and about how it refuses."""

from gallery_gateway.verify.probe import Finding, differs, holds, probe
from gallery_gateway.verify.session import Session, Token


@probe(
    "authentication.no_token",
    "Is a call without a token refused with 401?",
    meaning="Clients without a token get another error code than UNAUTHENTICATED.",
    noticed=True,
)
async def no_token(session: Session) -> Finding:
    return await _refusal(session, Token.NONE)


@probe(
    "authentication.wrong_token",
    "Is a wrong token refused with 401?",
    meaning="Clients with an invalid token get another error code than UNAUTHENTICATED, and stay signed in.",
    noticed=True,
)
async def wrong_token(session: Session) -> Finding:
    return await _refusal(session, Token.WRONG)


async def _refusal(session: Session, token: Token) -> Finding:
    response = await session.get({"per_page": 1, "max_images_per_project": 1}, token=token)
    error = response.error
    code = "no error" if error is None else error.code
    evidence = f"{response.seen}: {code}"
    return holds(evidence) if code == "UNAUTHENTICATED" else differs(evidence)


PROBES = (no_token, wrong_token)
