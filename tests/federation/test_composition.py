"""The subgraph composes beside others, with the composers of Apollo, The Guild and WunderGraph (Cosmo)."""

import re
from collections.abc import Mapping

import pytest

from gallery_gateway.schema.build import build_schema
from tests.federation.programs import HERE, Composed, Subgraph, compose
from tests.federation.reviews import SCHEMA
from tests.npm import install

GALLERY = Subgraph(name="gallery", sdl=build_schema().sdl)
REVIEWS = Subgraph(name="reviews", sdl=SCHEMA.as_str())

NODE = "interface Node { id: ID! } extend type Query { node(id: ID!): Node %s }"


def other(sdl: str, *, version: str = "2.9", imports: str = '"@key", "@shareable", "@override"') -> Subgraph:
    """Another subgraph with these types."""
    subscription = "subscription: Subscription" if "type Subscription" in sdl else ""
    link = f'schema @link(url: "https://specs.apollo.dev/federation/v{version}", import: [{imports}])'
    return Subgraph(
        name="other", sdl=f"{link} {{ query: Query {subscription} }} type Query {{ other: Int }} {sdl}"
    )


NODES = "interface Node { id: ID! } extend type Query { nodes(ids: [ID!]!): [Node]! %s }"


COMPOSED: dict[str, list[Subgraph]] = {
    "alone": [GALLERY],
    "beside reviews": [GALLERY, REVIEWS],
    "an extension by id": [GALLERY, other('type Project @key(fields: "id") { id: ID! stars: Int }')],
    "an extension by number": [
        GALLERY,
        other('scalar BigInt type Project @key(fields: "projectId") { projectId: BigInt! stars: Int }'),
    ],
    "an extension of images": [GALLERY, other('type Image @key(fields: "id") { id: ID! stars: Int }')],
    "a reference": [
        GALLERY,
        other(
            'type Project @key(fields: "id", resolvable: false) { id: ID! }'
            " extend type Query { best: Project }"
        ),
    ],
    "an older subgraph": [
        GALLERY,
        other('type Project @key(fields: "id") { id: ID! stars: Int }', version="2.0", imports='"@key"'),
    ],
    "value types of its own": [
        GALLERY,
        other(
            "type PageInfo @shareable {"
            " hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }"
            " type ImageFile @shareable { fullSize: String thumbnail: String uuid: String expiresAt: String }"
            " scalar JSON extend type Query { info: PageInfo file: ImageFile any: JSON }"
        ),
    ],
    "another interface of nodes": [
        GALLERY,
        other(
            "interface Node { id: ID! } type Star implements Node { id: ID! } extend type Query { s: Star }"
        ),
    ],
    "other subscriptions": [
        GALLERY,
        other(
            'type Project @key(fields: "id", resolvable: false) { id: ID! }'
            " type Subscription { starred: Project }"
        ),
    ],
    "another root field for a node, taken over": [GALLERY, other(NODE % '@override(from: "gallery")')],
    "another root field for nodes, taken over": [GALLERY, other(NODES % '@override(from: "gallery")')],
}

REFUSED: dict[str, tuple[list[Subgraph], str]] = {
    # Either would be asked for the other's nodes.
    "another root field for a node": ([GALLERY, other(NODE % "")], "INVALID_FIELD_SHARING"),
    "another root field for nodes": ([GALLERY, other(NODES % "")], "INVALID_FIELD_SHARING"),
    "another shared root field for nodes": (
        [GALLERY, other(NODE % "@shareable")],
        "INVALID_FIELD_SHARING",
    ),
    "the same subscription": (
        [
            GALLERY,
            other(
                'type Project @key(fields: "id", resolvable: false) { id: ID! }'
                " scalar BigInt type Subscription { project(projectId: BigInt!): Project }"
            ),
        ],
        "INVALID_FIELD_SHARING",
    ),
    "a number that ends at 32 bits": (
        [GALLERY, other('type Project @key(fields: "projectId") { projectId: Int! stars: Int }')],
        "FIELD_TYPE_MISMATCH",
    ),
    # Nothing finds an image by its key, so there is no way back from there.
    "a field that gives an image": (
        [GALLERY, other('type Image @key(fields: "id") { id: ID! } extend type Query { best: Image }')],
        "SATISFIABILITY_ERROR",
    ),
}


COMPOSERS = ("apollo", "guild", "cosmo")


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, Composed]]:
    """What each composer made of all of the above."""
    install(HERE)
    graphs = [*COMPOSED.values(), *(graph for graph, _ in REFUSED.values())]
    names = [*COMPOSED, *REFUSED]
    return {composer: dict(zip(names, each, strict=True)) for composer, each in compose(*graphs).items()}


@pytest.fixture(params=COMPOSERS)
def composed(request: pytest.FixtureRequest, made: Mapping[str, dict[str, Composed]]) -> dict[str, Composed]:
    """What one of the composers made."""
    return made[request.param]


@pytest.mark.parametrize("case", COMPOSED)
def test_it_composes(composed: dict[str, Composed], case: str) -> None:
    assert composed[case].codes == []


@pytest.mark.parametrize(("case", "code"), [(case, code) for case, (_, code) in REFUSED.items()])
def test_what_could_not_be_answered_does_not_compose(
    composed: dict[str, Composed], case: str, code: str
) -> None:
    # Cosmo's errors have no code.
    assert {code, "Error"} & set(composed[case].codes)


def test_clients_of_the_supergraph_see_nothing_of_federation(composed: dict[str, Composed]) -> None:
    graph = composed["alone"].graph or ""

    assert "type Project implements Node {" in graph
    assert "type Subscription {" in graph
    assert not [word for word in ("_entities", "_service", "_Any", "@key", "@tag") if word in graph]


ROUTED = [
    "{ query: Query subscription: Subscription } directive",
    "type Subscription @join__type(graph: GALLERY) {",
    """type Project implements Node
         @join__type(graph: GALLERY, key: "id") @join__type(graph: GALLERY, key: "projectId")""",
    """type Image @join__type(graph: GALLERY, key: "id", resolvable: false)
         @join__type(graph: GALLERY, key: "jobId imageIndex groupIndex version", resolvable: false)""",
    """): Gallery @join__field(graph: GALLERY) @cost(weight: 10) @listSize( requireOneSlicingArgument: false
         slicingArguments: ["perPage"] sizedFields: ["projects"] )""",
    'createdBy: String @join__field(graph: GALLERY) @tag(name: "personal")',
    'thumbnail: String @tag(name: "link")',
]


@pytest.mark.parametrize("told", ROUTED)
def test_keys_costs_sizes_and_tags_reach_the_router(
    made: Mapping[str, dict[str, Composed]], told: str
) -> None:
    # The other composers write the same in another order.
    supergraph = made["guild"]["beside reviews"].supergraph or ""

    assert " ".join(told.split()) in " ".join(supergraph.split())


PERSONAL = ("createdBy", "feedbackComment", "reviewAnnotations", "retouchClaim")
LINKS = ("fullSize", "thumbnail")


@pytest.mark.parametrize("excluded", [["personal"], ["link"], ["personal", "link"]], ids="+".join)
def test_a_contract_leaves_out_what_is_tagged_and_nothing_else(
    made: Mapping[str, dict[str, Composed]], excluded: list[str]
) -> None:
    tagged = [*(PERSONAL if "personal" in excluded else ()), *(LINKS if "link" in excluded else ())]
    contracts = compose([GALLERY, REVIEWS], excluded=excluded)

    assert set(contracts) == {"guild", "cosmo"}
    for composer, (contract,) in contracts.items():
        assert contract.codes == []
        whole, left = (field_names(each.graph or "") for each in (made[composer]["beside reviews"], contract))
        assert whole - left == set(tagged)


def field_names(graph: str) -> set[str]:
    return set(re.findall(r"^  (\w+)(?:\(|:)", graph, flags=re.MULTILINE))
