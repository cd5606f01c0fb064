"""Measures the memory of prepared documents: `python -m tests.benchmarks.documents`.

Many documents, each of its own text, are prepared and planned; what the process grows by is compared with the
budget that they were given.
"""

import argparse
import gc
from collections.abc import Callable, Mapping

from graphql import OperationDefinitionNode

from gallery_gateway.execution.compiler import Compiler
from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.limits import DocumentError, DocumentLimits
from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.schema.roots import COMPILED_ROOTS
from tests.benchmarks.memory import MEBIBYTE, rss_bytes

_IMAGES = "images(first: 12) { jobId status qualityScore output { thumbnail } }"

SHAPES: Mapping[str, Callable[[int], str]] = {
    "list": lambda n: f"{{ gallery(page: {n + 1}) {{ projects {{ id projectName {_IMAGES} }} }} }}",
    "aliases": lambda n: (
        "{" + " ".join(f"a{i}: project(projectId: {n + i}) {{ id projectName }}" for i in range(10)) + "}"
    ),
    "comment": lambda n: "{ __typename } # " + str(n) * 500,
    "refused": lambda n: f"{{ gallery(page: {n}) {{ projects {{ unknown{n} }} }} }}",
}


def weigh(texts: Callable[[int], str], *, count: int, budget_bytes: int) -> float:
    """Return the growth of the process, divided by the budget."""
    schema = executable(build_schema())
    limits = DocumentLimits.for_tokens(2_000)
    documents = Documents(schema, limits, max_bytes=budget_bytes)
    compiler = Compiler(schema, COMPILED_ROOTS, weigh=documents.weigh)

    def prepare(number: int) -> None:
        try:
            prepared = documents.prepare(texts(number))
        except DocumentError:
            return
        for operation in prepared.document.definitions:
            assert isinstance(operation, OperationDefinitionNode)
            compiler._plans(compiler._document(prepared), prepared, operation, {}, {})

    # The threshold of the app, which keeps garbage longer.
    gc.set_threshold(10_000, 50, 100)
    # The first document loads code that stays; it does not count.
    prepare(count)
    gc.collect()
    before = rss_bytes()
    for number in range(count):
        prepare(number)
    gc.collect()
    return (rss_bytes() - before) / budget_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="list")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--budget-mebibytes", type=int, default=32)
    chosen = parser.parse_args()
    ratio = weigh(SHAPES[chosen.shape], count=chosen.count, budget_bytes=chosen.budget_mebibytes * MEBIBYTE)
    print(f"{chosen.count} documents in a budget of {chosen.budget_mebibytes} MiB: ({ratio:.2f})")


if __name__ == "__main__":
    main()
