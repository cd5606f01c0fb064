"""The pages that most probes look at, and how two pages are compared value by value.

What the REST API sends may have any shape, so whatever is not as documented is left out here: the probes of
`fields.py` report it.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from gallery_gateway.upstream.contract import Page
from gallery_gateway.verify.session import NotSeenError, Session, Token

Body = dict[str, Any]
"""A JSON object of the REST API."""

PER_PAGE = 4
MAX_IMAGES = 4

# A page of this size has at most 200 KB, if an image has 12 KB.
SIZE = {"per_page": PER_PAGE, "max_images_per_project": MAX_IMAGES}

FIRST_PAGE = {"page": 1, **SIZE}

CHANGED = "the account changed meanwhile; verify again when nothing is generated"

FIRST_PAGES = 3


def objects(value: object) -> list[Body]:
    """Return the items of a list that are objects."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def projects_of(body: Body) -> list[Body]:
    return objects(body.get("projects"))


def images_of(*projects: Body) -> list[Body]:
    return [image for project in projects for image in objects(project.get("images"))]


def ids_of(body: Body) -> list[object]:
    return [project.get("project_id") for project in projects_of(body)]


def by_id(body: Body) -> dict[str, Body]:
    """Return the projects of a page by a text of their id."""
    return {repr(project.get("project_id")): project for project in projects_of(body)}


def number_of(body: Body, name: str) -> int | None:
    """Return a number of the pagination, or `None` if it is not one."""
    pagination = body.get("pagination")
    value = pagination.get(name) if isinstance(pagination, dict) else None
    return value if type(value) is int else None


def total_of(body: Body) -> int:
    """Raises: NotSeenError: the page does not say how many projects there are."""
    total = number_of(body, "total")
    if total is None:
        raise NotSeenError("the pages have no `total`")
    return total


def identity_of(image: Body) -> tuple[str, ...]:
    names = ("job_id", "image_index", "group_index", "version")
    return tuple(repr(image.get(name)) for name in names)


async def first_page(session: Session) -> Body:
    """Raises: NotSeenError: it cannot be fetched."""
    body: Body = await session.page(FIRST_PAGE)
    return body


async def sampled_pages(session: Session) -> dict[int, Body]:
    """Return the first three pages and the last one by their numbers, as many as there are.

    Raises:
        NotSeenError: there is no first page, or no more calls are made.
    """
    bodies = {1: await first_page(session)}
    last = last_page_number(bodies[1])
    for number in sorted({*range(2, FIRST_PAGES + 1), last}):
        if 2 <= number <= last:
            response = await session.get({"page": number, **SIZE})
            if response.status == 200 and isinstance(response.json, dict):
                bodies[number] = response.json
    return bodies


def last_page_number(first: Body) -> int:
    """Return the number of the last page; 0 if there are no projects."""
    return -(-(number_of(first, "total") or 0) // PER_PAGE)


async def sampled_projects(session: Session) -> list[Body]:
    """Raises: NotSeenError: there is none."""
    projects = [project for body in (await sampled_pages(session)).values() for project in projects_of(body)]
    if not projects:
        raise NotSeenError("the account has no projects")
    return projects


async def sampled_images(session: Session) -> list[Body]:
    """Raises: NotSeenError: there is none."""
    images = images_of(*await sampled_projects(session))
    if not images:
        raise NotSeenError("the projects have no images")
    return images


async def fetch_again(session: Session, parameters: dict[str, int], *, token: Token = Token.OURS) -> Body:
    """Return a page as it is now, whether it was fetched before or not."""
    body: Body = await session.page(parameters, token=token, time=session.calls + 2)
    return body


async def check_unchanged(session: Session) -> None:
    """Raises: NotSeenError: projects came or went since the first page was fetched."""
    before, now = await first_page(session), await fetch_again(session, FIRST_PAGE)
    if ids_of(before) != ids_of(now) or number_of(before, "total") != number_of(now, "total"):
        raise NotSeenError(CHANGED)


# A field of the contract, and of which object: equal places in two pages hold the same value.
Place = tuple[str, *tuple[str, ...]]
Values = dict[Place, object]


def values_of(body: Body) -> Values:
    """Return each value of a page under its place: the field of the contract, then identities.

    An absent field is null, as in the graph. Links have no query, which is a new signature each time.
    """
    values: Values = {}
    _add_values(values, body, msgspec.inspect.type_info(Page), field="", where=())
    return values


def _add_values(
    values: Values, value: object, kind: msgspec.inspect.Type, *, field: str, where: tuple[str, ...]
) -> None:
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    for part in kinds:
        if isinstance(part, msgspec.inspect.StructType) and isinstance(value, dict):
            for member in part.fields:
                name = f"{field}.{member.encode_name}".removeprefix(".")
                _add_values(values, value.get(member.encode_name), member.type, field=name, where=where)
            return
        if isinstance(part, msgspec.inspect.ListType):
            items = objects(value)
            keys = list(_keys(items))
            # The order, and how many there are.
            values[field, *where] = keys
            for key, item in zip(keys, items, strict=True):
                _add_values(values, item, part.item_type, field=field, where=(*where, *key))
            return
    is_link = field.rpartition(".")[2] in {"full_size", "thumbnail"} and isinstance(value, str)
    values[field, *where] = str(value).partition("?")[0] if is_link else value


def _keys(items: list[Body]) -> Iterator[tuple[str, ...]]:
    """Yield what identifies each item of a list; the position, if nothing does."""
    for position, item in enumerate(items):
        if "project_id" in item:
            yield (repr(item["project_id"]),)
        elif "image_index" in item:
            yield identity_of(item)
        else:
            yield (str(position),)


def changed_places(before: Values, after: Values) -> set[Place]:
    return {place for place in before.keys() | after.keys() if before.get(place) != after.get(place)}


async def volatile_fields(session: Session) -> set[str]:
    """Return the fields that have other values in each call; the order of projects is not among them."""
    before = values_of(await first_page(session))
    again = values_of(await session.page(FIRST_PAGE, time=2))
    changed = changed_places(before, again)
    if changed:
        # What changes in each of two short periods does so always.
        changed &= changed_places(again, values_of(await fetch_again(session, FIRST_PAGE)))
    return {place[0] for place in changed} - {"projects"}


async def differing_fields(
    session: Session, plain: dict[str, int], answer: Body, *, shown: Callable[[Body], Body] = dict
) -> set[str]:
    """Return the fields in which an answer differs from the plain page.

    What changed meanwhile does not count, nor do fields that always change.

    Args:
        session: makes the calls.
        plain: parameters of the page, which was fetched before the answer, and is fetched once more if there
            is a difference.
        answer: in the shape of a page.
        shown: returns the part of the page that the answer should hold.
    """
    before, given = values_of(shown(await session.page(plain))), values_of(answer)
    volatile = await session.once(volatile_fields)
    differing = {place for place in changed_places(before, given) if place[0] not in volatile}
    if differing:
        after = values_of(shown(await fetch_again(session, plain)))
        differing -= changed_places(before, after)
    return {place[0] for place in differing}


def with_images(body: Body, limit: int) -> Body:
    """Return a page with at most `limit` images of each project."""
    projects = [project | {"images": objects(project.get("images"))[:limit]} for project in projects_of(body)]
    return body | {"projects": projects}


def listing(names: Iterable[str]) -> str:
    """Return names of the contract for evidence, at most five."""
    ordered = sorted(names)
    more = f" and {len(ordered) - 5} more" if len(ordered) > 5 else ""
    return ", ".join(ordered[:5]) + more


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
