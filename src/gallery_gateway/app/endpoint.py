"""The GraphQL endpoint, put together from settings: documents, operations, policy."""

import asyncio
import secrets
from pathlib import Path

from graphql import GraphQLSchema

from gallery_gateway.app.gallery import read_documents
from gallery_gateway.app.telemetry import Instruments
from gallery_gateway.edge.caching import CacheDirectives
from gallery_gateway.edge.endpoint import GraphQLEndpoint
from gallery_gateway.edge.headers import shield_headers
from gallery_gateway.edge.policy import Guard, Origins, Policy
from gallery_gateway.execution.compiler import Compiler
from gallery_gateway.execution.documents import Documents
from gallery_gateway.execution.executor import Executor
from gallery_gateway.execution.limits import DocumentLimits
from gallery_gateway.execution.persisted import (
    DocumentSource,
    ManifestError,
    PersistedQueries,
    TrustedDocuments,
    check_documents,
    parse_manifest,
)
from gallery_gateway.execution.validation import Validator
from gallery_gateway.gallery.caller import Caller
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.loader import GalleryLoader
from gallery_gateway.gallery.lookup import Accepts
from gallery_gateway.gallery.usage import Budget, OperationUsage
from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.schema.context import OperationContext
from gallery_gateway.schema.roots import COMPILED_ROOTS
from gallery_gateway.settings import ENVIRONMENT_PREFIX, Settings, SettingsError, listed


def build_documents(settings: Settings, schema: GraphQLSchema) -> Documents:
    validator = Validator(
        schema,
        DocumentLimits.for_tokens(settings.max_document_tokens),
        introspection=settings.introspection,
        service_sdl=settings.service_sdl,
    )
    return Documents(validator)


def build_source(settings: Settings, documents: Documents) -> DocumentSource:
    """Raises: SettingsError: the manifest of trusted documents cannot be used."""
    if settings.trusted_documents is not None:
        return TrustedDocuments(_trusted(settings.trusted_documents, documents))
    return PersistedQueries(max_bytes=settings.persisted_queries_max_bytes)


def _trusted(path: Path, documents: Documents) -> dict[str, str]:
    try:
        trusted = parse_manifest(path.read_bytes())
        check_documents(trusted, documents.prepare)
    except (OSError, ManifestError) as exc:
        told = exc.strerror if isinstance(exc, OSError) else exc
        raise SettingsError(f"{ENVIRONMENT_PREFIX}TRUSTED_DOCUMENTS: {path}: {told}") from exc
    return trusted


class Operations:
    """Who asks, and what the resolvers of one operation share."""

    def __init__(self, settings: Settings, gallery: Gallery) -> None:
        self._gallery = gallery
        self._narrows = settings.narrowing
        self._timeout_seconds = settings.operation_timeout_seconds
        self._secret = _caller_key_secret(settings)
        self._budget = Budget(
            max_calls=settings.operation_max_calls, max_images=settings.operation_max_images
        )

    def caller(self, token: str | None) -> Caller | None:
        return Caller(token, secret=self._secret) if token else None

    async def context(
        self, caller: Caller | None, directives: CacheDirectives, *, timeout_seconds: float
    ) -> OperationContext:
        usage = OperationUsage(self._budget)
        if caller is None:
            return OperationContext(usage, None)
        timeout_seconds = min(timeout_seconds, self._timeout_seconds)
        loaders = GalleryLoader(
            self._gallery,
            caller,
            usage,
            narrows=self._narrows,
            accepts=Accepts(fresh=not directives.skips_cache, if_error_seconds=directives.if_error_seconds),
            until=asyncio.get_running_loop().time() + timeout_seconds,
        )
        return OperationContext(usage, loaders)


def _caller_key_secret(settings: Settings) -> bytes:
    if settings.caller_key_secret is None:
        return secrets.token_bytes(32)
    return settings.caller_key_secret.get_secret_value().encode()


def build_policy(settings: Settings, *, offers_page: bool) -> Policy:
    return Policy(
        prevents_csrf=settings.csrf_prevention,
        offers_page=offers_page,
        always_reports=settings.report_always,
        hosts=listed(settings.allowed_hosts),
        origins=Origins(listed(settings.cors_origins)),
        shield=shield_headers(hsts_max_age_seconds=settings.hsts_max_age_seconds),
    )


def build_endpoint(
    settings: Settings,
    *,
    gallery: Gallery,
    page: str | None,
    policy: Policy,
    instruments: Instruments,
) -> GraphQLEndpoint:
    schema = executable(build_schema())
    documents = build_documents(settings, schema)
    instruments.read(lambda: read_documents(documents))
    executor = Executor(
        schema,
        documents,
        Compiler(schema, COMPILED_ROOTS, weigh=documents.weigh),
        source=build_source(settings, documents),
        suggests=settings.introspection,
    )
    return GraphQLEndpoint(
        executor,
        Operations(settings, gallery),
        Guard(policy),
        page=page,
        telemetry=instruments.operations,
    )
