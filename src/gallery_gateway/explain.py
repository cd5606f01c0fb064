"""The command `explain`: the upstream calls of an operation, and the prices of trusted documents.

It reads settings and files. It needs neither a token nor the network.
"""

import json
import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from graphql import DocumentNode, GraphQLError, GraphQLSchema, OperationDefinitionNode, OperationType

from gallery_gateway.app.endpoint import build_documents
from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.limits import DocumentError
from gallery_gateway.execution.persisted import ManifestError, check_documents, parse_manifest
from gallery_gateway.gallery.loader import narrowed_key
from gallery_gateway.gallery.planning import CallPlan, Condition, KeyOf, PlannedCall, Reason
from gallery_gateway.gallery.request import query_string
from gallery_gateway.gallery.usage import Budget
from gallery_gateway.schema.planner import plan_operation
from gallery_gateway.schema.pricing import PriceError, price_of
from gallery_gateway.settings import Settings
from gallery_gateway.upstream.contract import PATH

_REASONS = {
    Reason.FETCHED: "needs this page",
    Reason.SAME: "makes the same request",
    Reason.CONTAINED: "is a part of this page",
    Reason.LISTED: "may be listed on this page",
}
_CONDITIONS = {
    Condition.UNLESS_CONTAINED: "unless {} contains the answer",
    Condition.UNLESS_LISTED: "unless {} lists the project",
    Condition.UNLESS_ALL_LISTED: "unless {} lists all projects",
    Condition.NEXT_PAGES: "as {} says where the list goes on",
}

_Row = tuple[str, ...]


class ExplainError(ValueError):
    """An input that cannot be explained; the message says which one, and why."""


class Explanation(NamedTuple):
    """What to print, and the errors of the operation or the documents that exceed their budget."""

    text: str
    problems: list[str]


def explain_operation(
    path: Path, *, operation: str | None = None, variables: str = "{}", as_json: bool = False
) -> Explanation:
    """Return the plan of an operation.

    Args:
        path: a document.
        operation: its name, if the document has several.
        variables: a JSON object, or the path of a file with one.
        as_json: whether to return JSON instead of a table and `curl` lines.

    Raises:
        ExplainError: a file, the variables or the document is wrong.
        SettingsError: a setting is wrong.
    """
    gateway = _read_gateway()
    raw = _read_variables(variables)
    try:
        prepared = gateway.documents.prepare(_read(path))
        node = prepared.operation(operation or _only_name(path, prepared.document))
    except DocumentError as exc:
        raise ExplainError(f"{path}{_described(exc.errors[0])}") from exc
    planned = plan_operation(
        gateway.schema, prepared.document, node, raw, budget=gateway.budget, key_of=gateway.key_of
    )
    excess = planned.excess
    errors = [error for error in planned.errors if excess is None or error.original_error is not excess]
    problems = [f"{path}{_described(error)}" for error in errors]
    if any(not error.path for error in errors):
        raise ExplainError(problems[0])
    if excess is not None:
        problems.append(f"{path}: {excess}")
    plan, name = planned.calls, _name_of(node)
    if as_json:
        return Explanation(json.dumps(plan.as_json(), indent=2), problems)
    if not plan.calls:
        return Explanation(f"{name} makes no upstream calls.", problems)
    when = " at each poll" if node.operation is OperationType.SUBSCRIPTION else ""
    lines = [*_summary(name, plan, when, is_refused=excess is not None), "", *_table(_plan_rows(plan))]
    if excess is None:
        lines += ["", *[_curl(gateway.url, call) for call in plan.calls]]
    return Explanation("\n".join(lines), problems)


def explain_manifest(
    path: Path, *, max_calls: int | None = None, max_images: int | None = None, as_json: bool = False
) -> Explanation:
    """Return the price of each trusted document.

    Args:
        path: a manifest, as `TRUSTED_DOCUMENTS` names one.
        max_calls: budget of each operation; by default `OPERATION_MAX_CALLS`.
        max_images: budget of its images; by default `OPERATION_MAX_IMAGES`.
        as_json: whether to return JSON instead of a table.

    Raises:
        ExplainError: the manifest or one of its documents is wrong.
        SettingsError: a setting is wrong.
    """
    gateway = _read_gateway()
    budget = Budget(
        max_calls=gateway.budget.max_calls if max_calls is None else max_calls,
        max_images=gateway.budget.max_images if max_images is None else max_images,
    )
    try:
        trusted = parse_manifest(_read(path).encode())
        check_documents(trusted, gateway.documents.prepare)
    except ManifestError as exc:
        raise ExplainError(f"{path}: {exc}".replace("\n  ", "; ")) from exc
    documents = {name: gateway.documents.prepare(text).document for name, text in trusted.items()}
    priced = [
        _priced(gateway, document_id, document, operation, budget)
        for document_id, document in documents.items()
        for operation in _operations(document)
    ]
    text = json.dumps(priced, indent=2) if as_json else "\n".join(_table(_price_rows(priced)))
    problems = [
        f"{each['operation']} ({each['document']}) {each['problem']}" for each in priced if each["problem"]
    ]
    return Explanation(text, problems)


@dataclass(frozen=True, slots=True)
class _Gateway:
    """What decides the calls of an operation; `url` is that of the REST API's resource."""

    schema: GraphQLSchema
    documents: Documents
    budget: Budget
    key_of: KeyOf
    url: str


def _read_gateway() -> _Gateway:
    """Raises: SettingsError: a setting is wrong."""
    settings = Settings.read()
    return _Gateway(
        *build_documents(settings),
        partial(narrowed_key, narrows=settings.narrowing, keeps_window=False),
        str(settings.upstream_url).rstrip("/") + PATH,
    )


def _operations(document: DocumentNode) -> list[OperationDefinitionNode]:
    return [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]


def _only_name(path: Path, document: DocumentNode) -> str | None:
    """Raises: ExplainError: the document has several operations."""
    names = [operation.name.value if operation.name else None for operation in _operations(document)]
    if len(names) > 1:
        listed = ", ".join(filter(None, names))
        raise ExplainError(
            f"{path}: the document has several operations. Choose one by --operation: {listed}"
        )
    return next(iter(names), None)


def _summary(name: str, plan: CallPlan, when: str, *, is_refused: bool) -> Iterator[str]:
    least, budget, images = len(plan.calls), plan.budget, _counted(plan.max_images, "image")
    if is_refused:
        allowed = f"{_counted(budget.max_calls, 'call')} and {_counted(budget.max_images, 'image')}"
        calls = _counted(least, "upstream call")
        yield f"{name} would need {calls}{when}, for at most {images}; it is refused."
        yield f"Its budget is {allowed}."
        return
    calls = _counted(plan.max_calls, "upstream call")
    at_least = ""
    if plan.further:
        calls, at_least = f"{least:,} to {calls}", "at least "
    size = math.ceil(plan.max_bytes / 1_000)
    yield f"{name} makes {calls}{when}, for at most {images} and about {size:,} KB."
    calls = _counted(budget.max_calls - plan.max_calls, "call")
    images = _counted(budget.max_images - plan.max_images, "image")
    yield f"Its budget leaves {at_least}{calls} and {images}."


def _plan_rows(plan: CallPlan) -> Iterator[_Row]:
    yield "call", "fields", "reason", "images"
    for number, call in enumerate(plan.calls, start=1):
        alike: dict[tuple[str, str], list[str]] = {}
        for served in call.fields:
            images = f"{served.wanted_images:,} to {served.images:,}"
            if served.wanted_images <= served.images:
                images = f"{served.images:,}"
            alike.setdefault((_REASONS[served.reason], images), []).append(served.key)
        # First the field that decides what is requested.
        rows = sorted(alike.items(), key=lambda row: row[0][0] != _REASONS[Reason.FETCHED])
        for shown, ((reason, images), keys) in enumerate(rows):
            yield "" if shown else f"{number}", ", ".join(keys), reason, images
    for each in plan.further:
        answers = " or ".join(f"call {index + 1}" for index in each.after)
        reason = _CONDITIONS[each.condition].format(answers)
        yield f"up to {each.at_most} more", ", ".join(each.fields), reason, f"{each.images:,}"


def _priced(
    gateway: _Gateway,
    document_id: str,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    budget: Budget,
) -> dict[str, Any]:
    """Return the price of an operation and its problem, if it has one, as JSON."""
    priced = {"document": document_id, "operation": _name_of(operation)}
    try:
        price = price_of(gateway.schema, document, operation, gateway.key_of, gateway.budget)
    except PriceError as exc:
        return {**priced, "price": None, "problem": f"has no price: {exc}."}
    needed = {"upstream call": (price.calls, budget.max_calls), "image": (price.images, budget.max_images)}
    excesses = [
        f"needs {_counted(number, noun)}; the budget is {limit:,}."
        for noun, (number, limit) in needed.items()
        if number > limit
    ]
    shown = {"calls": price.calls, "images": price.images, "furtherCalls": price.further_calls}
    return {**priced, "price": shown, "problem": " It ".join(excesses) or None}


def _price_rows(priced: Sequence[Mapping[str, Any]]) -> Iterator[_Row]:
    yield "operation", "document", "calls", "images", "further calls"
    for each in priced:
        numbers = [f"{number:,}" for number in each["price"].values()] if each["price"] else ["?"] * 3
        yield each["operation"], each["document"], *numbers


def _read_variables(given: str) -> dict[str, Any]:
    """Return the variables in a JSON text, or in the file of that name."""
    source = "--variables"
    if not given.strip():
        raise ExplainError(f"{source}: must be a JSON object or the path of a file")
    if not given.lstrip().startswith(("{", "[")):
        source, given = given, _read(Path(given))
    try:
        variables = json.loads(given)
    except (ValueError, RecursionError) as exc:
        raise ExplainError(f"{source}: {exc}") from exc
    if not isinstance(variables, dict):
        raise ExplainError(f"{source}: the variables must be a JSON object")
    return variables


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise ExplainError(f"{path}: {reason}") from exc


def _described(error: GraphQLError) -> str:
    """Return where an error is in its file, and its message."""
    place = "".join(f":{each.line}:{each.column}" for each in (error.locations or ())[:1])
    return f"{place}: {error.message}"


def _name_of(operation: OperationDefinitionNode) -> str:
    return operation.name.value if operation.name else "The operation"


def _curl(url: str, call: PlannedCall) -> str:
    target = shlex.quote(f"{url}?{query_string(call.request)}")
    return f'curl -H "Authorization: Bearer $TOKEN" {target}'


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _table(rows: Iterable[_Row]) -> Iterator[str]:
    listed = list(rows)
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    for row in listed:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
