"""The GraphQL endpoint, put together from settings: schema, documents, executor."""

from typing import TYPE_CHECKING

from gallery_gateway.app.documents import build_documents, build_sources
from gallery_gateway.app.operations import Operations
from gallery_gateway.app.readings import read_documents
from gallery_gateway.app.telemetry import Instruments
from gallery_gateway.edge.explorer import Explorer
from gallery_gateway.edge.graphql import GraphQLEndpoint
from gallery_gateway.edge.guard import Guard
from gallery_gateway.edge.terms import Policy
from gallery_gateway.execution.compiled import Compiler
from gallery_gateway.execution.executor import Executor
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.schema.roots import COMPILED_ROOTS
from gallery_gateway.settings import Settings

if TYPE_CHECKING:
    # Needs libraries of an extra.
    from gallery_gateway.app.sharing import Sharing


def build_endpoint(
    settings: Settings,
    *,
    gallery: Gallery,
    explorer: Explorer | None,
    policy: Policy,
    instruments: Instruments,
    sharing: "Sharing | None",
) -> GraphQLEndpoint:
    schema = executable(build_schema(max_representations=settings.entities_max_representations))
    documents = build_documents(settings, schema)
    instruments.read(lambda: read_documents(documents))
    executor = Executor(
        schema,
        documents,
        Compiler(schema, COMPILED_ROOTS, weigh=documents.weigh),
        max_variable_values=settings.max_variable_values,
        suggestions=settings.suggestions,
        sources=build_sources(settings, documents, sharing),
    )
    return GraphQLEndpoint(
        executor,
        Operations(settings, gallery),
        Guard(policy),
        explorer=explorer.page if explorer and policy.offers_page else None,
        max_body_bytes=settings.max_body_bytes,
        max_batch=settings.batch_max_operations,
        telemetry=instruments.operations,
    )
