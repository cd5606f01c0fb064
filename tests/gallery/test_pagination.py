"""The pages that hold a stretch: the fewest, and of these the smallest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_gateway.gallery.pagination import smallest_pages, without

STRETCHES = st.builds(
    lambda start, length: range(start, start + length), st.integers(0, 3000), st.integers(1, 100)
)


def held(pages: tuple[tuple[int, int], ...]) -> range:
    return range((pages[0][0] - 1) * pages[0][1], pages[-1][0] * pages[-1][1])


@given(places=STRETCHES)
def test_the_pages_hold_the_places_and_no_fewer_or_smaller_ones_do(places: range) -> None:
    pages = smallest_pages(places)

    assert held(pages).start <= places.start
    assert held(pages).stop >= places.stop
    assert all(1 <= per_page <= 100 for _, per_page in pages)
    for per_page in range(1, 101):
        number = (places.stop - 1) // per_page - places.start // per_page + 1
        assert (number, number * per_page) >= (len(pages), len(held(pages)))


@pytest.mark.parametrize(
    ("places", "pages"),
    [
        (range(20), ((1, 20),)),
        (range(40, 60), ((3, 20),)),
        (range(21, 41), ((2, 21),)),
        (range(7, 8), ((8, 1),)),
        (range(50, 150), ((2, 50), (3, 50))),
        (range(51, 151), ((2, 51), (3, 51))),
    ],
)
def test_a_walk_in_equal_steps_reads_what_it_shows_and_no_more(
    places: range, pages: tuple[tuple[int, int], ...]
) -> None:
    assert smallest_pages(places) == pages


@given(places=STRETCHES, known=STRETCHES)
def test_without_the_known_places_the_others_are_left(places: range, known: range) -> None:
    left = [place for rest in without(places, known) for place in rest]

    assert left == [place for place in places if place not in known]
