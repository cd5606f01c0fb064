"""Documents, put together from settings: what they may be, and how many are kept."""

from graphql import GraphQLSchema

from gallery_gateway.execution.cost import CostLimit
from gallery_gateway.execution.costing import Costing
from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.limits import DocumentLimits
from gallery_gateway.execution.validation import Validator
from gallery_gateway.schema.sizes import COUNTED, LIST_SIZES
from gallery_gateway.settings import ENVIRONMENT_PREFIX, Settings


def build_documents(settings: Settings, schema: GraphQLSchema) -> Documents:
    validator = Validator(
        schema,
        document_limits(settings),
        introspection=settings.introspection,
        service_sdl=settings.service_sdl,
        suggestions=settings.suggestions,
    )
    limit = CostLimit(settings.operation_max_cost, "images", f"{ENVIRONMENT_PREFIX}OPERATION_MAX_COST")
    costing = Costing(schema, limit, sizes=LIST_SIZES, counted=COUNTED)
    return Documents(validator, max_bytes=settings.prepared_documents_max_bytes, costing=costing)


def document_limits(settings: Settings) -> DocumentLimits:
    return DocumentLimits(
        bytes=settings.max_document_bytes,
        tokens=settings.max_document_tokens,
        depth=settings.max_document_depth,
        fields=settings.max_document_fields,
        aliases=settings.max_document_aliases,
        root_fields=settings.max_document_root_fields,
        directives=settings.max_document_directives,
        fragments=settings.max_document_fragments,
        comparisons=settings.max_document_comparisons,
    )
