"""The pages of the documentation link to what exists, and name files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/*.md")])
ARCHITECTURE = ROOT / "docs" / "architecture.md"
CONTRIBUTING = ROOT / ".github" / "CONTRIBUTING.md"
PAGES_WITH_FILES = [ARCHITECTURE, CONTRIBUTING, *sorted(ROOT.glob("docs/decisions/*.md"))]

LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")
ROOM = re.compile(r"^\*\*`(\w+)/`: .*\*\*$")
FILE = re.compile(r"`([\w/]+\.py)`")


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    broken = []
    for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}")
    return broken


def named_files(page: Path) -> list[str]:
    """Return the Python files that a page names."""
    named: list[str] = []
    room = ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith(("**", "## ")):
            heading = ROOM.match(line)
            room = f"{heading[1]}/" if heading else ""
        # In the code map, the heading of a table says in which room its files are.
        prefix = room if line.startswith("| `") else ""
        named.extend(name if "/" in name else prefix + name for name in FILE.findall(line))
    return named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", PAGES_WITH_FILES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    files = [
        f"/{file.relative_to(ROOT)}" for folder in ("src", "tests") for file in (ROOT / folder).rglob("*.py")
    ]

    assert [name for name in named_files(page) if not any(file.endswith(f"/{name}") for file in files)] == []


def test_the_code_map_names_every_module() -> None:
    modules = (ROOT / "src" / "gallery_gateway").glob("*/*.py")
    paths = {f"{module.parent.name}/{module.name}" for module in modules if module.name != "__init__.py"}

    missing = paths - set(named_files(ARCHITECTURE))
    assert {path for path in missing if not path.startswith(("app/", "demo/"))} == set()


def test_no_text_installs_the_package_from_an_index_that_does_not_have_it() -> None:
    sources = (ROOT / "src" / "gallery_gateway").rglob("*.py")
    asked = re.compile(r"install (-\S+ )*'?gallery-gateway\b")

    assert [str(text) for text in [*PAGES, *sources] if asked.search(text.read_text(encoding="utf-8"))] == []


def test_every_event_below_an_error_is_in_the_table_of_events() -> None:
    source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "src").rglob("*.py"))
    events = set(re.findall(r'log_event\(\s*"([\w.]+)"(?!, level=logging.ERROR)', source))
    table = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")

    assert "shared_cache.lost" in events
    assert [event for event in sorted(events) if f"\n| `{event}` |" not in table] == []
