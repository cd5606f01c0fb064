"""Which pages of the endpoint hold a stretch of its list: the fewest, and of these the smallest."""

from functools import lru_cache

# REST contract, `per_page`.
MAX_PER_PAGE = 100


@lru_cache(maxsize=4096)
def smallest_pages(places: range) -> tuple[tuple[int, int], ...]:
    """Page number and page size of each; one page or two, however the places lie.

    Args:
        places: in the list, from 0; at least 1 and at most 100.
    """
    for pages in (1, 2):
        for per_page in range(-(-len(places) // pages), MAX_PER_PAGE + 1):
            first, last = places.start // per_page, (places.stop - 1) // per_page
            if last - first < pages:
                return tuple((number + 1, per_page) for number in range(first, last + 1))
    raise ValueError(f"{len(places)} places are more than two pages hold")


def without(places: range, known: range) -> list[range]:
    """What of the places lies before the known ones, and what behind them."""
    before = range(places.start, min(places.stop, known.start))
    behind = range(max(places.start, known.stop), places.stop)
    return [rest for rest in ((before, behind) if known else (places,)) if rest]
