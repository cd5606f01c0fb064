"""A walk along a list finds each project once, by cursor and by page, also while the list changes."""

import random

import pytest

from tests.end_to_end.changing import (
    ChangingList,
    Walk,
    connection,
    ids_in,
    walk_backward,
    walk_forward,
    walk_pages,
    walker,
)
from tests.fakes import parameters_of

AT_START = set(range(1, 241))


def nothing() -> None:
    pass


async def test_cursors_and_pages_find_the_same_240_projects_once_each() -> None:
    async with walker(changing := ChangingList(240)) as client:
        by_page = await walk_pages(client, nothing)
        by_cursor = await walk_forward(client, nothing)
        backward = await walk_backward(client, nothing)

    assert by_cursor == by_page == backward == changing.ids
    assert set(by_cursor) == AT_START
    # Twelve pages for each, and one more to learn where the end is.
    assert len(changing.upstream.requests) == 12 + 12 + 13


@pytest.mark.parametrize("added", [1, 3, 20, 33, 150])
@pytest.mark.parametrize("order", ["DESC", "ASC"])
async def test_a_walk_while_projects_are_added_finds_those_of_the_start_once(order: str, added: int) -> None:
    changing = ChangingList(240)
    chances = random.Random(added)

    def between() -> None:
        if len(changing.ids) < 900:
            changing.add(chances.randint(0, added))

    async with walker(changing) as client:
        found = await walk_forward(client, between, order=order)

    assert [number for number in found if number in AT_START] == sorted(AT_START, reverse=order == "DESC")
    assert len(found) == len(set(found))
    assert set(found) == (AT_START if order == "DESC" else set(changing.ids))


@pytest.mark.parametrize("order", ["DESC", "ASC"])
async def test_a_walk_backward_while_projects_are_added_finds_those_of_the_start_once(order: str) -> None:
    changing = ChangingList(240)

    async with walker(changing) as client:
        found = await walk_backward(client, lambda: changing.add(7), order=order)

    assert sorted(number for number in found if number in AT_START) == sorted(AT_START)
    assert len(found) == len(set(found))


async def test_page_numbers_show_a_project_again_while_projects_are_added() -> None:
    async with walker(changing := ChangingList(240)) as client:
        found = await walk_pages(client, changing.add)

    assert set(found) == AT_START
    assert len(found) > len(set(found))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("walk", [walk_forward, walk_backward])
@pytest.mark.parametrize("order", ["DESC", "ASC"])
async def test_a_walk_while_projects_come_and_go_leaves_none_out(walk: Walk, order: str, seed: int) -> None:
    chances = random.Random(seed)
    changing = ChangingList(120)

    def between() -> None:
        comes = chances.random() < 0.4 and len(changing.ids) < 300
        changing.add(chances.randint(1, 30) if comes else 0)
        for _ in range(chances.choice([0, 0, 1, 4])):
            changing.remove(chances.randrange(len(changing.ids)))

    async with walker(changing, cache_ttl_seconds=chances.choice([0, 30])) as client:
        found = await walk(client, between, order=order)

    assert set(range(1, 121)) & set(changing.ids) <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("walk", [walk_forward, walk_backward])
@pytest.mark.parametrize("order", ["DESC", "ASC"])
@pytest.mark.parametrize("moved", [1, 3, 8])
async def test_a_walk_while_as_many_projects_come_as_go_finds_the_others_once(
    walk: Walk, order: str, moved: int
) -> None:
    changing, chances = ChangingList(120), random.Random(moved)

    def between() -> None:
        changing.add(moved)
        # The oldest or one of the newest, so that the list moves in both directions.
        for place in chances.choices([-1, moved + 2], k=moved):
            changing.remove(place)

    async with walker(changing) as client:
        found = await walk(client, between, order=order)

    assert set(range(1, 121)) & set(changing.ids) <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("gone", [[19], [19, 18], [19, 18, 17], [18], [20, 21, 22]])
async def test_where_projects_around_a_cursor_are_replaced_the_walk_goes_on_behind_it(
    gone: list[int],
) -> None:
    async with walker(changing := ChangingList(240)) as client:
        start = await connection(client)
        kept = [number for place, number in enumerate(changing.ids) if place >= 20 and place not in gone]
        for place in sorted(gone, reverse=True):
            changing.remove(place)
        changing.add(len(gone))
        part = await connection(client, after=start["pageInfo"]["endCursor"])

    assert ids_in(part) == kept[:20]


async def test_an_unchanged_list_costs_a_call_for_each_step_which_also_reads_the_project_of_the_cursor() -> (
    None
):
    async with walker(changing := ChangingList(240)) as client:
        start = await connection(client, first=30)
        await connection(client, first=30, after=start["pageInfo"]["endCursor"])

    asked = [parameters_of(request) for request in changing.upstream.requests]
    assert [(sent["page"], sent["per_page"]) for sent in asked] == [("1", "30"), ("1", "61")]


@pytest.mark.parametrize(("added", "calls"), [(1, 1), (2, 2), (20, 2), (60, 3), (150, 3)])
async def test_a_list_that_grew_costs_a_call_or_two_more(added: int, calls: int) -> None:
    async with walker(changing := ChangingList(240)) as client:
        start = await connection(client)
        changing.add(added)
        changing.upstream.requests.clear()
        part = await connection(client, after=start["pageInfo"]["endCursor"])

    assert ids_in(part) == list(range(220, 200, -1))
    assert len(changing.upstream.requests) == calls


async def test_what_was_added_in_front_is_found_before_the_first_cursor() -> None:
    async with walker(changing := ChangingList(240)) as client:
        start = await connection(client)
        changing.add(3)
        part = await connection(client, last=20, before=start["pageInfo"]["startCursor"])

    assert ids_in(part) == [243, 242, 241]
    assert part["pageInfo"]["hasPreviousPage"] is False
    assert part["pageInfo"]["hasNextPage"] is True


async def test_where_the_project_of_a_cursor_has_gone_the_walk_goes_on_behind_it() -> None:
    async with walker(changing := ChangingList(240)) as client:
        start = await connection(client)
        changing.remove(19)
        changing.add(2)
        part = await connection(client, after=start["pageInfo"]["endCursor"])

    assert ids_in(part) == list(range(220, 200, -1))


async def test_where_the_first_project_is_replaced_the_walk_goes_on_with_the_one_behind_it() -> None:
    async with walker(changing := ChangingList(240)) as client:
        start = await connection(client)
        changing.remove(0)
        changing.add(1)
        part = await connection(client, after=start["edges"][0]["cursor"])

    assert ids_in(part) == list(range(239, 219, -1))


async def test_pages_that_do_not_fit_together_are_asked_for_anew() -> None:
    async with walker(changing := ChangingList(240), cache_ttl_seconds=30) as client:
        start = await connection(client, first=50)
        await client.ask("{ gallery(page: 2, perPage: 75) { projects { projectId } } }")
        changing.add(1)
        part = await connection(client, first=100, after=start["pageInfo"]["endCursor"])

    assert ids_in(part) == list(range(190, 90, -1))
