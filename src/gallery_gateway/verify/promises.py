"""Probes about the gateway's own promises: what a gateway in this process answers is what the API says.

The gateway makes its calls through the session. It narrows, merges and slices as in production, but keeps its
pages for the whole run.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, cast

import httpx
from msgspec import inspect
from strawberry.utils.str_converters import to_camel_case

from gallery_gateway.app import create_app
from gallery_gateway.upstream.contract import Page, UpstreamProject
from gallery_gateway.verify.probe import Finding, differs, holds, not_seen, probe
from gallery_gateway.verify.sampling import (
    FIRST_PAGES,
    MAX_IMAGES,
    PER_PAGE,
    SIZE,
    Body,
    check_unchanged,
    counted,
    differing_fields,
    fetch_again,
    ids_of,
    listing,
    projects_of,
    sampled_pages,
    values_of,
    with_images,
)
from gallery_gateway.verify.session import NotSeenError, Session, SessionTransport, Token

# The images of each project that an operation selects of the four that its arguments allow.
_SELECTED = 2

# Projects of a cursor step, and of a sliced page.
_STEP = 3
_SLICE = 2

# It is not requested with the first token: a cache in front of the API cannot have its answer to that.
_OTHER_PAGE = {"page": 1, "per_page": PER_PAGE - 1, "max_images_per_project": _SELECTED}

_SLICE_SIZE = {"per_page": _SLICE, "max_images_per_project": 1}

# The API failed, which says nothing about the promises.
_FAILURES = {"UPSTREAM_UNAVAILABLE", "UPSTREAM_TIMEOUT", "RATE_LIMITED", "OVERLOADED"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway answers: the fields of `data`, and the codes of its errors."""

    fields: dict[str, Any]
    codes: frozenset[str]


Ask = Callable[..., Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class PageAnswers:
    """What the gateway answers about one page.

    Args:
        page: its number.
        project_id: of its first project.
        narrowed: the page, from an operation that selects fewer images than its arguments allow.
        merged: the project, from another field of that operation.
        sliced: the first projects of the page, from an operation after that one.
        calls: of the first operation.
        codes: of errors.
    """

    page: int
    project_id: int
    narrowed: Body
    merged: Body
    sliced: Body
    calls: int
    codes: frozenset[str]

    @property
    def project(self) -> dict[str, int]:
        """Parameters of the plain call for the project."""
        return {"project_id": self.project_id, "max_images_per_project": 1}


@dataclass(frozen=True, slots=True)
class Answers:
    """What the gateway answers in a run.

    Args:
        pages: about the first pages.
        walked: ids of the projects of two steps of a walk by cursors.
        walk_codes: codes of its errors.
        ours: ids of the projects of the first page.
        wrong: the same for a wrong token, after the right one got the page.
        other: the same for the second token; `None` if there is none, or it has no page.
        again: the same for the first token once more.
    """

    pages: list[PageAnswers]
    walked: list[object]
    walk_codes: frozenset[str]
    ours: list[object]
    wrong: list[object]
    other: list[object] | None
    again: list[object]


@probe(
    "promises.narrowed",
    "Is a page with fewer images than allowed the plain page, cut down?",
    meaning="Narrowing changes what clients see.",
    setting="NARROWING=false",
    noticed=True,
)
async def narrowed(session: Session) -> Finding:
    return await _compared(
        session, lambda each: ({"page": each.page, **SIZE}, each.narrowed), shown=_selected
    )


@probe(
    "promises.merged",
    "Is a project from a page the same as from a call of its own?",
    meaning="What clients see of a project depends on what else they select at the same time.",
    noticed=True,
)
async def merged(session: Session) -> Finding:
    finding = await _compared(session, lambda each: (each.project, each.merged), shown=_projects_only)
    pages = (await session.once(_answers)).pages
    calls, fields = counted(sum(each.calls for each in pages), "call"), counted(2 * len(pages), "field")
    return replace(finding, evidence=f"{finding.evidence}; {calls} for {fields}")


@probe(
    "promises.sliced",
    "Is a page out of a larger one the same as from a call of its own?",
    meaning="What clients see of a page depends on the pages that the gateway has.",
    noticed=True,
)
async def sliced(session: Session) -> Finding:
    return await _compared(session, lambda each: (_slice_of(each.page), each.sliced))


@probe(
    "promises.cursors",
    "Does a walk by cursors list the projects of the pages?",
    meaning="Clients that walk by cursors skip projects, see some again, or get UPSTREAM_CONTRACT.",
    noticed=True,
)
async def cursors(session: Session) -> Finding:
    answers = await session.once(_answers)
    pages = (await sampled_pages(session)).items()
    listed = [number for page, body in pages if page <= FIRST_PAGES for number in ids_of(body)]
    walked = answers.walked
    # A step may be shorter than requested.
    if walked and walked == listed[: len(walked)] and not answers.walk_codes:
        return holds(f"{counted(len(walked), 'project')} in two steps")
    await check_unchanged(session)
    if answers.walk_codes:
        return differs(f"the walk ends with {listing(answers.walk_codes)}")
    return differs(f"{counted(len(walked), 'project')} in another order or not on the pages")


@probe(
    "promises.wrong_token",
    "Does a wrong token get nothing of what the right one got?",
    meaning="Anybody sees the projects of others: the API, or a cache in front of it, shows them.",
    noticed=True,
)
async def wrong_token(session: Session) -> Finding:
    answers = await session.once(_answers)
    if not answers.ours:
        return not_seen("the gateway answers the right token without projects")
    evidence = f"{counted(len(answers.wrong), 'project')} instead of {len(answers.ours)}"
    return differs(evidence) if answers.wrong else holds(evidence)


@probe(
    "promises.other_token",
    "Do two tokens each get what the API says to it alone?",
    meaning="Callers see the projects of others: the API, or a cache in front of it, mixes them up.",
    noticed=True,
)
async def other_token(session: Session) -> Finding:
    if session.authorization(Token.OURS) == session.authorization(Token.OTHER):
        raise NotSeenError("both access tokens are the same")
    answers = await session.once(_answers)
    alone = await session.page(_OTHER_PAGE, token=Token.OTHER)
    if answers.other is None:
        return not_seen("the second token got no page at first")
    if not answers.ours:
        raise NotSeenError("the gateway answers the first token without projects")
    if answers.ours != answers.again:
        return differs("the first token gets other projects after a call with the second one")
    others = answers.other[: PER_PAGE - 1]
    shared = sum(each in answers.ours for each in others)
    evidence = f"{counted(len(others), 'project')}, {shared} of them seen by both"
    if ids_of(alone) != others != ids_of(await fetch_again(session, _OTHER_PAGE, token=Token.OTHER)):
        return differs(f"{evidence}; other projects than alone")
    if others == answers.ours[: PER_PAGE - 1]:
        return not_seen("both access tokens list the same projects")
    return holds(evidence)


async def _compared(
    session: Session,
    part: Callable[[PageAnswers], tuple[dict[str, int], Body]],
    *,
    shown: Callable[[Body], Body] = dict,
) -> Finding:
    """Compare answers with plain pages, until one differs.

    `part` returns the parameters of a plain page and the answer; `shown` the part of that page that it holds.
    """
    values = 0
    pages = (await session.once(_answers)).pages
    for each in pages:
        plain, answer = part(each)
        if fields := await differing_fields(session, plain, answer, shown=shown):
            errors = f" ({listing(each.codes)})" if each.codes else ""
            return differs(f"other values in {listing(fields)}{errors}")
        values += len(values_of(answer))
    return holds(f"{counted(values, 'value')} of {counted(len(pages), 'page')}")


def _selected(body: Body) -> Body:
    return with_images(body, _SELECTED)


def _projects_only(body: Body) -> Body:
    return {"projects": projects_of(body)}


def _slice_of(page: int) -> dict[str, int]:
    """Return the parameters of the page of the size `_SLICE` that begins where this one does."""
    return {"page": (page - 1) * PER_PAGE // _SLICE + 1, **_SLICE_SIZE}


async def _answers(session: Session) -> Answers:
    """Ask the gateway everything, after the plain calls to which its answers are compared.

    Raises:
        NotSeenError: there is no token or no project, the API fails, or no more calls are made.
    """
    pages = await sampled_pages(session)
    firsts = {page: ids_of(body)[0] for page, body in pages.items() if page <= FIRST_PAGES and ids_of(body)}
    numbered = {page: number for page, number in firsts.items() if type(number) is int}
    if not numbered:
        reason = "the projects have no numeric id" if any(firsts) else "the account has no projects"
        raise NotSeenError(reason)
    has_other = False
    with suppress(NotSeenError):
        await session.page(_OTHER_PAGE, token=Token.OTHER)
        has_other = True
    async with _gateway(session) as ask:
        answers = [await _ask_about(session, ask, page, number) for page, number in numbered.items()]
        walked: list[object] = []
        after, codes = None, frozenset[str]()
        for _ in range(2):
            step = await ask(_WALK, {"after": after})
            codes |= step.codes
            edges = (step.fields.get("projects") or {}).get("edges") or []
            walked += [(edge.get("node") or {}).get("projectId") for edge in edges]
            after = edges[-1]["cursor"] if edges else after

        async def listed(token: Token) -> list[object]:
            return ids_of((await ask(_IDS, {}, token=token)).fields.get("page") or {})

        ours, wrong = await listed(Token.OURS), await listed(Token.WRONG)
        other = await listed(Token.OTHER) if has_other else None
        again = await listed(Token.OURS)
    return Answers(answers, walked, codes, ours, wrong, other, again)


async def _ask_about(session: Session, ask: Ask, page: int, project_id: int) -> PageAnswers:
    await session.get({"project_id": project_id, "max_images_per_project": 1})
    await session.get(_slice_of(page))
    calls = session.calls
    both = await ask(_BOTH, {"page": page, "id": project_id})
    calls = session.calls - calls
    part = await ask(_PART, {"page": _slice_of(page)["page"]})
    project = both.fields.get("project")
    return PageAnswers(
        page,
        project_id,
        narrowed=both.fields.get("page") or {},
        merged={"projects": [project] if project else []},
        sliced=part.fields.get("page") or {},
        calls=calls,
        codes=both.codes | part.codes,
    )


@asynccontextmanager
async def _gateway(session: Session) -> AsyncIterator[Ask]:
    """Run a gateway, and yield a function that runs an operation with a token."""
    changes: dict[str, object] = {
        "cache_ttl_seconds": 300,
        "cache_unfinished_ttl_seconds": 300,
        "upstream_max_attempts": 1,
        "max_document_tokens": 2_000,
        "operation_max_calls": 20,
        "operation_max_images": 20_000,
        "shared_cache_url": None,
        "trusted_documents": None,
        "allowed_hosts": None,
        "path_prefix": None,
        "metrics_port": 0,
        "traces": False,
    }
    app = create_app(session.settings.model_copy(update=changes), transport=SessionTransport(session))

    async def ask(document: str, variables: dict[str, object], *, token: Token = Token.OURS) -> Answer:
        headers = {"authorization": session.authorization(token)}
        body = {"query": document, "variables": variables}
        answer = (await http.post("/graphql", json=body, headers=headers)).json()
        session.check()
        errors = answer.get("errors", [])
        codes = frozenset(error["extensions"]["code"] for error in errors)
        if codes & _FAILURES:
            raise NotSeenError(f"the API fails: {listing(codes & _FAILURES)}")
        data = answer.get("data") or {}
        return Answer({name: _as_rest(value, _TYPES.get(name)) for name, value in data.items()}, codes)

    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):
        yield ask


def _struct_of(kind: inspect.Type) -> inspect.StructType | None:
    """Return the struct of a field, or of the items of its list; `None` for a scalar."""
    parts = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    for part in parts:
        inner = part.item_type if isinstance(part, inspect.ListType) else part
        if isinstance(inner, inspect.StructType):
            return inner
    return None


def _selection(struct: inspect.StructType, images: str) -> str:
    """Return a selection of every field of the contract; `images` are the arguments of that field."""
    fields = []
    for field in struct.fields:
        below = _struct_of(field.type)
        arguments = images if field.name == "images" else ""
        inner = f" {_selection(below, images)}" if below else ""
        fields.append(f"{to_camel_case(field.name)}{arguments}{inner}")
    return f"{{ {' '.join(fields)} }}"


def _as_rest(value: Any, struct: inspect.StructType | None) -> Any:
    """Return a value of a response as the REST API has it."""
    if struct is None:
        return value
    if isinstance(value, list):
        return [_as_rest(item, struct) for item in value]
    if not isinstance(value, dict):
        return value
    rest = {}
    for field in struct.fields:
        found = value.get(to_camel_case(field.name))
        if isinstance(found, str) and field.encode_name in {"project_id", "id"}:
            # Beyond 2^53, a BigInt is a string.
            found = int(found)
        rest[field.encode_name] = _as_rest(found, _struct_of(field.type))
    return rest


_PAGE_TYPE = cast("inspect.StructType", inspect.type_info(Page))
_PROJECT_TYPE = cast("inspect.StructType", inspect.type_info(UpstreamProject))
_TYPES = {"page": _PAGE_TYPE, "project": _PROJECT_TYPE}


def _document(variables: str, *fields: str) -> str:
    return f"query ({variables}) {{ {' '.join(fields)} }}"


def _page_field(arguments: str, images: str = "") -> str:
    return f"page: gallery(page: $page, {arguments}) {_selection(_PAGE_TYPE, images)}"


_NARROW = _page_field(f"perPage: {PER_PAGE}, maxImagesPerProject: {MAX_IMAGES}", f"(first: {_SELECTED})")
# The same call, without the fields that may be damaged.
_IDS = (
    f"{{ page: gallery(perPage: {PER_PAGE}, maxImagesPerProject: {MAX_IMAGES})"
    f" {{ projects {{ projectId images(first: {_SELECTED}) {{ status }} }} }} }}"
)
_BOTH = _document(
    "$page: Int!, $id: BigInt!",
    _NARROW,
    f"project(projectId: $id, maxImages: 1) {_selection(_PROJECT_TYPE, '')}",
)
_PART = _document("$page: Int!", _page_field(f"perPage: {_SLICE}, maxImagesPerProject: 1"))
_WALK = _document(
    "$after: String",
    f"projects(first: {_STEP}, after: $after) {{ edges {{ cursor node {{ projectId }} }} }}",
)

PROBES = (narrowed, merged, sliced, cursors, wrong_token, other_token)
