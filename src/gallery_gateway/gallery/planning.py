"""Which upstream calls a set of loads needs, and why. Pure: the loader makes these calls, a plan shows them.

A plan assumes an empty cache and no call of another operation in flight, and that the REST API answers each
call with a page as its contract describes it. Then `CallPlan.calls` are all made, each once, and `further`
bounds the others. A retry repeats a call, and a 404 for a page past the end costs one more, for the totals.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from msgspec import Struct

from gallery_gateway.errors import GatewayError
from gallery_gateway.gallery.lookup import FieldNeeds, LoadKey
from gallery_gateway.gallery.request import GalleryRequest, described, query_string
from gallery_gateway.gallery.usage import Budget

# REST contract, "Sizes": an image has about 1 to 12 KB. The estimate is the geometric mean.
_IMAGE_BYTES = 3_500
_PROJECT_BYTES = 350


class KeyOf(Protocol):
    """Narrows a request to the needs of a field."""

    def __call__(self, request: GalleryRequest, needs: FieldNeeds, *, is_project: bool) -> LoadKey: ...


class PlannedLoad(Struct, frozen=True):
    """How a load of a batch is answered.

    Args:
        covered_by: the load whose call contains the answer, unless its numbers do not fit.
        listed_on: pages that may list the project of the load; they are looked at before it is requested.
    """

    key: LoadKey
    covered_by: LoadKey | None = None
    listed_on: tuple[LoadKey, ...] = ()

    @property
    def is_call(self) -> bool:
        """Whether no other load of the batch can answer this one."""
        return self.covered_by is None and not self.listed_on

    @property
    def is_settled(self) -> bool:
        """Whether the other loads answer this one in any case.

        A project may not be listed on a page, and a part of a page may lie past the end of the list, unless
        it is its beginning.
        """
        request = self.key.request
        if self.listed_on:
            return any(page.request.covers(request) for page in self.listed_on)
        covering = self.covered_by
        return covering is not None and (request.page == 1 or covering.request.start == request.start)


def plan_batch(keys: Iterable[LoadKey]) -> list[PlannedLoad]:
    """Return how to answer loads that begin together: pages before projects, and large pages first."""
    planned: list[PlannedLoad] = []
    pages: list[LoadKey] = []
    # Loads that cover each other name the same project, or none.
    calls: defaultdict[int | None, list[LoadKey]] = defaultdict(list)
    for key in sorted(keys, key=lambda key: (not key.is_project, *key.size), reverse=True):
        request, alike = key.request, calls[key.request.project_id]
        listed_on = tuple([page for page in pages if key.may_be_on(page)]) if key.is_project else ()
        covering = [call for call in alike if call.request.covers(request)]
        load = PlannedLoad(key, covering[0] if covering else None, listed_on)
        planned.append(load)
        if load.is_call:
            alike.append(key)
        if not key.is_project:
            pages.append(key)
    return planned


class Condition(Enum):
    """When further calls are made."""

    UNLESS_CONTAINED = "UNLESS_CONTAINED"
    UNLESS_LISTED = "UNLESS_LISTED"
    # Of many projects, some may be on further pages, and others are requested one by one.
    UNLESS_ALL_LISTED = "UNLESS_ALL_LISTED"
    # Which pages follow depends on the answers.
    NEXT_PAGES = "NEXT_PAGES"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLoads:
    """What a root field loads before it depends on an answer.

    Args:
        keys: the loads that begin together.
        later: loads of the same kind that begin as the first ones end.
        wanted_images: images that each load could return as it was written; 0 if no field wrote it.
        condition: when further calls follow.
        further_calls: how many calls may follow, depending on the answers.
        further_images: the most images that these may return.
        errors: of what is not loaded, each with its path below the field.
    """

    keys: Sequence[LoadKey]
    later: Sequence[LoadKey] = ()
    wanted_images: int = 0
    condition: Condition = Condition.NEXT_PAGES
    further_calls: int = 0
    further_images: int = 0
    errors: Sequence[tuple[tuple[int, ...], GatewayError]] = ()


class Reason(Enum):
    """Why a call serves a field."""

    FETCHED = "FETCHED"
    # Another field makes the same request.
    SAME = "SAME"
    # The page of the field is a part of the page of the call.
    CONTAINED = "CONTAINED"
    # The page of the call may list the project of the field.
    LISTED = "LISTED"


@dataclass(frozen=True, slots=True)
class ServedField:
    """A root field that a call serves.

    Args:
        key: the response key of the field.
        wanted_images: images that the field could have requested as it was written.
        images: images that it needs.
    """

    key: str
    reason: Reason
    wanted_images: int
    images: int

    def as_json(self) -> dict[str, Any]:
        is_narrowed = self.wanted_images > self.images
        narrowed = {"from": self.wanted_images, "to": self.images} if is_narrowed else None
        return {"key": self.key, "reason": self.reason.value, "narrowed": narrowed}


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """An upstream call that is made in any case, and the fields that it serves."""

    request: GalleryRequest
    fields: list[ServedField] = field(default_factory=list)

    @property
    def images(self) -> int:
        """The most images that it may return."""
        return self.request.max_images

    @property
    def estimated_bytes(self) -> int:
        """The size of a page with the most projects and images."""
        projects = self.request.per_page if self.request.project_id is None else 1
        return projects * _PROJECT_BYTES + self.images * _IMAGE_BYTES

    def as_json(self) -> dict[str, Any]:
        return {
            **described(query_string(self.request)),
            "fields": [served.as_json() for served in self.fields],
            "images": self.images,
            "bytes": self.estimated_bytes,
        }


@dataclass(frozen=True, slots=True)
class FurtherCalls:
    """Calls that may follow, depending on the answers.

    Args:
        fields: the response keys of the fields that need them.
        at_most: how many.
        images: the most images that they may return.
        after: indexes of the calls whose answers decide.
        request: of the only call; `None` if the answers decide what is requested.
    """

    fields: list[str]
    condition: Condition
    at_most: int
    images: int
    after: list[int]
    request: GalleryRequest | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            **(described(query_string(self.request)) if self.request else {}),
            "fields": self.fields,
            "condition": self.condition.value,
            "atMost": self.at_most,
            "images": self.images,
            "after": self.after,
        }


@dataclass(frozen=True, slots=True)
class CallPlan:
    """The upstream calls of an operation whose caller has an empty cache.

    Args:
        calls: those that are made in any case, in the order in which they begin; if they exceed the budget,
            none of them is made.
        further: those that may follow.
    """

    calls: list[PlannedCall]
    further: list[FurtherCalls]
    budget: Budget

    @property
    def images(self) -> int:
        return sum(call.images for call in self.calls)

    @property
    def max_calls(self) -> int:
        """The most calls of the operation; the budget ends what may follow."""
        calls = len(self.calls)
        return max(calls, min(calls + sum(each.at_most for each in self.further), self.budget.max_calls))

    @property
    def max_images(self) -> int:
        """The most images of all calls."""
        images = self.images + sum(each.images for each in self.further)
        return max(self.images, min(images, self.budget.max_images))

    @property
    def bytes(self) -> int:
        return sum(call.estimated_bytes for call in self.calls)

    @property
    def max_bytes(self) -> int:
        """An estimate of the size of all pages; a project that follows has at least one image."""
        return self.bytes + (self.max_images - self.images) * (_PROJECT_BYTES + _IMAGE_BYTES)

    def as_json(self) -> dict[str, Any]:
        """Return the value of `extensions.plan`."""
        return {
            "calls": [call.as_json() for call in self.calls],
            "further": [each.as_json() for each in self.further],
            "images": self.images,
            "bytes": self.bytes,
            "maxCalls": self.max_calls,
            "maxImages": self.max_images,
            "budgetLeft": {
                "calls": self.budget.max_calls - len(self.calls),
                "images": self.budget.max_images - self.images,
            },
        }


def plan_calls(fields: Mapping[str, FirstLoads], budget: Budget) -> CallPlan:
    """Return the calls of the root fields of an operation, by response key."""
    loading = [first for first in fields.values() if first.keys]
    # What begins later may be answered by a page that another field has loaded meanwhile.
    are_later_certain = len(loading) == 1
    keys = [key for first in loading for key in (*first.keys, *(first.later if are_later_certain else ()))]
    loads = {load.key: load for load in plan_batch(dict.fromkeys(keys))}
    builder = _PlanBuilder(loads)
    for name, first in fields.items():
        for key in (*first.keys, *first.later):
            builder.add(name, key, first.wanted_images)
        builder.add_further(name, first)
    return CallPlan(list(builder.calls.values()), list(builder.further.values()), budget)


class _PlanBuilder:
    """Collects the fields that each call serves."""

    def __init__(self, loads: Mapping[LoadKey, PlannedLoad]) -> None:
        self._loads = loads
        calls = [key for key, load in loads.items() if load.is_call]
        self._indexes = {key: index for index, key in enumerate(calls)}
        self.calls = {key: PlannedCall(key.request) for key in calls}
        self.further: dict[object, FurtherCalls] = {}

    def add(self, name: str, key: LoadKey, wanted_images: int) -> None:
        load = self._loads.get(key)
        if load is None:
            self._may_call(name, key, Condition.UNLESS_LISTED, list(self._indexes.values()))
            return
        sources = self._sources(load)
        for source in sources:
            call = self.calls[source]
            # Many projects of one field may be listed on one page.
            if not call.fields or call.fields[-1].key != name:
                reason = self._reason(load, call)
                call.fields.append(ServedField(name, reason, wanted_images, key.request.max_images))
        if not load.is_call and not load.is_settled:
            condition = Condition.UNLESS_LISTED if load.listed_on else Condition.UNLESS_CONTAINED
            self._may_call(name, key, condition, [self._indexes[source] for source in sources])

    def add_further(self, name: str, first: FirstLoads) -> None:
        if not first.further_calls:
            return
        sources = [source for key in first.keys for source in self._sources(self._loads[key])]
        after = [self._indexes[source] for source in dict.fromkeys(sources)]
        self.further[name] = FurtherCalls(
            [name], first.condition, first.further_calls, first.further_images, after
        )

    def _sources(self, load: PlannedLoad) -> list[LoadKey]:
        """Return the loads whose calls may answer."""
        pages = [self._loads[page].covered_by or page for page in load.listed_on]
        return list(dict.fromkeys(pages)) or [load.covered_by or load.key]

    def _reason(self, load: PlannedLoad, call: PlannedCall) -> Reason:
        if load.listed_on:
            return Reason.LISTED
        if load.key.request != call.request:
            return Reason.CONTAINED
        is_first = all(served.reason is not Reason.FETCHED for served in call.fields)
        return Reason.FETCHED if is_first else Reason.SAME

    def _may_call(self, name: str, key: LoadKey, condition: Condition, after: list[int]) -> None:
        known = self.further.get(key)
        if known is None:
            request = key.request
            self.further[key] = FurtherCalls([name], condition, 1, request.max_images, after, request)
        else:
            known.fields.append(name)
