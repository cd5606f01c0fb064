"""What operations of the graph cost: the images that their answers can hold."""

import pytest
from graphql import GraphQLList, GraphQLNonNull, GraphQLObjectType, parse, validate

from gallery_gateway.execution.cost import CostLimit
from gallery_gateway.execution.costing import Costing
from gallery_gateway.schema.build import build_schema, executable
from gallery_gateway.schema.sizes import COUNTED, LIST_SIZES

SCHEMA = executable(build_schema())


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("{ gallery { projects { totalImages } } }", 0),
        ("{ gallery { projects { images { id } } } }", 20 * 50),
        ("{ gallery(perPage: 7) { projects { images(first: 12) { inputs { uuid } } } } }", 7 * 12),
        ("{ gallery(perPage: 100, maxImagesPerProject: 200) { projects { images { id } } } }", 100 * 200),
        ("{ projects { nodes { images(first: 3) { id } } } }", 20 * 3),
        ("{ projects(last: 4) { edges { node { images { id } } } } }", 4 * 50),
        ("{ projects(first: 9, last: null) { nodes { images(first: 2) { id } } } }", 9 * 2),
        ("{ projects(first: 100, maxImagesPerProject: 7) { nodes { images { id } } } }", 100 * 7),
        ("{ project(projectId: 7, maxImages: 9) { images { id } } }", 9),
        ('{ node(id: "x") { id ... on Project { images { id } } } }', 50),
        ("{ _entities(representations: [{}, {}, {}]) { ... on Project { images { id } } } }", 3 * 50),
    ],
)
def test_an_operation_costs_the_images_that_it_allows_for(text: str, images: int) -> None:
    document = parse(text)
    assert validate(SCHEMA, document) == []

    costing = Costing(SCHEMA, CostLimit(0, "images", "SETTING"), sizes=LIST_SIZES, counted=COUNTED)
    ((_, cost),) = costing.costs(document)

    assert (cost.least, cost.most) == (images, images)


def test_every_list_of_images_is_counted() -> None:
    lists = {
        f"{kind.name}.{name}"
        for kind in SCHEMA.type_map.values()
        if isinstance(kind, GraphQLObjectType)
        for name, field in kind.fields.items()
        if str(field.type).strip("[]!") == "Image" and "[" in str(field.type)
    }

    assert lists == COUNTED


def test_every_list_of_objects_with_images_below_it_has_a_size() -> None:
    lists = {
        f"{kind.name}.{name}"
        for kind in SCHEMA.type_map.values()
        if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__")
        for name, field in kind.fields.items()
        if _is_list(field.type)
        and str(field.type).strip("[]!") in {"Project", "ProjectEdge", "Image", "_Entity"}
    }

    assert lists <= {of for sizes in LIST_SIZES.values() for of in sizes}


def _is_list(kind: object) -> bool:
    return isinstance(kind.of_type if isinstance(kind, GraphQLNonNull) else kind, GraphQLList)
