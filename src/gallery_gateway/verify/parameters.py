"""Probes about the parameters: each is honoured, and the open questions 2 to 4 about filters and the cap."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import msgspec

from gallery_gateway.upstream.contract import InvalidRequest
from gallery_gateway.verify.probe import DiffersError, Finding, differs, holds, not_seen, probe
from gallery_gateway.verify.sampling import (
    FIRST_PAGE,
    MAX_IMAGES,
    PER_PAGE,
    Body,
    by_id,
    check_unchanged,
    counted,
    fetch_again,
    first_page,
    identity_of,
    ids_of,
    images_of,
    last_page_number,
    listing,
    number_of,
    projects_of,
    sampled_images,
    sampled_pages,
    sampled_projects,
    total_of,
)
from gallery_gateway.verify.session import NotSeenError, Parameters, Response, Session

# The statuses and feedback values that are requested, of those that were seen.
_MAX_STATUSES = 4

# More than usual projects have.
_MANY_IMAGES = 50

Where = TypeVar("Where")

_COUNTERS = ("total_images", "completed_images", "failed_images")

# Beyond the bounds of the REST contract.
_OUT_OF_BOUNDS: tuple[dict[str, int], ...] = (
    {"page": 0},
    {"per_page": 101},
    {"max_images_per_project": 201},
)


@probe(
    "parameters.bounds",
    "Are values beyond the bounds refused with the documented body?",
    meaning="The gateway checks these bounds itself; of other values, an error cannot name the argument.",
)
async def bounds(session: Session) -> Finding:
    accepted, undocumented, statuses = [], [], set()
    for parameters in _OUT_OF_BOUNDS:
        [name] = parameters
        response = await session.get({"per_page": 1, "max_images_per_project": 1, **parameters})
        statuses.add(str(response.status))
        if response.status >= 500:
            # Several in a row would mean that the API is down.
            await fetch_again(session, FIRST_PAGE)
        if response.status not in {400, 422}:
            accepted.append(f"{name}: {response.seen}")
        elif not _names_parameter(response.body, name):
            undocumented.append(name)
    if accepted:
        return differs(f"not refused: {listing(accepted)}")
    if undocumented:
        return differs(f"refused, with another body for {listing(undocumented)}")
    return holds(f"{len(_OUT_OF_BOUNDS)} refused with {listing(statuses)}, each by its name")


def _names_parameter(body: bytes, name: str) -> bool:
    try:
        detail = msgspec.json.decode(body, type=InvalidRequest).detail
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return any(each.field == name for each in detail)


async def _page(session: Session, parameters: Parameters) -> Body:
    """Return the page for valid parameters.

    Raises:
        DiffersError: the API refuses them.
        NotSeenError: it answers something else, or no more calls are made.
    """
    response = await session.get(parameters)
    if response.status in {400, 422}:
        raise DiffersError(f"refused: {response.seen}")
    body: Body = await session.page(parameters)
    return body


@probe(
    "parameters.order",
    "Does `order` reverse the list of projects?",
    meaning="`order` sorts something else than the dates of projects, or nothing.",
    noticed=True,
)
async def order(session: Session) -> Finding:
    pages = await sampled_pages(session)
    first, last = pages[1], pages.get(last_page_number(pages[1]), pages[1])
    descending = ids_of(last)
    if total_of(first) < 2:
        return not_seen("the account has fewer than two projects")
    body = await _page(session, {"order": "asc", **FIRST_PAGE})
    ascending = ids_of(body)[: len(descending)]
    if ascending == descending[::-1]:
        return holds(f"`asc` begins with the last {counted(len(descending), 'project')} of `desc`, reversed")
    await check_unchanged(session)
    if ids_of(body) == ids_of(first):
        return differs(f"`asc` and `desc` begin with the same {counted(len(ids_of(first)), 'project')}")
    if sorted(map(repr, ascending)) == sorted(map(repr, descending)):
        return holds("`asc` begins with the last projects of `desc`, some of which seem to be equal")
    return differs("`asc` does not begin with the last projects of `desc`")


@probe(
    "parameters.project_id",
    "Does `project_id` list one project?",
    meaning="`project` and `node` show another project, or an error.",
    noticed=True,
)
async def project_id(session: Session) -> Finding:
    projects = await sampled_projects(session)
    if len(projects) < 2:
        return not_seen("the account has fewer than two projects")
    number = projects[-1].get("project_id")
    if type(number) is not int:
        return not_seen("the projects have no numeric id")
    body = await _page(session, {"project_id": number, "max_images_per_project": 1})
    found = ids_of(body)
    return holds("one project") if found == [number] else differs(counted(len(found), "project") + " listed")


@probe(
    "parameters.status",
    "Does `status` list only images with that status?",
    meaning="Clients that filter by status see other images.",
    noticed=True,
)
async def status(session: Session) -> Finding:
    return await _filtered(session, "status", await _by_status(session))


async def _by_status(session: Session) -> dict[str, Body]:
    """Return the first page of each status that was seen; of another one too, if all images have one."""
    seen = await _seen(session, "status", most=_MAX_STATUSES)
    pages = {value: await _page(session, {"status": value, **FIRST_PAGE}) for value in seen}
    if len(pages) < 2:
        # One that matches all images shows nothing. The API may not know another one.
        other = "failed" if "completed" in pages else "completed"
        with suppress(DiffersError):
            pages[other] = await _page(session, {"status": other, **FIRST_PAGE})
    return pages


async def _seen(session: Session, name: str, *, most: int) -> list[str]:
    """Return the texts that the sampled images have in a field, the most frequent first."""
    seen = Counter(image[name] for image in await sampled_images(session) if isinstance(image.get(name), str))
    return [value for value, _ in seen.most_common(most) if value]


async def _filtered(session: Session, name: str, pages: dict[str, Body]) -> Finding:
    """Say whether the first page of each value of a filter has images with that value, and no others."""
    found = {value: images_of(*projects_of(body)) for value, body in pages.items()}
    count = sum(map(len, found.values()))
    wrong = sum(image.get(name) != value for value, images in found.items() for image in images)
    values = counted(len(pages), "value")
    if wrong:
        return differs(f"{wrong} of {counted(count, 'image')} have another one, for {values}")
    lost = await _confirmed(
        session, lambda plain: {value for value in _values_of(name, plain) if found.get(value) == []}
    )
    if lost:
        return differs(f"no images for {len(lost)} of {values}, which are on the page without the filter")
    return holds(f"{counted(count, 'image')} for {values}") if count else not_seen("no image matches")


async def _confirmed(session: Session, differing: Callable[[Body], set[Where]]) -> set[Where]:
    """Return where pages differ from the first page both as it was before them and as it is now."""
    found = differing(await first_page(session))
    return found & differing(await fetch_again(session, FIRST_PAGE)) if found else found


def _values_of(name: str, body: Body) -> set[str]:
    values = (image.get(name) for image in images_of(*projects_of(body)))
    return {value for value in values if isinstance(value, str)}


@probe(
    "parameters.feedback",
    "Does `feedback` list only images with that feedback?",
    meaning="Clients that filter by feedback see other images.",
    noticed=True,
)
async def feedback(session: Session) -> Finding:
    [value, *_] = [*await _seen(session, "feedback", most=2), "like"]
    pages = {value: await _page(session, {"feedback": value, **FIRST_PAGE})}
    return await _filtered(session, "feedback", pages)


@probe(
    "parameters.feedback_repeated",
    "Does `feedback` given twice list the images of both values?",
    meaning="Clients that filter by several values see the images of one of them, or none.",
    noticed=True,
)
async def feedback_repeated(session: Session) -> Finding:
    values = await _seen(session, "feedback", most=2)
    if len(values) < 2:
        return not_seen("the sampled images have fewer than two values of `feedback`")
    often, rarely = values
    listed = projects_of(await _page(session, {"feedback": rarely, **FIRST_PAGE}))
    ids = [project.get("project_id") for project in listed if images_of(project)]
    # One project, so that all of its images of both values are listed.
    one: dict[str, int | str]
    for number in ids:
        one = {"project_id": str(number), "max_images_per_project": _MANY_IMAGES}
        if images_of(*projects_of(await _page(session, {"feedback": often, **one}))):
            break
    else:
        return not_seen("no project of the first page has images of both values")
    repeated, joined = [await session.get({"feedback": given, **one}) for given in (values, ",".join(values))]
    found = _values_listed(repeated, values)
    evidence = f"repeated: {found}; separated by a comma: {_values_listed(joined, values)}"
    return (holds if found == _BOTH else differs)(evidence)


_BOTH = "both values"


def _values_listed(response: Response, values: Sequence[str]) -> str:
    if response.status != 200 or not isinstance(response.json, dict):
        return response.seen
    found = [image.get("feedback") for image in images_of(*projects_of(response.json))]
    if not all(value in values for value in found):
        return "other values"
    return {0: "no images", 1: "one value"}.get(len(set(found)), _BOTH)


@probe(
    "parameters.sort_by",
    "Does `sort_by=quality_score` sort the images?",
    meaning="Clients that sort by score see another order, and other images of projects with many.",
    noticed=True,
)
async def sort_by(session: Session) -> Finding:
    body = await _page(session, {"sort_by": "quality_score", **FIRST_PAGE})
    lists = []
    for project in projects_of(body):
        scores = [image.get("quality_score") for image in images_of(project)]
        numeric = [float(score) for score in scores if isinstance(score, int | float)]
        if len(set(numeric)) > 1:
            lists.append(numeric)
    if not lists:
        return not_seen("no project of the first page has images with different scores")
    unsorted = [scores for scores in lists if scores not in (sorted(scores), sorted(scores)[::-1])]
    if unsorted:
        return differs(f"not sorted in {len(unsorted)} of {counted(len(lists), 'project')}")
    return holds(f"sorted in {counted(len(lists), 'project')}")


@probe(
    "parameters.ownership",
    "Do `mine` and `shared` together list what is listed without `ownership`?",
    meaning="Clients that filter by owner miss projects, or see those of others.",
    noticed=True,
)
async def ownership(session: Session) -> Finding:
    every = total_of(await first_page(session))
    if every == 0:
        return not_seen("the account has no projects")
    parts = {}
    for value in ("mine", "shared"):
        body = await _page(session, {"ownership": value, "per_page": PER_PAGE, "max_images_per_project": 1})
        parts[value] = total_of(body)
    evidence = f"{parts['mine']:,} mine and {parts['shared']:,} shared of {every:,}"
    if sum(parts.values()) == every:
        return holds(evidence)
    await check_unchanged(session)
    return differs(evidence)


@probe(
    "parameters.cap",
    "Does `max_images_per_project` list the first images of each project?",
    meaning="Narrowing shows other images than the plain request, or more.",
    setting="NARROWING=false",
    noticed=True,
)
async def cap(session: Session) -> Finding:
    await sampled_images(session)
    narrowed = {limit: await _capped(session, limit) for limit in (1, 2)}
    if wrong := await _confirmed(session, lambda plain: _uncapped(plain, narrowed)):
        return differs(f"more or other images at a cap of {listing({limit for limit, _ in wrong})}")
    projects = counted(len(projects_of(await first_page(session))), "project")
    return holds(f"the same first images of {projects} at 1 and 2")


async def _capped(session: Session, limit: int) -> Body:
    body: Body = await _page(session, {"page": 1, "per_page": PER_PAGE, "max_images_per_project": limit})
    return body


def _uncapped(plain: Body, narrowed: dict[int, Body]) -> set[tuple[str, str]]:
    """Return the caps and projects of the plain page for which the cap lists other images than its first."""
    expected = {key: list(map(identity_of, images_of(project))) for key, project in by_id(plain).items()}
    return {
        (str(limit), key)
        for limit, body in narrowed.items()
        for key, project in by_id(body).items()
        if key in expected and list(map(identity_of, images_of(project))) != expected[key][:limit]
    }


@probe(
    "parameters.cap_counters",
    "Are the counters of a project the same at any cap?",
    meaning="Counters follow the cap: narrowed answers have others than the plain request.",
    setting="NARROWING=false",
    noticed=True,
)
async def cap_counters(session: Session) -> Finding:
    plain, narrowed = await first_page(session), await _capped(session, 1)
    several = sum(len(images_of(project)) > 1 for project in projects_of(plain))
    if not several:
        return not_seen("no project of the first page has several images")
    if wrong := await _confirmed(session, lambda plain: _other_counters(plain, narrowed)):
        names = listing({name for _, name in wrong})
        return differs(f"others at a cap of 1 than at {MAX_IMAGES}: {names}")
    return holds(f"the same at a cap of 1 and {MAX_IMAGES} in {counted(several, 'project')}")


def _other_counters(plain: Body, other: Body) -> set[tuple[str, str]]:
    """Return the projects on both pages, and their counters with different values."""
    expected = by_id(plain)
    return {
        (key, name)
        for key, project in by_id(other).items()
        for name in _COUNTERS
        if key in expected and project.get(name) != expected[key].get(name)
    }


@probe(
    "parameters.filter_counters",
    "Are the counters of a project the same under a filter?",
    meaning="Under a filter, clients see counts of matching images. A filtered page without pending images "
    "stays fresh for CACHE_TTL_SECONDS, although other images of its projects are pending.",
)
async def filter_counters(session: Session) -> Finding:
    pages = await _by_status(session)
    plain = by_id(await first_page(session))
    decided = 0
    for body in pages.values():
        for key, project in by_id(body).items():
            total = plain.get(key, {}).get("total_images")
            matching = len(images_of(project))
            decided += matching < MAX_IMAGES and type(total) is int and matching < total
    wrong = await _confirmed(
        session,
        lambda plain: {
            (value, *where) for value, body in pages.items() for where in _other_counters(plain, body)
        },
    )
    if wrong:
        return differs(f"others under `status`: {listing({name for _, _, name in wrong})}")
    if not decided:
        return not_seen("no sampled project has images with and without a status")
    return holds(f"the same with and without `status` in {counted(decided, 'project')}")


@probe(
    "parameters.filter_projects",
    "Do filtered pages hold as many projects as their total says?",
    meaning="The API hides projects after it has cut out a page: pages have gaps, cursors need more calls.",
    noticed=True,
)
async def filter_projects(session: Session) -> Finding:
    every = total_of(await first_page(session))
    pages = await _by_status(session)
    short = empty = fewer = 0
    for body in pages.values():
        total = total_of(body)
        short += len(projects_of(body)) < min(PER_PAGE, total)
        empty += sum(not images_of(project) for project in projects_of(body))
        fewer += total < every
    evidence = f"{counted(len(pages), 'value')} of `status`"
    if short:
        return differs(f"{short} of {evidence}: fewer projects than the total says")
    if empty:
        return holds(f"{evidence}: projects without a matching image are listed")
    if fewer:
        return holds(f"{evidence}: projects without a matching image are left out")
    return holds(f"{evidence}: every listed project has a matching image")


@probe(
    "parameters.search",
    "Does `search` find a project by its name, its key and its id?",
    meaning="Clients that search miss projects, or see all of them.",
    noticed=True,
)
async def search(session: Session) -> Finding:
    projects = await sampled_projects(session)
    every = total_of(await first_page(session))
    # One that an ignored search would not show on the first page.
    wanted = projects[-1]
    verdicts: dict[str, list[str]] = {"found": [], "not found": [], "ignored": []}
    for kind in ("name", "key", "id"):
        value = wanted.get(f"project_{kind}")
        if not isinstance(value, str | int) or value == "":
            continue
        body = await _page(session, {"search": str(value), "per_page": PER_PAGE, "max_images_per_project": 1})
        total = number_of(body, "total") or 0
        if total >= every > 1 and kind != "name":
            verdicts["ignored"].append(kind)
        elif wanted.get("project_id") in ids_of(body):
            verdicts["found"].append(kind)
        elif total <= PER_PAGE:
            verdicts["not found"].append(kind)
    evidence = "; ".join(f"{name} by {listing(kinds)}" for name, kinds in verdicts.items() if kinds)
    if verdicts["not found"] or verdicts["ignored"]:
        return differs(evidence)
    if not verdicts["found"]:
        raise NotSeenError("too many projects match")
    return holds(evidence)


PROBES = (
    bounds,
    order,
    project_id,
    status,
    feedback,
    feedback_repeated,
    sort_by,
    ownership,
    cap,
    cap_counters,
    filter_counters,
    filter_projects,
    search,
)
