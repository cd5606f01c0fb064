"""Documents, put together from settings: what they may be, how many are kept, and where they come from."""

from pathlib import Path
from typing import TYPE_CHECKING

from graphql import GraphQLSchema

from gallery_gateway.execution.cost import CostLimit
from gallery_gateway.execution.costing import Costing
from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.limits import DocumentLimits
from gallery_gateway.execution.manifest import ManifestError, check_documents, read_manifest
from gallery_gateway.execution.persisted import MemoryStore, PersistedQueries, Sources, TwoLevels
from gallery_gateway.execution.trusted import TrustedDocuments
from gallery_gateway.execution.validation import Validator
from gallery_gateway.schema.sizes import COUNTED, LIST_SIZES
from gallery_gateway.settings import ENVIRONMENT_PREFIX, Settings, SettingsError

if TYPE_CHECKING:
    # Needs libraries of an extra.
    from gallery_gateway.app.sharing import Sharing


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


def build_sources(settings: Settings, documents: Documents, sharing: "Sharing | None") -> Sources:
    """Where documents come from that requests do not bring.

    Raises:
        SettingsError: the manifest of trusted documents cannot be used.
    """
    if settings.trusted_documents is not None:
        return TrustedDocuments(_trusted(settings.trusted_documents, documents))
    if not settings.persisted_queries_max_bytes:
        return PersistedQueries(None)
    memory = MemoryStore(max_bytes=settings.persisted_queries_max_bytes)
    return PersistedQueries(TwoLevels(memory, sharing.texts()) if sharing else memory)


def _trusted(path: Path, documents: Documents) -> dict[str, str]:
    try:
        trusted = read_manifest(path.read_bytes())
        check_documents(trusted, documents.prepare)
    except (OSError, ManifestError) as exc:
        told = exc.strerror if isinstance(exc, OSError) else exc
        raise SettingsError(f"{ENVIRONMENT_PREFIX}TRUSTED_DOCUMENTS: {path}: {told}") from exc
    return trusted


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
