"""The words of the source, the documentation and the schema: banned phrases, and one name for each idea."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "gallery_gateway"

# Phrases that plain technical English does not need; each has a direct counterpart.
BANNED = [
    *("told", "whoever", "what of", "so many", "likewise", "come by", "anew", "as far as"),
    *("the like of", "nobody knows", "at the most", "is to be"),
]

# Two words may stand on two lines of prose, or on two lines of a comment.
_GAP = r"[\s#*/|>]+"
_PATTERN = re.compile(rf"\b({'|'.join(phrase.replace(' ', _GAP) for phrase in BANNED)})\b", re.IGNORECASE)

_SUFFIXES = {".css", ".graphql", ".html", ".js", ".jsx", ".md", ".mjs", ".py", ".yaml", ".yml"}
# Built from the sources beside it, or installed.
_GENERATED = {"static", "node_modules"}

# Modules of one name in several packages, where the name is the same idea on two levels.
SHARED_NAMES = {
    "__init__": "the docstring of each package",
    "app": "`app` builds the application; `edge/app.py` is its ASGI application",
    "endpoint": "`app/endpoint.py` builds the GraphQL endpoint of `edge/endpoint.py`",
    "gallery": "`app/gallery.py` builds the `Gallery` of `gallery/gallery.py`",
    "request": "the request of a client in `edge`, the request for a page in `gallery`",
    "telemetry": "`app/telemetry.py` builds the `Telemetry` of `telemetry/telemetry.py`",
}


def prose_files() -> list[Path]:
    files = [ROOT / "README.md", ROOT / "schema.graphql"]
    for folder in ("src", "docs", ".github"):
        files += [file for file in (ROOT / folder).rglob("*") if file.suffix in _SUFFIXES]
    return sorted(file for file in files if not _GENERATED & set(file.parts))


def banned_in(text: str) -> list[tuple[int, str]]:
    """The banned phrases of a text, each with its line."""
    return [(text.count("\n", 0, found.start()) + 1, found[0]) for found in _PATTERN.finditer(text)]


def class_definitions() -> dict[str, list[str]]:
    found = defaultdict(list)
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(f"{file.relative_to(ROOT)}:{node.lineno}")
    return found


def test_no_text_has_a_banned_phrase() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}: {phrase}"
        for file in prose_files()
        for line, phrase in banned_in(file.read_text(encoding="utf-8"))
    ]

    assert found == [], "\n".join(["", *found])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It is told once.", [(1, "told")]),
        ("one\ntwo so\n# many", [(2, "so\n# many")]),
        ("Whoever asks, anew", [(1, "Whoever"), (1, "anew")]),
        ("untold, somany, renewed", []),
    ],
)
def test_a_banned_phrase_is_found_in_any_case_and_over_line_breaks(
    text: str, found: list[tuple[int, str]]
) -> None:
    assert banned_in(text) == found


def test_no_class_name_is_defined_twice() -> None:
    twice = {name: places for name, places in class_definitions().items() if len(places) > 1}

    assert twice == {}


def test_no_module_name_is_used_for_two_ideas() -> None:
    places = defaultdict(list)
    for file in PACKAGE.rglob("*.py"):
        places[file.stem].append(file.relative_to(PACKAGE).as_posix())
    for folder in PACKAGE.rglob("__init__.py"):
        places[folder.parent.name].append(folder.parent.relative_to(PACKAGE).as_posix())
    twice = {name: sorted(found) for name, found in places.items() if len(found) > 1}

    assert {name: found for name, found in twice.items() if name not in SHARED_NAMES} == {}


def test_every_shared_module_name_is_in_use() -> None:
    modules = [file.stem for file in PACKAGE.rglob("*.py")]
    packages = [file.parent.name for file in PACKAGE.rglob("__init__.py")]

    assert [name for name in SHARED_NAMES if [*modules, *packages].count(name) < 2] == []
