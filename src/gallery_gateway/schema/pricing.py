"""The price of an operation: the upstream calls and images that it needs at its worst variables.

These are the worst variables:

- A size, such as `perPage` or `first`, is the largest that is allowed.
- A condition of a directive is true and false, an enum has each of its values, a list of ids each length.
- A cursor names the one of the first 5,000 positions whose page is the largest.
- Any other value, such as a text, an id or a page number, equals no other value of the operation, so that
  fields share a call only if they always do.

Whether a field with a size or a cursor in a variable shares a call depends on the value. So it is priced by
itself, together with the fields that have the same arguments.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from itertools import product
from typing import Any, NamedTuple, cast

from graphql import (
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputType,
    GraphQLSchema,
    Node,
    OperationDefinitionNode,
    VariableDefinitionNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
    print_ast,
    type_from_ast,
)
from strawberry.utils.str_converters import to_snake_case

from gallery_gateway.errors import BadUserInputError
from gallery_gateway.execution.selection import variables_in
from gallery_gateway.gallery.pagination import CursorPosition, Step
from gallery_gateway.gallery.planning import Condition, FirstLoads, KeyOf, plan_calls
from gallery_gateway.gallery.usage import Budget
from gallery_gateway.schema.cursors import encode_cursor, list_hash
from gallery_gateway.schema.planner import OperationPlan, plan_operation
from gallery_gateway.schema.requests import MAX_COUNT, MAX_IMAGES, MAX_PER_PAGE, connection_request
from gallery_gateway.upstream.identity import project_global_id

# Each takes a few milliseconds.
_MAX_COMBINATIONS = 512

_UNLIMITED = Budget(max_calls=2**63, max_images=2**63)

_Place = tuple[str, str]
"""A field or a directive, and its argument."""

_SIZES: Mapping[_Place, int] = {
    ("gallery", "perPage"): MAX_PER_PAGE,
    ("gallery", "maxImagesPerProject"): MAX_IMAGES,
    ("projects", "first"): MAX_COUNT,
    ("projects", "last"): MAX_COUNT,
    ("projects", "maxImagesPerProject"): MAX_IMAGES,
    ("project", "maxImages"): MAX_IMAGES,
    ("images", "first"): MAX_IMAGES,
}
_CURSORS = ("after", "before")
_IDS = {("nodes", "ids"), ("_entities", "representations")}

# Without them, a list is requested instead of a project, or another part of it.
_OPTIONAL = {
    ("gallery", "projectId"),
    *[("projects", name) for name in ("projectId", "first", "last", *_CURSORS)],
}

# Each project of a short list costs a call, and at most 73 are short: see `page_pays`.
_LENGTHS = range(101)

_POSITIONS = 5_000

# No other numbers of an operation are that large. A list takes as many as it has items.
_LARGEST_INT = 2**31 - 1
_DISTANCE = len(_LENGTHS)


class PriceError(Exception):
    """The price of an operation cannot be determined; the message says why."""


class Price(NamedTuple):
    """What an operation needs at most.

    Args:
        calls: upstream calls, including those for projects that are not on a page of another field.
        images: the most images that these may return.
        further_calls: the most calls for further pages of a list, if the first one says that they are needed.
    """

    calls: int
    images: int
    further_calls: int


class _WorstVariable(NamedTuple):
    """A variable, and the values among which its worst one is.

    Args:
        least: the smallest size, or `None` if the variable is no size.
        is_cursor: whether the values are texts in place of cursors.
    """

    name: str
    values: Sequence[Any]
    least: int | None
    is_cursor: bool


def price_of(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, key_of: KeyOf
) -> Price:
    """Return the price of a valid document's operation.

    Args:
        schema: as graphql-core executes it.
        document: contains the operation and its fragments.
        operation: the one to price.
        key_of: narrows requests like the loaders of the gateway.

    Raises:
        PriceError: there are too many combinations of variables, or a field refuses all of them.
    """
    variables = _variables(schema, document, operation)
    combinations = math.prod(len(variable.values) for variable in variables)
    if combinations > _MAX_COMBINATIONS:
        limit = f"the limit is {_MAX_COMBINATIONS}"
        raise PriceError(f"its conditions, enums and lists have {combinations} combinations; {limit}")
    plan = partial(plan_operation, schema, document, operation, budget=_UNLIMITED, key_of=key_of)
    prices: list[Price] = []
    refusals: dict[str | int | None, str] = {}
    accepted: set[str] = set()
    for values in product(*[variable.values for variable in variables]):
        worst, least = _extremes(plan, variables, values)
        has_pages = any(not key.is_project for first in worst.loads.values() for key in first.keys)
        parts = [_price(bundle, has_pages=has_pages) for bundle in _bundles(worst, least)]
        prices.append(Price(*map(sum, zip(*parts, strict=True))))
        refusals |= {error.path[0] if error.path else None: error.message for error in worst.errors}
        accepted |= worst.loads.keys()
    for key, message in refusals.items():
        if key not in accepted and (key is not None or not accepted):
            raise PriceError(message.removesuffix("."))
    return Price(*map(max, zip(*prices, strict=True)))


def _extremes(
    plan: Callable[[Mapping[str, Any]], OperationPlan],
    variables: Sequence[_WorstVariable],
    values: Sequence[Any],
) -> tuple[OperationPlan, OperationPlan]:
    """Return the plans at the worst sizes and cursors, and at the smallest and first ones."""
    largest, smallest = dict[str, Any](), dict[str, Any]()
    for variable, value in zip(variables, values, strict=True):
        largest[variable.name] = value
        smallest[variable.name] = value if variable.least is None or value is None else variable.least
    worst = plan(largest)
    least = plan(smallest) if smallest != largest else worst
    if any(variable.is_cursor for variable in variables):
        least = plan(_with_cursors(least, smallest, lambda _: 0))
        worst = plan(_with_cursors(worst, largest, _worst_position))
    return worst, least


def _price(loads: Mapping[str, FirstLoads], *, has_pages: bool) -> Price:
    """Return the price of fields that are priced together; `has_pages` if any field loads a page of a list.

    Projects are looked for on the pages first, and those that are not there are requested one by one.
    """
    keys = dict.fromkeys(key for first in loads.values() for key in (*first.keys, *first.later))
    alone = {key: key.request for key in keys if key.is_project and has_pages}
    together = {name: first for name, first in loads.items() if alone.keys().isdisjoint(first.keys)}
    plan = plan_calls(together, _UNLIMITED)
    requests = [*alone.values(), *[call.request for call in plan.calls]]
    requests += [
        each.request for each in plan.further if each.condition is Condition.UNLESS_LISTED and each.request
    ]
    return Price(
        len(requests),
        sum(request.max_images for request in requests),
        sum(first.further_calls for first in loads.values()),
    )


def _bundles(worst: OperationPlan, least: OperationPlan) -> list[dict[str, FirstLoads]]:
    """Return the loads of the fields that are priced together: the first ones depend on no size or cursor."""
    bundles: defaultdict[object, dict[str, FirstLoads]] = defaultdict(dict)
    for key, first in worst.loads.items():
        field = worst.fields[key]
        written = frozenset(map(print_ast, field.node.arguments or ()))
        bundles[field.name, written][key] = first
    fixed: dict[str, FirstLoads] = {}
    varying = []
    for loads in bundles.values():
        if all(key in least.loads and _begins_alike(least.loads[key], first) for key, first in loads.items()):
            fixed |= loads
        else:
            varying.append(loads)
    return [fixed, *varying]


def _begins_alike(one: FirstLoads, other: FirstLoads) -> bool:
    return (*one.keys, *one.later) == (*other.keys, *other.later)


def _variables(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> list[_WorstVariable]:
    places: defaultdict[str, set[_Place]] = defaultdict(set)
    for top in document.definitions:
        if top is operation or not isinstance(top, OperationDefinitionNode):
            for name, place in _uses(top, ("", "")):
                places[name].add(place)
    variables = []
    for index, definition in enumerate(operation.variable_definitions or ()):
        number = _LARGEST_INT - index * _DISTANCE
        variables.append(_variable(schema, definition, places[definition.variable.name.value], number=number))
    return variables


def _uses(node: Node, place: _Place) -> Iterator[tuple[str, _Place]]:
    """Yield the variables below a node, each with the argument that it is in."""
    match node:
        case FieldNode() | DirectiveNode():
            place = node.name.value, ""
        case ArgumentNode():
            place = place[0], node.name.value
            for name in variables_in(node):
                yield name, place
    for key in node.keys:
        child = getattr(node, key, None)
        for inner in child if isinstance(child, list | tuple) else (child,):
            if isinstance(inner, Node):
                yield from _uses(inner, place)


def _variable(
    schema: GraphQLSchema, definition: VariableDefinitionNode, places: set[_Place], *, number: int
) -> _WorstVariable:
    name = definition.variable.name.value
    type_ = cast("GraphQLInputType", type_from_ast(schema, definition.type))
    named = get_named_type(type_)
    sizes = [size for place, size in _SIZES.items() if place in places]
    values: list[Any]
    if sizes:
        values = [min(sizes)]
    elif is_list_type(get_nullable_type(type_)):
        lengths = _LENGTHS if places & _IDS else (1,)
        values = [[_other(named.name, number - item) for item in range(length)] for length in lengths]
    elif isinstance(named, GraphQLEnumType):
        values = list(named.values)
    elif named.name == "Boolean":
        values = [True, False]
    else:
        values = [_other(named.name, number)]
    if not is_non_null_type(type_) and (isinstance(named, GraphQLEnumType) or places & _OPTIONAL):
        values.append(None)
    return _WorstVariable(name, values, 1 if sizes else None, any(name in _CURSORS for _, name in places))


def _other(type_name: str, number: int) -> Any:
    """Return a value that equals no other one."""
    match type_name:
        case "Int" | "BigInt":
            return number
        case "ID":
            return project_global_id(number)
        case "_Any":
            return {"__typename": "Project", "projectId": number}
    return f"text {number}"


def _with_cursors(
    plan: OperationPlan, variables: Mapping[str, Any], position_of: Callable[[Step], int]
) -> dict[str, Any]:
    """Return the variables with a cursor where a field got a text that is none."""
    names = {value: name for name, value in variables.items() if isinstance(value, str)}
    filled = dict(variables)
    for field in plan.fields.values():
        # Arguments that do not fit or exclude each other are refused when the operation is planned.
        with suppress(GraphQLError, BadUserInputError):
            if field.name != "projects":
                continue
            arguments = {to_snake_case(name): value for name, value in field.arguments().items()}
            texts = {name: arguments.pop(name, None) for name in _CURSORS}
            listed, step = connection_request(**arguments)
            for cursor_name, text in texts.items():
                if text in names:
                    position = position_of(replace(step, is_forward=cursor_name == "after"))
                    cursor = encode_cursor(CursorPosition(position, None, None), list_hash(listed))
                    filled[names[text]] = cursor
    return filled


@lru_cache
def _worst_position(step: Step) -> int:
    """Return the last one of the positions beside which the first page of a step is the largest."""

    def size(position: int) -> int:
        return replace(step, cursor=CursorPosition(position, None, None)).first_page()[1]

    return max(reversed(range(_POSITIONS)), key=size)
