"""What an operation selects of a page, as far as it matters for asking."""

from dataclasses import dataclass

from gallery_gateway.upstream.parsing import Reader, parse_page


@dataclass(frozen=True, slots=True)
class Demand:
    """What a field needs of the page that it asks for.

    Args:
        most_images: at most so many images of each project; 0 = none, None = all that the request allows.
        needs_links: whether any link to a picture is selected.
        read: how it is read when it comes.
        is_alone: whether no other field of the operation asks for anything.
    """

    most_images: int | None
    needs_links: bool
    read: Reader = parse_page
    is_alone: bool = False
