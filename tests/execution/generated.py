"""Operations and pages made up at random: every shape of selection, and every kind of damage."""

import copy
import json
import random
from typing import Any

from gallery_gateway.gallery.pagination import CursorPosition
from gallery_gateway.gallery.request import GalleryRequest
from gallery_gateway.schema.cursors import encode_cursor, list_hash
from gallery_gateway.upstream.identity import project_global_id
from tests.fakes import image_body, page_body, project_body

_SCALARS = {
    "Pagination": ["page", "perPage", "total", "pages", "hasNext", "hasPrev"],
    "Project": [
        "id",
        "projectId",
        "projectName",
        "projectKey",
        "createdAt",
        "createdBy",
        "totalImages",
        "completedImages",
        "failedImages",
        "pendingImages",
    ],
    "Image": [
        "id",
        "resultId",
        "jobId",
        "imageIndex",
        "groupIndex",
        "version",
        "originalFilename",
        "downloadFilename",
        "inputDescription",
        "modelUsed",
        "detailNeedsReview",
        "detailReviewReason",
        "status",
        "qualityScore",
        "processingTime",
        "errorMessage",
        "feedback",
        "feedbackComment",
        "createdAt",
        "reviewStatus",
        "reviewAnnotations",
        "retouchClaim",
    ],
    "ImageFile": ["fullSize", "thumbnail", "uuid", "expiresAt"],
    "Gallery": [],
    "ProjectConnection": ["totalCount"],
    "ProjectEdge": ["cursor"],
    "PageInfo": ["hasNextPage", "hasPreviousPage", "startCursor", "endCursor"],
}
_OBJECTS = {
    "Gallery": {"pagination": "Pagination", "projects": "Project"},
    "ProjectConnection": {"edges": "ProjectEdge", "nodes": "Project", "pageInfo": "PageInfo"},
    "ProjectEdge": {"node": "Project"},
    "Project": {"images": "Image"},
    "Image": {"inputs": "ImageFile", "output": "ImageFile"},
}
_FIRST = ["", "(first: 0)", "(first: 1)", "(first: 2)", "(first: $few)", "(first: null)", "(first: -1)"]
# All of one list: the first of three, as it stood when there were three and when there were five.
_PLACES = [CursorPosition(0, 7, 3), CursorPosition(2, 7, 5)]
CURSORS = [encode_cursor(place, list_hash(GalleryRequest())) for place in _PLACES]
_STEPS = ["", "(first: 2)", "(last: 2)", "(first: $few)", "(first: 0)"]
_STEPS += [f'({step}: "{cursor}")' for cursor in CURSORS for step in ("first: 1, after", "before")]
_DIRECTIVES = [
    "",
    "",
    "",
    "",
    "@include(if: $yes)",
    "@skip(if: $no)",
    "@skip(if: $yes)",
    "@include(if: true)",
]

VARIABLES = {"few": 2, "yes": True, "no": False, "large": 3_000_000_001, "long": str(2**53 + 1), "old": 7}
_DEFINITIONS = (
    "($few: Int, $yes: Boolean!, $no: Boolean! = true, $large: BigInt!, $long: BigInt, $old: Int! = 7)"
)
_PROJECT_IDS = ["7", "7", "-5", "3000000001", '"9007199254740993"', "$large", "$old"]
# Ids of 32, 53, 64 and more bits, and negative ones.
_FIRST_IDS = [7, 7, 7, -5, 2**31 - 2, 3_000_000_001, 2**53 - 2, -(2**53) + 1, 2**63 - 1, 2**64]


class OperationWriter:
    """Writes one operation; a response key stands for one field and its arguments, so that all are valid."""

    roots = (1, 1, 1, 2, 3)

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._fragments: list[str] = []

    def operation(self) -> str:
        roots = " ".join(self.root(number) for number in range(self._chance.choice(self.roots)))
        # Every variable is used, whatever else was chosen.
        used = (
            "unused: gallery(projectId: $long) @skip(if: true)"
            " { projects { images(first: $few) { id @include(if: $yes) } } }"
            " old: project(projectId: $old) @skip(if: true) { id }"
            " large: project(projectId: $large) @skip(if: true) { id }"
        )
        unused = "fragment Unused on Project { id @skip(if: $no) }"
        spread = "more: project(projectId: 7) @skip(if: true) { ...Unused }"
        fragments = " ".join([unused, *self._fragments])
        return f"query Q{_DEFINITIONS} {{ {roots} {used} {spread} }} {fragments}"

    def root(self, number: int) -> str:
        kind = self._chance.random()
        if kind < 0.5:
            return f"g{number}: gallery {self._selection('Gallery', depth=0)}"
        if kind < 0.8:
            step = self._chance.choice(_STEPS)
            return f"c{number}: projects{step} {self._selection('ProjectConnection', depth=0)}"
        project_id = self._chance.choice(_PROJECT_IDS)
        return f"p{number}: project(projectId: {project_id}) {self._selection('Project', depth=1)}"

    def _selection(self, type_name: str, *, depth: int) -> str:
        chance = self._chance
        parts = [self._scalar(name) for name in chance.sample(_SCALARS[type_name], k=self._some(type_name))]
        for name, inner in _OBJECTS.get(type_name, {}).items():
            times = range(chance.choice([0, 1, 1, 2]))
            parts.extend(self._object(name, inner, depth=depth + 1) for _ in times)
        if chance.random() < 0.3:
            parts.append(chance.choice(["__typename", "kind: __typename"]))
        chance.shuffle(parts)
        parts = [self._wrapped(part, type_name) for part in parts] or ["__typename"]
        return "{ " + " ".join(parts) + " }"

    def _some(self, type_name: str) -> int:
        return self._chance.randint(0, min(5, len(_SCALARS[type_name])))

    def _scalar(self, name: str) -> str:
        alias = self._chance.choice(["", "", "", f"x_{name}: ", f"y_{name}: "])
        return f"{alias}{name} {self._chance.choice(_DIRECTIVES)}"

    def _object(self, name: str, inner: str, *, depth: int) -> str:
        argument, alias = "", self._chance.choice(["", f"z_{name}: "])
        if name == "images":
            number = self._chance.randrange(len(_FIRST) - (self._chance.random() < 0.9))
            argument = _FIRST[number]
            alias = f"i{number}: "
        directive = self._chance.choice(_DIRECTIVES)
        return f"{alias}{name}{argument} {directive} {self._selection(inner, depth=depth)}"

    def _wrapped(self, part: str, type_name: str) -> str:
        """The part as it is, or in an inline or a named fragment."""
        match self._chance.randrange(12):
            case 0:
                return f"... on {type_name} {{ {part} }}"
            case 1:
                return f"... {self._chance.choice(_DIRECTIVES)} {{ {part} }}"
            case 2:
                name = f"F{len(self._fragments)}"
                self._fragments.append(f"fragment {name} on {type_name} {{ {part} }}")
                return f"...{name} ...{name}"
            case 3 if type_name == "Project":
                return f"... on Node {{ id }} {part}"
        return part


class CallWriter(OperationWriter):
    """Writes operations whose root fields share calls in every way, and loads by ids."""

    roots = (1, 1, 2, 3, 6)

    def root(self, number: int) -> str:
        chance = self._chance
        match chance.randrange(8):
            case 0:
                ids = chance.sample([*range(7, 25), 99, -5], k=chance.choice([1, 2, 4, 12]))
                written = " ".join(f'{{__typename: "Project", projectId: {each}}}' for each in ids)
                of_project = self._selection("Project", depth=1)
                return f"e{number}: _entities(representations: [{written}]) {{ ... on Project {of_project} }}"
            case 1:
                ids = [chance.choice([7, 8, 31]) for _ in range(chance.choice([1, 3]))]
                written = " ".join(f'"{project_global_id(each)}"' for each in ids)
                return f"n{number}: nodes(ids: [{written}]) {{ id ... on Project {{ projectName }} }}"
            case 2:
                selection = "... on Project { images { id } }"
                return f'o{number}: node(id: "{project_global_id(7)}") {{ {selection} }}'
            case 3 | 4:
                arguments = chance.choice(
                    [
                        "perPage: 2",
                        "perPage: 2, page: 2",
                        "perPage: 100",
                        "maxImagesPerProject: 3",
                        "projectId: 7",
                        "projectId: 99",
                        "page: 9",
                        'status: "failed"',
                        "order: ASC",
                        "perPage: 0",
                    ]
                )
                return f"a{number}: gallery({arguments}) {self._selection('Gallery', depth=0)}"
            case 5:
                arguments = chance.choice(['status: "failed"', "maxImages: 2", "order: ASC"])
                project_id = chance.choice([7, 99])
                selection = self._selection("Project", depth=1)
                return f"b{number}: project(projectId: {project_id}, {arguments}) {selection}"
        return super().root(number)


def some_projects(chance: random.Random) -> list[dict[str, Any]]:
    """A list of any length, in which what the generated cursors name has moved, or has gone."""
    ids = [*range(7, 7 + chance.choice([0, 1, 3, 40, 240])), -5]
    if chance.random() < 0.5:
        chance.shuffle(ids)
    return [project_body(each, *(image_body(index) for index in range(chance.randrange(4)))) for each in ids]


_JUNK: list[Any] = [
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    10**40,
    1.5,
    1e300,
    "",
    "12",
    "12.5",
    "NaN",
    "text",
    [],
    [1],
    [None],
    {},
    {"a": {"b": None}},
]


def page_bytes(chance: random.Random, *, damages: int) -> bytes:
    """A page of a few projects, with so many of its values replaced, taken away or made unreadable."""
    first_id = chance.choice(_FIRST_IDS)
    projects = [
        project_body(
            first_id + number,
            *(_image(chance, index) for index in range(chance.randrange(4))),
            total_images=chance.choice([None, 3, 9]),
        )
        for number in range(chance.randrange(1, 4))
    ]
    page = page_body(*projects)
    for _ in range(damages):
        _damage(chance, page)
    body = json.dumps(page, ensure_ascii=chance.random() < 0.5).encode()
    if damages and chance.random() < 0.05:
        return chance.choice([body.replace(b"e", b"\xff", 1), body[:-2], body.replace(b"0", b"NaN", 1), b""])
    return body


_SIGNED = {
    "full_size": "https://x.example/k?Expires=1767268860",
    "thumbnail": "https://x.example/k?se=2026-01-02",
}


def _image(chance: random.Random, index: int) -> dict[str, Any]:
    image = image_body(
        index,
        id=chance.choice([None, 5]),
        output=chance.choice([None, {"full_size": "https://pictures.example/ü", "uuid": "u"}, dict(_SIGNED)]),
        quality_score=chance.choice([None, 0, 1, 0.1 + 0.2, 1e-9]),
        review_annotations=chance.choice([None, 1, "x", [1.50, None], {"a": {"ß": []}}]),
        detail_needs_review=chance.choice([None, True]),
        feedback_comment=chance.choice([None, 'quo"te\n\t\\', "漢字 🏃", "\u2028</script>"]),
    )
    if chance.random() < 0.3:
        del image["detail_needs_review"]
    return image


def _damage(chance: random.Random, page: dict[str, Any]) -> None:
    holder: Any = page
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return
        key = chance.choice(keys)
        if not isinstance(holder[key], dict | list) or chance.random() < 0.2:
            break
        holder = holder[key]
    if isinstance(holder, dict) and chance.random() < 0.2:
        del holder[key]
    else:
        holder[key] = copy.deepcopy(chance.choice(_JUNK))
