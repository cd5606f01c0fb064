"""GraphQL: what a document may be, and what one operation may cost."""

from pydantic import BaseModel, Field, FilePath

from gallery_gateway.settings.units import MEBIBYTE


class OperationSettings(BaseModel):
    """Documents, and the operations that are run of them."""

    max_document_bytes: int = Field(
        32_768, ge=1024, le=MEBIBYTE, description="longest GraphQL document, in bytes"
    )
    max_document_tokens: int = Field(
        2_000, ge=100, le=100_000, description="longest GraphQL document, in lexical tokens"
    )
    max_document_depth: int = Field(
        12, ge=5, le=200, description="fields within fields; introspection has a bound of its own"
    )
    max_document_fields: int = Field(
        1_000, ge=250, le=100_000, description="fields of an operation, fragments counted wherever spread"
    )
    max_document_aliases: int = Field(100, ge=0, le=10_000, description="aliases of an operation, likewise")
    max_document_root_fields: int = Field(
        30, ge=1, le=1_000, description="fields of the operation itself, the like of `gallery` and `project`"
    )
    max_document_directives: int = Field(
        100, ge=0, le=10_000, description="directives of an operation, likewise"
    )
    max_document_fragments: int = Field(
        100, ge=10, le=400, description="fragments of a document, and of an operation as often as spread"
    )
    max_document_comparisons: int = Field(
        15_000,
        ge=1_000,
        le=500_000,
        description="comparisons of fields that share a response key, in validation",
    )
    max_variable_values: int = Field(
        10_000,
        ge=10,
        le=100_000,
        description="values in the variables of a request, items and members counted",
    )
    introspection: bool = Field(default=True, description="`__schema` and `__type` for everyone")
    service_sdl: bool = Field(default=True, description="`_service`, the SDL for federation routers")
    suggestions: bool = Field(default=True, description='"Did you mean" in the errors of a document')
    prepared_documents_max_bytes: int = Field(
        32 * MEBIBYTE,
        ge=0,
        le=1024 * MEBIBYTE,
        description="memory of the documents that are kept parsed, validated and planned",
    )
    persisted_queries_max_bytes: int = Field(
        MEBIBYTE,
        ge=0,
        le=64 * MEBIBYTE,
        description="text of the automatic persisted queries that are kept; 0 = none",
    )
    trusted_documents: FilePath | None = Field(
        None, description="manifest of the only documents that are run; by default any document is"
    )
    narrowing: bool = Field(
        default=True,
        description="fewer images are asked for than the arguments say, if the operation selects fewer",
    )
    operation_timeout_seconds: float = Field(
        30.0, gt=0, le=600, description="time for one operation, all attempts and waiting included"
    )
    operation_max_calls: int = Field(
        20, ge=1, le=1_000, description="upstream calls of one operation, after merging and the cache"
    )
    operation_max_images: int = Field(
        20_000, ge=1, le=1_000_000, description="images that the upstream calls of one operation may return"
    )
    entities_max_representations: int = Field(
        1_000, ge=1, le=100_000, description="representations that one `_entities` field may be asked for"
    )
    operation_max_cost: int = Field(
        20_000, ge=1, le=1_000_000, description="images that the answer of one operation may hold"
    )
    report_always: bool = Field(default=False, description="`extensions.upstream` in every answer, unasked")
