"""Builds the GraphQL endpoint from settings: documents, operations, policy."""

import asyncio
import secrets

from graphql import GraphQLSchema

from gallery_gateway.app.telemetry import Instruments
from gallery_gateway.edge.endpoint import GraphQLEndpoint
from gallery_gateway.edge.event_stream import EventStreams
from gallery_gateway.edge.policy import Policy
from gallery_gateway.edge.replay import ReplayStore
from gallery_gateway.edge.responses import RawHeader
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
from gallery_gateway.gallery.gallery import Gallery
from gallery_gateway.gallery.usage import Budget
from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.schema.context import Operations
from gallery_gateway.schema.roots import COMPILED_ROOTS
from gallery_gateway.settings import ENVIRONMENT_PREFIX, Settings, SettingsError, listed
from gallery_gateway.telemetry.counters import Values


def read_streams(streams: EventStreams) -> Values:
    ended: Values = {("subscriptions_ended_total", (why,)): n for why, n in dict(streams.ended).items()}
    return {("subscriptions", ()): len(streams), ("subscription_events_total", ()): streams.events, **ended}


def build_documents(settings: Settings) -> tuple[GraphQLSchema, Documents, Budget]:
    """Return the schema, its documents within their limits, and the budget of each operation."""
    schema = executable(build_schema())
    documents = Documents(
        schema,
        DocumentLimits.for_tokens(settings.max_document_tokens),
        introspection=settings.introspection,
        service_sdl=settings.service_sdl,
    )
    budget = Budget(max_calls=settings.operation_max_calls, max_images=settings.operation_max_images)
    return schema, documents, budget


def build_endpoint(
    settings: Settings,
    *,
    gallery: Gallery,
    page: str | None,
    security_headers: tuple[RawHeader, ...],
    replays: ReplayStore,
    streams: EventStreams,
    instruments: Instruments,
    large_pages: asyncio.Lock,
) -> GraphQLEndpoint:
    """Raises: SettingsError: the manifest of trusted documents cannot be used."""
    schema, documents, budget = build_documents(settings)
    instruments.add_gauges(lambda: {("prepared_documents", ()): len(documents)})
    compiler = Compiler(schema, COMPILED_ROOTS, weigh=documents.weigh, large_pages=large_pages)
    executor = Executor(schema, documents, compiler, source=_document_source(settings, documents))
    secret = settings.caller_key_secret
    operations = Operations(
        gallery=gallery,
        secret=secret.get_secret_value().encode() if secret else secrets.token_bytes(32),
        budget=budget,
        timeout_seconds=settings.operation_timeout_seconds,
        narrows=settings.narrowing,
    )
    policy = Policy(
        prevents_csrf=settings.csrf_prevention,
        has_page=page is not None,
        always_reports=settings.report_always,
        hosts=listed(settings.allowed_hosts),
        origins=listed(settings.cors_origins),
        security_headers=security_headers,
    )
    instruments.add_gauges(lambda: read_streams(streams))
    return GraphQLEndpoint(
        executor, operations, policy, replays, streams, page=page, telemetry=instruments.operations
    )


def _document_source(settings: Settings, documents: Documents) -> DocumentSource:
    """Return the source of documents that requests name by their id."""
    path = settings.trusted_documents
    if path is None:
        return PersistedQueries(max_bytes=settings.persisted_queries_max_bytes)
    try:
        trusted = parse_manifest(path.read_bytes())
        check_documents(trusted, documents.prepare)
    except (OSError, ManifestError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise SettingsError(f"{ENVIRONMENT_PREFIX}TRUSTED_DOCUMENTS: {path}: {reason}") from exc
    return TrustedDocuments(trusted)
