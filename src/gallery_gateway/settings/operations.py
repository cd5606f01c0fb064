"""GraphQL: what a document may be, and what one operation may cost."""

from pydantic import BaseModel, Field

from gallery_gateway.settings.units import MEBIBYTE


class OperationSettings(BaseModel):
    """Documents, and the operations that are run of them."""

    max_document_tokens: int = Field(
        4_000, ge=100, le=100_000, description="longest GraphQL document, in lexical tokens"
    )
    prepared_documents_max_bytes: int = Field(
        MEBIBYTE,
        ge=0,
        le=64 * MEBIBYTE,
        description="text of the documents that are kept parsed and validated",
    )
    narrowing: bool = Field(
        default=True,
        description="fewer images are asked for than the arguments say, if the operation selects fewer",
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
    report_always: bool = Field(default=False, description="`extensions.upstream` in every answer, unasked")
