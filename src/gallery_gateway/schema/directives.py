"""What a federation router is told of the graph: keys, tags, costs and the sizes of lists."""

from strawberry import UNSET
from strawberry.federation.schema_directives import Cost, Key, ListSize
from strawberry.federation.types import FieldSet

PERSONAL = "personal"
"""Tag of what says something of a person: a contract may leave it out."""

LINK = "link"
"""Tag of links that open a picture to whoever has them."""

UPSTREAM_CALL = Cost(weight=10)
"""A field that costs a call of the endpoint; one that is only read weighs 1 or nothing."""

CONNECTION_SIZE = ListSize(
    assumed_size=20,
    slicing_arguments=["first", "last"],
    sized_fields=["edges", "nodes"],
    require_one_slicing_argument=False,
)
"""A connection: so many edges and nodes as are asked for."""


def key(fields: str, *, is_resolvable: bool = True) -> Key:
    return Key(fields=FieldSet(fields), resolvable=UNSET if is_resolvable else False)


def sized(assumed: int, *, by: str | None = None, of: str | None = None) -> ListSize:
    """How long a list is: as its argument `by` says, else `assumed`.

    With `of`, not this field is the list but the one of that name below it.
    """
    return ListSize(
        assumed_size=assumed,
        slicing_arguments=[by] if by else UNSET,
        sized_fields=[of] if of else UNSET,
        require_one_slicing_argument=False,
    )
