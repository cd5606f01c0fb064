"""Probes about lists of projects: their numbers, their order, and what cursors rest on."""

from gallery_gateway.upstream.contract import MAX_PER_PAGE
from gallery_gateway.verify.probe import Finding, differs, holds, not_seen, probe
from gallery_gateway.verify.sampling import (
    CHANGED,
    FIRST_PAGE,
    FIRST_PAGES,
    PER_PAGE,
    SIZE,
    Body,
    check_unchanged,
    counted,
    fetch_again,
    first_page,
    ids_of,
    last_page_number,
    listing,
    number_of,
    projects_of,
    sampled_pages,
    sampled_projects,
    total_of,
    values_of,
    volatile_fields,
)
from gallery_gateway.verify.session import NotSeenError, Response, Session

_LARGE_PAGE = {"page": 1, "per_page": MAX_PER_PAGE, "max_images_per_project": 1}


@probe(
    "lists.order",
    "Do two calls list the projects in the same order?",
    meaning="Pages and cursors skip some projects and repeat others; the gateway cannot correct that.",
    noticed=True,
)
async def order(session: Session) -> Finding:
    before = await first_page(session)
    count = len(ids_of(before))
    if count < 2:
        return not_seen("the account has fewer than two projects")
    again = await session.page(FIRST_PAGE, time=2)
    if ids_of(before) == ids_of(again):
        return holds(f"{counted(count, 'project')} twice")
    # Projects come and go, but not all the time.
    if ids_of(again) == ids_of(await fetch_again(session, FIRST_PAGE)):
        raise NotSeenError(CHANGED)
    return differs(f"three calls list {counted(count, 'project')} in different orders")


@probe(
    "lists.repeat",
    "Does a page say the same when it is requested twice?",
    meaning="The gateway shows what the API said first for as long as a page is fresh.",
)
async def repeat(session: Session) -> Finding:
    if volatile := await session.once(volatile_fields):
        return differs(f"always another: {listing(volatile)}")
    return holds(f"{counted(len(values_of(await first_page(session))), 'value')} twice")


@probe(
    "lists.numbers",
    "Do the numbers of each page agree with each other?",
    meaning="Clients see these numbers as they are; the gateway makes no smaller page of a larger one.",
    noticed=True,
)
async def numbers(session: Session) -> Finding:
    bodies = await sampled_pages(session)
    wrong = {name for page, body in bodies.items() for name in _wrong_numbers(page, body)}
    if wrong:
        return differs(f"not as the page and the total say: {listing(wrong)}")
    return holds(counted(len(bodies), "page"))


def _wrong_numbers(page: int, body: Body) -> list[str]:
    total = total_of(body)
    pages = -(-total // PER_PAGE)
    pagination = body["pagination"]
    expected = {
        "page": page,
        "per_page": PER_PAGE,
        "pages": pages,
        "has_next": page < pages,
        "has_prev": page > 1,
    }
    # Some APIs count one page without projects.
    if total == 0 and pagination.get("pages") == 1:
        expected["pages"] = 1
    return [name for name, value in expected.items() if pagination.get(name) != value]


@probe(
    "lists.total",
    "Does `total` agree with what the pages hold?",
    meaning="Clients see a wrong `total`. A walk by cursors is complete or ends in UPSTREAM_CONTRACT.",
    noticed=True,
)
async def total(session: Session) -> Finding:
    first = await first_page(session)
    stated = total_of(first)
    last = last_page_number(first)
    bodies = await sampled_pages(session)
    held = len(ids_of(bodies.get(max(last, 1), {})))
    expected = stated - PER_PAGE * max(last - 1, 0)
    behind = await session.get({"page": max(last, 1) + 1, **SIZE})
    beyond = len(ids_of(behind.json)) if behind.status == 200 and isinstance(behind.json, dict) else 0
    are_full = all(len(ids_of(body)) == PER_PAGE for page, body in bodies.items() if page < last)
    if held == expected and are_full and not beyond:
        return holds(f"{stated:,}: the last page holds {held} of {expected}, and the next one none")
    await check_unchanged(session)
    return differs(f"{stated:,}: the last page holds {held} of {expected}, and the next one {beyond}")


@probe(
    "lists.past_end",
    "Is a page behind the last one empty, or a 404?",
    meaning="Clients get an error, or projects again, for a page behind the last one.",
    noticed=True,
)
async def past_end(session: Session) -> Finding:
    last = last_page_number(await first_page(session))
    response = await session.get({"page": max(last, 1) + 1, **SIZE})
    return await _nothing(session, response)


@probe(
    "lists.unknown_project",
    "Is an unknown `project_id` an empty list, or a 404?",
    meaning="Clients get an error, or another project, instead of null for a project that does not exist.",
    noticed=True,
)
async def unknown_project(session: Session) -> Finding:
    # Below 2^31, so that it is not too large for the API.
    response = await session.get({"project_id": 2_000_000_011, "max_images_per_project": 1})
    return await _nothing(session, response)


async def _nothing(session: Session, response: Response) -> Finding:
    """Say whether a response means that there is nothing."""
    body = response.json
    if response.status == 404:
        return holds(response.seen)
    if response.status == 200 and isinstance(body, dict) and isinstance(body.get("projects"), list):
        if not body["projects"]:
            return await _shown(session, "an empty list")
        return differs(f"a list of {counted(len(body['projects']), 'project')}")
    return differs(response.seen)


async def _shown(session: Session, evidence: str) -> Finding:
    """Return a verdict that an account without projects cannot support."""
    await sampled_projects(session)
    return holds(evidence)


@probe(
    "lists.page_size",
    "Is `per_page` honoured up to 100?",
    meaning="Clients that request more get fewer projects than they requested; cursors need more calls.",
    noticed=True,
)
async def page_size(session: Session) -> Finding:
    body = await session.page(_LARGE_PAGE)
    stated, held = number_of(body, "per_page"), len(projects_of(body))
    expected = min(MAX_PER_PAGE, total_of(body))
    evidence = f"requested {MAX_PER_PAGE}: {held} of {expected} projects, `per_page` is {stated}"
    is_honoured = (stated, held) == (MAX_PER_PAGE, expected)
    return await _shown(session, evidence) if is_honoured else differs(evidence)


@probe(
    "lists.windows",
    "Are small pages cut out of the same list as a large one?",
    meaning="What clients see depends on the pages that the gateway has; cursors skip and repeat projects.",
    noticed=True,
)
async def windows(session: Session) -> Finding:
    first_pages = [body for page, body in (await sampled_pages(session)).items() if page <= FIRST_PAGES]
    small = [number for body in first_pages for number in ids_of(body)]
    large = ids_of(await session.page(_LARGE_PAGE))
    shared = min(len(small), len(large))
    if shared < 2:
        return not_seen("the account has fewer than two projects")
    if small[:shared] == large[:shared]:
        return holds(f"{counted(shared, 'project')} in {counted(len(first_pages), 'page')} and in one")
    await check_unchanged(session)
    return differs(f"{counted(shared, 'project')} in another order or not at all")


PROBES = (order, repeat, numbers, total, past_end, unknown_project, page_size, windows)
