"""The page of a step: the smallest that holds the project of the cursor and those wanted beside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.gallery.pagination import best_page


def held(page: tuple[int, int], position: int, before: int, after: int) -> int:
    """How many of the wanted positions a page holds beside the position."""
    number, size = page
    start, stop = (number - 1) * size, number * size
    assert start <= position < stop
    return min(position - start, before) + min(stop - 1 - position, after)


@given(
    position=st.integers(0, 3000),
    before=st.integers(0, 100),
    after=st.integers(0, 101),
    max_size=st.integers(2, 100),
)
def test_no_page_holds_more_and_no_smaller_one_as_many(
    position: int, before: int, after: int, max_size: int
) -> None:
    page = best_page(position, before, after, max_size)

    assert 1 <= page[1] <= max_size
    for size in range(1, max_size + 1):
        other = held((position // size + 1, size), position, before, after)
        assert (-other, size) >= (-held(page, position, before, after), page[1])


@pytest.mark.parametrize("step", [1, 5, 20, 33, 49])
def test_one_page_holds_each_step_of_a_walk_with_the_project_before_it_and_the_one_after_it(
    step: int,
) -> None:
    for position in range(step - 1, 3000, step):
        assert held(best_page(position, 0, step + 1), position, 0, step + 1) == step + 1


def test_the_second_page_of_a_walk_is_the_largest() -> None:
    sizes = [best_page(position, 0, 21)[1] for position in (19, 39, 59, 199, 999)]

    assert sizes == [41, 31, 27, 28, 27]
