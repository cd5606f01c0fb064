"""A store of persisted queries that is shared: what it gives is checked."""

import hashlib

import pytest

from gallery_gateway.errors import PersistedQueryNotFoundError
from gallery_gateway.execution.persisted import GraphQLRequest, PersistedQueries

TEXT = "{ one }"
SHA256 = hashlib.sha256(TEXT.encode()).hexdigest()


class Store:
    """Gives one text whatever it is asked for."""

    def __init__(self, text: str) -> None:
        self.text = text

    async def get(self, sha256: str) -> str | None:  # noqa: ARG002  # it does not look
        return self.text

    async def put(self, sha256: str, text: str) -> None:  # noqa: ARG002  # nor here
        self.text = text


async def test_a_text_of_its_hash_is_run() -> None:
    request = await PersistedQueries(Store(TEXT)).resolve(GraphQLRequest(document_id=SHA256))

    assert request == GraphQLRequest(query=TEXT)


async def test_a_text_that_was_put_under_the_hash_of_another_is_not_run() -> None:
    queries = PersistedQueries(Store("{ two }"))

    with pytest.raises(PersistedQueryNotFoundError):
        await queries.resolve(GraphQLRequest(document_id=SHA256))
