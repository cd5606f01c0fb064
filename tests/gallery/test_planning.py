"""Which calls a batch of loads needs, and the reason why each field is served by its call."""

from typing import Any

import pytest

from gallery_gateway.gallery.lookup import LoadKey
from gallery_gateway.gallery.planning import CallPlan, Condition, FirstLoads, plan_batch, plan_calls
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.gallery.usage import Budget

BUDGET = Budget(max_calls=5, max_images=1_000)


def page(cap: int = 50, *, needs_links: bool = False, **window: Any) -> LoadKey:
    request = GalleryRequest(max_images_per_project=cap, **window)
    return LoadKey(request, needs_links, is_project=False)


def project(project_id: int, cap: int = 50) -> LoadKey:
    request = GalleryRequest(project_id=project_id, max_images_per_project=cap)
    return LoadKey(request, needs_links=False, is_project=True)


def plan(**fields: LoadKey | FirstLoads) -> CallPlan:
    loads = {
        name: each if isinstance(each, FirstLoads) else FirstLoads(keys=[each], wanted_images=1_000)
        for name, each in fields.items()
    }
    return plan_calls(loads, BUDGET)


def reasons(plan: CallPlan) -> list[dict[str, str]]:
    """The reason of each field, for each call."""
    return [{served.key: served.reason.value for served in call.fields} for call in plan.calls]


def further(plan: CallPlan) -> list[tuple[str, list[str], int]]:
    return [(each.condition.value, each.fields, each.at_most) for each in plan.further]


def test_a_batch_begins_with_the_largest_page_and_ends_with_projects() -> None:
    keys = [project(1), page(1), page(5), page(1, per_page=100)]

    planned = plan_batch(keys)

    assert [load.key for load in planned] == [keys[3], keys[2], keys[1], keys[0]]


def test_fields_with_one_request_are_one_call() -> None:
    planned = plan(a=page(3), b=page(3), c=page(3, needs_links=True))

    assert reasons(planned) == [{"a": "FETCHED", "b": "SAME", "c": "SAME"}]
    assert further(planned) == []


def test_a_smaller_cap_is_contained_in_the_call_with_the_larger_one() -> None:
    planned = plan(few=page(1), many=page(6))

    assert reasons(planned) == [{"few": "CONTAINED", "many": "FETCHED"}]
    assert further(planned) == []


def test_a_part_of_a_page_may_cost_a_call_as_it_may_lie_past_the_end() -> None:
    planned = plan(part=page(per_page=4, page=2), all=page())

    assert reasons(planned) == [{"part": "CONTAINED", "all": "FETCHED"}]
    assert further(planned) == [("UNLESS_CONTAINED", ["part"], 1)]


def test_the_beginning_of_a_page_costs_no_call_however_short_the_list_is() -> None:
    planned = plan(part=page(per_page=4), all=page())

    assert reasons(planned) == [{"part": "CONTAINED", "all": "FETCHED"}]
    assert further(planned) == []


def test_a_project_costs_a_call_unless_a_page_lists_it() -> None:
    planned = plan(hero=project(7, 3), again=project(7, 3), all=page(3), other=page(3, page=2))

    assert reasons(planned) == [
        {"hero": "LISTED", "again": "LISTED", "all": "FETCHED"},
        {"hero": "LISTED", "again": "LISTED", "other": "FETCHED"},
    ]
    assert further(planned) == [("UNLESS_LISTED", ["hero", "again"], 1)]
    assert planned.further[0].after == [0, 1]


def test_many_projects_of_a_field_are_one_field_of_the_page_that_may_list_them() -> None:
    ids = FirstLoads(keys=[project(number, 3) for number in range(8)])

    planned = plan(ids=ids, all=page(3))

    assert [[served.key for served in call.fields] for call in planned.calls] == [["ids", "all"]]
    assert sum(each.at_most for each in planned.further) == 8


def test_a_project_is_not_looked_for_on_a_page_with_fewer_images() -> None:
    planned = plan(hero=project(7, 4), all=page(3))

    assert reasons(planned) == [{"all": "FETCHED"}, {"hero": "FETCHED"}]


def test_a_page_of_one_project_settles_whether_it_exists() -> None:
    planned = plan(hero=project(7), page=page(project_id=7))

    assert reasons(planned) == [{"hero": "LISTED", "page": "FETCHED"}]
    assert further(planned) == []


def test_a_call_says_from_how_many_images_its_fields_are_narrowed() -> None:
    planned = plan(few=page(1), whole=page(50))

    [call] = planned.as_json()["calls"]
    assert [served["narrowed"] for served in call["fields"]] == [{"from": 1_000, "to": 20}, None]
    assert call["images"] == 1_000


@pytest.mark.parametrize(("others", "certain"), [({}, 10), ({"all": page(page=3)}, 9)])
def test_loads_that_begin_later_are_certain_only_without_other_fields(
    others: dict[str, LoadKey], certain: int
) -> None:
    keys = [project(number, 60) for number in range(10)]
    ids = FirstLoads(keys=keys[:8], later=keys[8:])

    planned = plan(ids=ids, **others)

    assert len(planned.calls) == certain
    assert sum(each.at_most for each in planned.further) == (2 if others else 0)


def test_what_follows_ends_with_the_budget() -> None:
    ids = FirstLoads(keys=[page(1)], further_calls=9, further_images=9_000)

    planned = plan(ids=ids)

    assert further(planned) == [("NEXT_PAGES", ["ids"], 9)]
    assert (planned.max_calls, planned.max_images) == (5, 1_000)
    assert planned.as_json()["budgetLeft"] == {"calls": 4, "images": 980}


def test_many_projects_may_follow_one_page_in_as_many_calls() -> None:
    keys = [page(1, per_page=100)]
    condition = Condition.UNLESS_ALL_LISTED

    planned = plan(ids=FirstLoads(keys=keys, condition=condition, further_calls=3, further_images=3))

    assert further(planned) == [("UNLESS_ALL_LISTED", ["ids"], 3)]
    assert planned.as_json()["further"][0]["after"] == [0]


def test_an_operation_that_loads_nothing_has_an_empty_plan() -> None:
    assert plan(service=FirstLoads(keys=())).as_json() == {
        "calls": [],
        "further": [],
        "images": 0,
        "bytes": 0,
        "maxCalls": 0,
        "maxImages": 0,
        "budgetLeft": {"calls": 5, "images": 1_000},
    }
