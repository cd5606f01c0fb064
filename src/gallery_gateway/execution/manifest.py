"""Reads the manifest of trusted documents, in Apollo's form and in Relay's.

Apollo's (`generate-persisted-query-manifest`): `{"format": "apollo-persisted-query-manifest", "version": 1,
"operations": [{"id", "name", "type", "body"}]}`. Relay's (`persistConfig.file`), and graphql-codegen's
`persisted-documents.json`: an object of ids and texts.
"""

from collections.abc import Callable

import msgspec

from gallery_gateway.execution.refusals import DocumentError

_APOLLO = "apollo-persisted-query-manifest"


class ManifestError(ValueError):
    """A manifest that cannot be used; the message says what all is wrong with it."""


class _Operation(msgspec.Struct):
    id: str
    body: str


class _ApolloManifest(msgspec.Struct):
    format: str
    version: int
    operations: list[_Operation]


def read_manifest(content: bytes) -> dict[str, str]:
    """The documents by their ids.

    Raises:
        ManifestError: it has neither form, or an id of several documents, or no document at all.
    """
    try:
        members = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        if "format" in members and "operations" in members:
            documents = _of_apollo(msgspec.json.decode(content, type=_ApolloManifest))
        else:
            documents = msgspec.json.decode(content, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ManifestError(f"neither Apollo's nor Relay's form: {exc}") from exc
    if not documents:
        raise ManifestError("there is no document in it")
    return documents


def check_documents(documents: dict[str, str], prepare: Callable[[str], object]) -> None:
    """Raises: ManifestError: some documents are not valid, each of which is told."""
    wrong = []
    for name, text in documents.items():
        try:
            prepare(text)
        except DocumentError as exc:
            wrong.append(f"document {name!r}: {exc.errors[0].message}")
    if wrong:
        raise ManifestError(
            "\n  ".join([f"{len(wrong)} of {len(documents)} documents cannot be run", *wrong])
        )


def _of_apollo(manifest: _ApolloManifest) -> dict[str, str]:
    if (manifest.format, manifest.version) != (_APOLLO, 1):
        raise ManifestError(f"of Apollo's formats only {_APOLLO}, version 1, is known")
    documents: dict[str, str] = {}
    for operation in manifest.operations:
        if documents.setdefault(operation.id, operation.body) != operation.body:
            raise ManifestError(f"several documents have the id {operation.id!r}")
    return documents
