"""Probes about the contract, field by field, on the sampled pages."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime

import msgspec

from gallery_gateway.upstream.drift import Difference, Kind, Presence, compare, presence
from gallery_gateway.verify.probe import Finding, differs, holds, not_seen, probe
from gallery_gateway.verify.sampling import (
    Body,
    counted,
    identity_of,
    ids_of,
    images_of,
    listing,
    objects,
    projects_of,
    sampled_images,
    sampled_pages,
    sampled_projects,
)
from gallery_gateway.verify.session import Session

_MAX_INT = 2**31 - 1


@probe(
    "fields.required",
    "Are the fields there that identify projects and images, and the numbers of a page?",
    meaning="Clients that select such a field get UPSTREAM_CONTRACT, and null instead of the project."
    " The `id` of an image needs `job_id`.",
    noticed=True,
)
async def required(session: Session) -> Finding:
    missing = await _differences(session, "missing")
    found = [f"{_short(each.field)} missing in {each.count} of {each.compared}" for each in missing]
    return differs(listing(found)) if found else holds(await _extent(session))


@probe(
    "fields.optional",
    "Are the other fields of the contract there?",
    meaning="Clients always get null in a field that the API does not send.",
)
async def optional(session: Session) -> Finding:
    absent, partial, nulls = [], [], []
    fields = [field for field in presence(await _sample(session)) if field.compared]
    for field in fields:
        name = _short(field.field)
        if field.is_required:
            continue
        if not field.present:
            absent.append(name)
        elif field.present < field.compared:
            partial.append(f"{name} in {field.present} of {field.compared}")
        elif field.types == {"null": field.compared}:
            nulls.append(name)
    parts = [f"{len(fields) - len(absent)} of {len(fields)} fields"]
    parts += [f"never: {listing(absent)}"] if absent else []
    parts += [f"not always: {listing(partial)}"] if partial else []
    parts += [f"always null: {listing(nulls)}"] if nulls else []
    if not absent:
        # Without a project, there are few fields to look for.
        await sampled_projects(session)
    finding = (differs if absent else holds)("; ".join(parts))
    return replace(finding, details=tuple(map(_counts, fields)))


def _counts(field: Presence) -> str:
    types = ", ".join(f"{count} {name}" for name, count in sorted(field.types.items()))
    return f"{_short(field.field)}: in {field.present} of {field.compared}: {types or 'nothing'}"


@probe(
    "fields.types",
    "Has every field the type of the contract, and null only where the contract allows it?",
    meaning="Clients get the value converted, such as 7 as text, or null with an UPSTREAM_CONTRACT error.",
    noticed=True,
)
async def types(session: Session) -> Finding:
    mistyped = await _differences(session, "mistyped")
    found = [f"{_short(each.field)}: {_types(each)}" for each in mistyped]
    return differs(listing(found)) if found else holds(await _extent(session))


@probe(
    "fields.unknown",
    "Are all fields known?",
    meaning="Clients cannot select these fields until the graph has them.",
)
async def unknown(session: Session) -> Finding:
    found = await _differences(session, "unknown")
    if not found:
        return holds(await _extent(session))
    by_holder: defaultdict[str, list[str]] = defaultdict(list)
    for each in found:
        holder = _short(each.field.rpartition(".")[0]) or "the page"
        by_holder[holder].append(_types(each))
    evidence = "; ".join(f"{holder}: {listing(seen)}" for holder, seen in sorted(by_holder.items()))
    # A name is no value, but it is not from the contract either.
    return differs(evidence, local=f"({listing(_short(each.field) for each in found)})")


@probe(
    "fields.identity",
    "Do ids identify projects, and the four fields of the contract images, within a page?",
    meaning="Clients with a normalized cache, such as Apollo Client, show one object in place of another.",
    noticed=True,
)
async def identity(session: Session) -> Finding:
    twice: Counter[str] = Counter()
    for body in (await sampled_pages(session)).values():
        images = [identity_of(image) for image in images_of(*projects_of(body))]
        for kind, keys in (("project", ids_of(body)), ("image", images)):
            twice[kind] += len(keys) - len(set(map(repr, keys)))
    if any(twice.values()):
        return differs(" and ".join(counted(count, kind) for kind, count in twice.items()) + " listed again")
    return holds(await _extent(session))


@probe(
    "fields.dates",
    "Are dates in ISO 8601?",
    meaning="`createdAt` has the format of the API, which clients must parse.",
    noticed=True,
)
async def dates(session: Session) -> Finding:
    projects = await sampled_projects(session)
    formats = Counter(
        _format_of(each["created_at"])
        for each in (*projects, *images_of(*projects))
        if each.get("created_at") is not None
    )
    if not formats:
        return not_seen("the sample has no dates")
    evidence = ", ".join(f"{count} {name}" for name, count in sorted(formats.items()))
    is_iso = all(name.startswith("ISO 8601") for name in formats)
    return (holds if is_iso else differs)(evidence)


@probe(
    "fields.ids",
    "Do all whole numbers stay below 2^31?",
    meaning="`projectId` and `resultId` are BigInt: clients need 64 bits for them; other numbers are errors.",
)
async def ids(session: Session) -> Finding:
    large: Counter[str] = Counter()
    count = 0
    projects = await sampled_projects(session)
    for holder, found in (("projects", projects), ("projects[].images", images_of(*projects))):
        for each in found:
            numbers = {f"{holder}[].{key}": value for key, value in each.items() if type(value) is int}
            count += len(numbers)
            large.update(name for name, value in numbers.items() if abs(value) > _MAX_INT)
    if large:
        known = [field.field for field in presence(await _sample(session))]
        return differs(listing(f"{_short(name)} in {large[name]}" for name in known if large[name]))
    return holds(counted(count, "number"))


@probe(
    "fields.versions",
    "Are all versions of an image listed?",
    meaning="Clients cannot show what an image was like before a retouch.",
)
async def versions(session: Session) -> Finding:
    await sampled_images(session)
    projects = await sampled_projects(session)
    several, lonely = _versions(projects)
    if not several and lonely:
        # The cap may have cut off the others.
        project_id = lonely[0].get("project_id")
        if type(project_id) is int:
            body = await session.page({"project_id": project_id, "max_images_per_project": 50})
            several, _ = _versions(projects_of(body))
    if several:
        return holds(f"{counted(several, 'image')} with several versions")
    if lonely:
        return differs("later versions are listed without the earlier ones")
    return not_seen("no sampled image has a second version")


def _versions(projects: list[Body]) -> tuple[int, list[Body]]:
    """Return the number of images with several versions, and the projects with a later version alone."""
    several, lonely = 0, []
    for project in projects:
        found: defaultdict[tuple[str, ...], list[object]] = defaultdict(list)
        for image in images_of(project):
            found[identity_of(image)[:3]].append(image.get("version"))
        several += sum(len(numbers) > 1 for numbers in found.values())
        if any(len(numbers) == 1 and numbers[0] not in {0, None} for numbers in found.values()):
            lonely.append(project)
    return several, lonely


def _format_of(value: object) -> str:
    if not isinstance(value, str):
        return "numbers" if type(value) in {int, float} else "of another type"
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return "of another format"
    return "ISO 8601 with an offset" if moment.tzinfo else "ISO 8601 without an offset"


def _short(field: str) -> str:
    """Return the path of a field without the lists on its way: `images.status`."""
    return field.removeprefix("projects[].").replace("[]", "")


def _types(difference: Difference) -> str:
    return f"{' or '.join(difference.types)} in {difference.count} of {difference.compared}"


async def _sample(session: Session) -> bytes:
    """Return the sampled pages as one."""
    first, *others = (await sampled_pages(session)).values()
    listed = first.get("projects")
    if isinstance(listed, list):
        more = [project for body in others for project in objects(body.get("projects"))]
        first = first | {"projects": [*listed, *more]}
    return msgspec.json.encode(first)


async def _differences(session: Session, kind: Kind) -> list[Difference]:
    return [each for each in compare(await _sample(session)) if each.kind == kind]


async def _extent(session: Session) -> str:
    """Return how much was looked at.

    Raises:
        NotSeenError: there are no projects.
    """
    projects = await sampled_projects(session)
    return f"{counted(len(projects), 'project')}, {counted(len(images_of(*projects)), 'image')}"


PROBES = (required, optional, types, unknown, identity, dates, ids, versions)
