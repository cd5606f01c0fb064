"""Persisted queries: found by their hash, within their budget."""

import hashlib

import pytest

from gallery_gateway.errors import PersistedQueryNotFoundError, PersistedQueryNotSupportedError, RequestError
from gallery_gateway.execution.persisted import GraphQLRequest, PersistedQueries

TEXT = "{ one }"
OTHER = "{ two }"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def register(queries: PersistedQueries, text: str) -> None:
    queries.register(queries.resolve(GraphQLRequest(query=text, document_id=sha256(text))))


def test_a_registered_document_is_found_by_its_hash() -> None:
    queries = PersistedQueries(max_bytes=100)
    register(queries, TEXT)

    assert queries.resolve(GraphQLRequest(document_id=sha256(TEXT))) == GraphQLRequest(query=TEXT)


def test_a_document_is_not_found_before_it_is_registered() -> None:
    queries = PersistedQueries(max_bytes=100)
    queries.resolve(GraphQLRequest(query=TEXT, document_id=sha256(TEXT)))

    with pytest.raises(PersistedQueryNotFoundError):
        queries.resolve(GraphQLRequest(document_id=sha256(TEXT)))


def test_a_document_is_not_registered_under_the_hash_of_another() -> None:
    queries = PersistedQueries(max_bytes=100)

    with pytest.raises(RequestError, match="provided sha does not match query"):
        queries.resolve(GraphQLRequest(query=TEXT, document_id=sha256(OTHER)))


def test_the_least_recently_used_document_is_evicted() -> None:
    queries = PersistedQueries(max_bytes=len(TEXT + OTHER))
    register(queries, TEXT)
    register(queries, OTHER)
    queries.resolve(GraphQLRequest(document_id=sha256(TEXT)))

    register(queries, "{ ten }")

    assert queries.resolve(GraphQLRequest(document_id=sha256(TEXT))).query == TEXT
    with pytest.raises(PersistedQueryNotFoundError):
        queries.resolve(GraphQLRequest(document_id=sha256(OTHER)))


def test_a_document_larger_than_the_budget_is_not_kept() -> None:
    queries = PersistedQueries(max_bytes=len(TEXT) - 1)
    register(queries, TEXT)

    with pytest.raises(PersistedQueryNotFoundError):
        queries.resolve(GraphQLRequest(document_id=sha256(TEXT)))


def test_without_a_budget_persisted_queries_are_not_supported() -> None:
    with pytest.raises(PersistedQueryNotSupportedError):
        PersistedQueries().resolve(GraphQLRequest(query=TEXT, document_id=sha256(TEXT)))
