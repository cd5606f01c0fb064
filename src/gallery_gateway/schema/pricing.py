"""The price of an operation: the upstream calls and images that it needs at its worst variables.

These are the worst variables:

- A size, such as `perPage` or `first`, is the largest that is allowed.
- A list of ids is the longest, and its projects are where most calls or images are needed to find them.
- A condition of a directive is true and false, and an enum has each of its values.
- A cursor names the one of the first 5,000 positions whose page is the largest.
- Any other value, such as a text, an id or a page number, equals no other value of the operation, so that
  fields share a call only if they always do.

Whether a field with a size or a cursor in a variable shares a call depends on the value. So it is priced by
itself, together with the fields that have the same arguments. Fields with many ids share no call.

A subscription runs again for each poll, so its price is that of one poll.
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
from gallery_gateway.execution.selection import SelectedField, variables_in
from gallery_gateway.gallery.bulk import most_loaded
from gallery_gateway.gallery.pagination import CursorPosition, Step, best_page
from gallery_gateway.gallery.planning import FirstLoads, KeyOf, plan_calls
from gallery_gateway.gallery.usage import Budget
from gallery_gateway.schema.cursors import encode_cursor, list_hash
from gallery_gateway.schema.entities import MAX_NODES, MAX_REPRESENTATIONS
from gallery_gateway.schema.planner import OperationPlan, plan_operation
from gallery_gateway.schema.requests import MAX_COUNT, connection_request
from gallery_gateway.upstream.contract import MAX_IMAGES, MAX_PER_PAGE
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

# Without them, a list is requested instead of a project, or another part of it.
_OPTIONAL = {
    ("gallery", "projectId"),
    *[("projects", name) for name in ("projectId", "first", "last", *_CURSORS)],
}

# The calls and images of `most_loaded` grow with the projects.
_IDS = {("nodes", "ids"): MAX_NODES, ("_entities", "representations"): MAX_REPRESENTATIONS}
_MANY = {name for name, _ in _IDS}

_POSITIONS = 5_000

# No other numbers of an operation are that large. A list takes as many as it has items.
_LARGEST_INT = 2**31 - 1
_DISTANCE = MAX_REPRESENTATIONS


class PriceError(Exception):
    """The price of an operation cannot be determined; the message says why."""


class Price(NamedTuple):
    """What an operation needs at most.

    Args:
        calls: upstream calls, including those for what the pages of other fields do not contain.
        images: the most images that these may return.
        further_calls: the most calls that are made beside these if a list changes while it is walked.
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
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    key_of: KeyOf,
    limits: Budget,
) -> Price:
    """Return the price of a valid document's operation.

    Args:
        schema: as graphql-core executes it.
        document: contains the operation and its fragments.
        operation: the one to price.
        key_of: narrows requests like the loaders of the gateway.
        limits: of an operation; they end the search for many ids.

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
        prices.append(_price(worst, least, limits))
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


def _price(worst: OperationPlan, least: OperationPlan, limits: Budget) -> Price:
    """Return the price of an operation from its plans at the worst and at the smallest sizes."""
    many = {key: first for key, first in worst.loads.items() if worst.fields[key].name in _MANY}
    others = {key: first for key, first in worst.loads.items() if key not in many}
    has_pages = bool(many) or any(not key.is_project for first in others.values() for key in first.keys)
    parts = [_shared(bundle, has_pages=has_pages) for bundle in _bundles(others, worst, least)]
    parts += [_walked(worst.fields[key], first) for key, first in others.items() if first.further_calls]
    calls, images, further_calls = map(sum, zip(*parts, strict=True))
    for key, first in many.items():
        # Projects for which the limits leave nothing get an error each.
        calls_left, images_left = max(0, limits.max_calls - calls), max(0, limits.max_images - images)
        more_calls, more_images = _searched(first, least.loads.get(key, first), max_calls=calls_left)
        calls, images = calls + more_calls, images + min(more_images, images_left)
    return Price(calls, images, further_calls)


def _shared(loads: Mapping[str, FirstLoads], *, has_pages: bool) -> Price:
    """Return the price of fields that are priced together; `has_pages` if any field loads a page of a list.

    Projects are looked for on the pages first, and those that are not there are requested one by one.
    """
    keys = [key for first in loads.values() for key in first.keys]
    alone = {key: key.request for key in keys if key.is_project and has_pages}
    together = {name: first for name, first in loads.items() if alone.keys().isdisjoint(first.keys)}
    plan = plan_calls(together, _UNLIMITED)
    requests = [*alone.values(), *[call.request for call in plan.calls]]
    requests += [each.request for each in plan.further if each.request]
    return Price(len(requests), sum(request.max_images for request in requests), 0)


def _walked(field: SelectedField, first: FirstLoads) -> Price:
    """Return the price of what follows the first page of a step."""
    _, step = connection_request(**_snake_cased(field.arguments()))
    sizes = _further_sizes(replace(step, cursor=step.cursor and CursorPosition(0, None, None)))
    cap = first.further_images // first.further_calls // MAX_PER_PAGE
    return Price(len(sizes), sum(sizes) * cap, first.further_calls - len(sizes))


def _searched(worst: FirstLoads, least: FirstLoads, *, max_calls: int) -> tuple[int, int]:
    """Return the most calls and images of many projects, whatever is requested of each of them.

    A small size makes pages pay, which may cost more than the projects one by one with a large size.
    """
    if not worst.keys:
        return 0, 0
    projects = worst.further_calls or len(worst.keys) + len(worst.later)
    smallest, largest = (first.keys[0].request.max_images_per_project for first in (least, worst))
    sizes = range(smallest, largest + 1)
    costs = [most_loaded(projects, max_images=size, max_calls=max_calls) for size in sizes]
    return max(calls for calls, _ in costs), max(images for _, images in costs)


def _bundles(
    loads: Mapping[str, FirstLoads], worst: OperationPlan, least: OperationPlan
) -> list[dict[str, FirstLoads]]:
    """Return the loads of the fields that are priced together: the first ones depend on no size or cursor."""
    bundles: defaultdict[object, dict[str, FirstLoads]] = defaultdict(dict)
    for key, first in loads.items():
        field = worst.fields[key]
        written = frozenset(map(print_ast, field.node.arguments or ()))
        bundles[field.name, written][key] = first
    fixed: dict[str, FirstLoads] = {}
    varying = []
    for bundle in bundles.values():
        if all(key in least.loads and least.loads[key].keys == first.keys for key, first in bundle.items()):
            fixed |= bundle
        else:
            varying.append(bundle)
    return [fixed, *varying]


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
        length = min([most for place, most in _IDS.items() if place in places], default=1)
        values = [[_other(named.name, number - item) for item in range(length)]]
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
            arguments = _snake_cased(field.arguments())
            texts = {name: arguments.pop(name, None) for name in _CURSORS}
            listed, step = connection_request(**arguments)
            for cursor_name, text in texts.items():
                if text in names:
                    position = position_of(replace(step, is_forward=cursor_name == "after"))
                    cursor = encode_cursor(CursorPosition(position, None, None), list_hash(listed))
                    filled[names[text]] = cursor
    return filled


def _snake_cased(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {to_snake_case(name): value for name, value in arguments.items()}


@lru_cache
def _worst_position(step: Step) -> int:
    """Return the last one of the positions beside which the first page of a step is the largest."""

    def size(position: int) -> int:
        return replace(step, cursor=CursorPosition(position, None, None)).first_page()[1]

    return max(reversed(range(_POSITIONS)), key=size)


@lru_cache
def _further_sizes(step: Step) -> list[int]:
    """Return the largest sizes of the pages that follow the first one, in a list that does not change."""
    sizes, is_short = [0], False
    for position in range(_POSITIONS):
        wanted = step.count if step.is_forward else min(step.count, position)
        number, size = best_page(*(step.beside(position) if step.cursor else (position, wanted, 0)))
        before = position - (number - 1) * size
        is_short = is_short or (size - 1 - before if step.is_forward else before) < wanted
        sizes.append(size)
    # From the end, the page that the total names; then one for what does not fit on the same page.
    return [*([] if step.cursor else [max(sizes)]), *([MAX_PER_PAGE] if is_short else [])]
