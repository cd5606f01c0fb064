"""A REST API that answers pages of a list in one of many wrong ways, and clients that walk along it."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.fakes import Client, FakeUpstream, gateway, parameters_of, project_body

CONNECTION = """
query Walk($first: Int, $after: String, $last: Int, $before: String, $order: SortOrder!) {
  projects(first: $first, after: $after, last: $last, before: $before, order: $order) {
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node { projectId } }
  }
}
"""
PAGES = """
query Pages($a: Int!, $b: Int!, $c: Int!, $d: Int!, $e: Int!, $f: Int!) {
  x: gallery(page: $a, perPage: $b) { projects { projectId } }
  y: gallery(page: $c, perPage: $d) { projects { projectId } }
  z: gallery(page: $e, perPage: $f) { projects { projectId } }
}
"""
ERRORS = {"UPSTREAM_CONTRACT", "BAD_USER_INPUT"}


@dataclass
class Asked:
    """A page that was requested, and the list in its order. A fault changes how it is answered."""

    listed: list[int]
    page: int
    size: int
    hidden: set[int]
    limit: int

    def answer(
        self, *, offset: int | None = None, size: int | None = None, hides: bool = False, **said: Any
    ) -> dict[str, Any]:
        """Return the projects of a page, and honest numbers but for those that are `said`."""
        size = self.size if size is None else size
        start = (self.page - 1) * size if offset is None else offset
        rows = self.listed[start : start + size]
        shown = [number for number in rows if not (hides and number in self.hidden)]
        pages = -(-len(self.listed) // size)
        numbers = {
            "page": self.page,
            "per_page": size,
            "total": len(self.listed),
            "pages": pages,
            "has_next": start + size < len(self.listed),
            "has_prev": self.page > 1,
        }
        return {"pagination": numbers | said, "projects": [project_body(number) for number in shown]}

    @property
    def clamped(self) -> int:
        return min(self.size, self.limit)

    @property
    def visible(self) -> list[int]:
        return [number for number in self.listed if number not in self.hidden]


def _refilled(asked: Asked) -> dict[str, Any]:
    """Cut by the list of all, filled from the list of what is visible."""
    start = (asked.page - 1) * asked.size
    rest = [number for number in asked.listed[start:] if number not in asked.hidden]
    body = asked.answer(total=len(asked.visible))
    return {**body, "projects": [project_body(number) for number in rest[: asked.size]]}


# Higher than the largest first page, which nothing could contradict.
_CAP = 120

Fault = Callable[[Asked], dict[str, Any]]

FAULTS: dict[str, Fault] = {
    "none": lambda asked: asked.answer(),
    "`total` is 0": lambda asked: asked.answer(total=0, pages=0),
    "`total` is capped": lambda asked: asked.answer(total=min(len(asked.listed), asked.limit)),
    "`total` and `has_next` are capped": lambda asked: asked.answer(
        total=min(len(asked.listed), _CAP), has_next=asked.page * asked.size < min(len(asked.listed), _CAP)
    ),
    "`total` is behind `has_next`": lambda asked: asked.answer(total=max(0, asked.page * asked.size - 1)),
    "`total` is too large": lambda asked: asked.answer(total=len(asked.listed) + asked.limit),
    "`has_next` is always false": lambda asked: asked.answer(has_next=False),
    "`has_next` is always true": lambda asked: asked.answer(has_next=True),
    "no `total`": lambda asked: asked.answer(total=None, pages=None),
    "no `has_next`": lambda asked: asked.answer(has_next=None),
    "`per_page` has a lower maximum, and says so": lambda asked: asked.answer(size=asked.clamped),
    "`per_page` has a lower maximum, and does not say so": lambda asked: asked.answer(
        size=asked.clamped, per_page=asked.size, pages=-(-len(asked.listed) // asked.size)
    ),
    "`per_page` has a lower maximum, and `has_next` is reckoned without it": lambda asked: asked.answer(
        size=asked.clamped, per_page=asked.size, has_next=asked.page * asked.size < len(asked.listed)
    ),
    "pages are cut short, and the next one starts behind the gap": lambda asked: asked.answer(
        offset=(asked.page - 1) * asked.size,
        size=asked.clamped,
        per_page=asked.size,
        has_next=asked.page * asked.size < len(asked.listed),
    ),
    "`per_page` is ignored": lambda asked: asked.answer(size=asked.limit),
    "`page` is ignored": lambda asked: asked.answer(offset=0, page=1),
    "projects are hidden after paging": lambda asked: asked.answer(hides=True),
    "projects are hidden after paging, and not in `total`": lambda asked: asked.answer(
        hides=True, total=len(asked.visible), pages=-(-len(asked.visible) // asked.size)
    ),
    "hidden projects are replaced by those of the next page": _refilled,
    "pages overlap by one project": lambda asked: asked.answer(
        offset=max(0, (asked.page - 1) * asked.size - 1)
    ),
    "pages overlap more and more": lambda asked: asked.answer(
        offset=(asked.page - 1) * max(1, asked.size - 1)
    ),
}
"""The ways in which a page is answered, by what is wrong with it."""


_MAX_LENGTH = 300


@dataclass
class LyingList:
    """Projects from the newest to the oldest, answered with one fault, and changed by `change`.

    `has_shown_sizes` says whether a page was shorter than requested although others follow.
    """

    fault: Fault
    chances: random.Random
    length: int
    upstream: FakeUpstream = field(default_factory=FakeUpstream)
    changes_within_steps: bool = False
    has_shown_sizes: bool = False

    def __post_init__(self) -> None:
        self.ids = list(range(self.length, 0, -1))
        self.newest = self.length
        self.limit = self.chances.choice([3, 5, 10, 17, 40])
        self.hidden = {
            number for number in self.ids if self.chances.random() < self.chances.choice([0.05, 0.3])
        }
        self.removed: set[int] = set()
        self.upstream.handler = self.handle

    @property
    def lasting(self) -> set[int]:
        """The projects that were there all the time."""
        return set(range(1, self.length + 1)) - self.removed

    def change(self) -> None:
        """Add projects, remove some, or as many as are added; a list may not outgrow its walk."""
        if len(self.ids) >= _MAX_LENGTH:
            return
        added, removed = self.chances.choice(
            [(0, 0), (1, 0), (0, 1), (1, 1), (1, 1), (3, 3), (8, 2), (0, 4), (30, 0)]
        )
        self.ids[:0] = range(self.newest + added, self.newest, -1)
        self.newest += added
        for _ in range(min(removed, len(self.ids))):
            self.removed.add(self.ids.pop(self.chances.randrange(len(self.ids))))

    def body(self, parameters: dict[str, str]) -> dict[str, Any]:
        listed = self.ids if parameters["order"] == "desc" else self.ids[::-1]
        page, size = int(parameters["page"]), int(parameters["per_page"])
        return self.fault(Asked(listed, page, size, self.hidden, self.limit))

    def handle(self, request: httpx.Request) -> httpx.Response:
        if self.changes_within_steps and self.chances.random() < 0.3:
            self.change()
        body = self.body(parameters_of(request))
        is_short = len(body["projects"]) < int(parameters_of(request)["per_page"])
        self.has_shown_sizes |= is_short and body["pagination"]["has_next"] is True
        return httpx.Response(200, json=body)


@dataclass
class Walked:
    """What a walk found, and the code of the error that ended it, if one did."""

    found: list[int]
    error: str | None


async def walk(
    client: Client,
    token: str,
    *,
    is_forward: bool,
    order: str,
    size: Callable[[], int],
    between: Callable[[], None],
) -> Walked:
    """Walk from one end of the list until there is no next page, and check each page."""
    found: list[int] = []
    cursor = None
    for _ in range(2_000):
        count = size()
        window = {"first": count, "after": cursor} if is_forward else {"last": count, "before": cursor}
        answer = await client.ask(CONNECTION, {**window, "order": order}, token=token)
        if "errors" in answer:
            (error,) = answer["errors"]
            assert error["extensions"]["code"] in ERRORS, answer
            assert (error["path"], answer["data"]) == (["projects"], {"projects": None})
            return Walked(found, error["extensions"]["code"])
        part = answer["data"]["projects"]
        check_page_info(part, count)
        ids = [edge["node"]["projectId"] for edge in part["edges"]]
        found = found + ids if is_forward else ids + found
        info = part["pageInfo"]
        if not info["hasNextPage" if is_forward else "hasPreviousPage"]:
            return Walked(found, None)
        cursor = info["endCursor" if is_forward else "startCursor"]
        between()
    raise AssertionError("the walk does not end")


def check_page_info(part: dict[str, Any], size: int) -> None:
    """Assert that a client can go on wherever the page says so."""
    info, edges = part["pageInfo"], part["edges"]
    assert len(edges) <= size
    if edges:
        assert (info["startCursor"], info["endCursor"]) == (edges[0]["cursor"], edges[-1]["cursor"])
    else:
        assert set(info.values()) == {None, False}


async def verdicts(fault: str) -> str:
    """Return the row of `docs/faults.md`: what becomes of walks along 137 projects that do not change."""
    seen: dict[bool, set[str]] = {True: set(), False: set()}
    upstream = FakeUpstream()
    async with gateway(upstream, cache_ttl_seconds=0) as client:
        for seed in range(24):
            changing = LyingList(FAULTS[fault], random.Random(seed), 137)
            upstream.handler = changing.handle
            is_forward, order = seed % 2 == 0, ["ASC", "DESC"][seed // 2 % 2]
            step = [3, 20, 30, 50, 100, 7][seed // 4]
            walked = await walk(
                client,
                f"token-{seed}",
                is_forward=is_forward,
                order=order,
                size=lambda step=step: step,  # type: ignore[misc]
                between=lambda: None,
            )
            missed = changing.lasting - (changing.hidden if "hidden" in fault else set()) - set(walked.found)
            seen[is_forward].add(walked.error or ("incomplete" if missed else "complete"))
    shown = [", or ".join(sorted(each, key=str.islower, reverse=True)) for each in seen.values()]
    forward, backward = [each.replace("UPSTREAM_CONTRACT", "`UPSTREAM_CONTRACT`") for each in shown]
    return f"| {fault} | {forward} | {backward} |"
