"""The committed GraphiQL bundle matches its source, loads from this origin only, and stays small."""

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import gallery_gateway

GRAPHIQL = Path(gallery_gateway.__file__).parent / "edge" / "graphiql"
SOURCE = GRAPHIQL / "source"
STATIC = GRAPHIQL / "static"

MAX_RAW_BYTES = 1_800_000
MAX_GZIPPED_BYTES = 600_000
CDN = re.compile(
    rb"unpkg\.com|jsdelivr\.net|cdnjs\.|esm\.sh|esm\.run|skypack\.dev|googleapis\.com|gstatic\.com"
)

pytestmark = pytest.mark.skipif(
    not SOURCE.is_dir(), reason="an installed package leaves the source of its bundle out"
)


def _hashes(paths: list[Path]) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _manifest(part: str) -> dict[str, str]:
    manifest: dict[str, dict[str, str]] = json.loads((STATIC / "manifest.json").read_bytes())
    return manifest[part]


def _files(folder: Path, *, without: str = "") -> list[Path]:
    return [
        path
        for path in folder.iterdir()
        if path.is_file() and path.name != without and not path.name.startswith(".")
    ]


def _code() -> list[Path]:
    return [path for path in STATIC.iterdir() if path.suffix in {".js", ".css"}]


def test_the_manifest_names_every_file_of_the_bundle_with_its_hash() -> None:
    served = _hashes(_files(STATIC, without="manifest.json"))

    assert served == _manifest("files")


def test_the_bundle_was_built_from_the_source_beside_it() -> None:
    source = _hashes(_files(SOURCE))

    assert source == _manifest("source"), "run `npm ci && node build.mjs` in graphiql/source"


def test_every_reference_of_the_page_is_a_file_of_the_bundle() -> None:
    page = (STATIC / "index.html").read_text()

    references = re.findall(r'(?:src|href)="([^"]*)"', page)

    assert len(references) == 3
    for reference in references:
        assert reference.startswith("${root}graphiql/")
        assert (STATIC / reference.removeprefix("${root}graphiql/")).is_file()


def test_every_reference_of_the_style_sheet_is_a_file_of_the_bundle_or_a_picture_in_it() -> None:
    css = "".join(path.read_text() for path in STATIC.glob("*.css"))

    references = re.findall(r"url\(\s*['\"]?([^'\")]*)", css)

    files = [reference for reference in references if not reference.startswith("data:image/")]
    assert files
    assert all((STATIC / file).is_file() for file in files)
    assert "@import" not in css


def test_the_page_has_no_inline_script_or_style() -> None:
    page = (STATIC / "index.html").read_text()

    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)


def test_the_page_has_two_placeholders_for_its_configuration() -> None:
    page = (STATIC / "index.html").read_text()

    assert set(re.findall(r"\$\{(\w+)\}", page)) == {"root", "token"}
    assert page.count("${token}") == 1


@pytest.mark.parametrize("path", _code(), ids=lambda path: path.suffix)
def test_nothing_is_loaded_from_another_host(path: Path) -> None:
    text = path.read_bytes()

    assert not CDN.search(text)
    assert not re.search(rb"""(?:import|importScripts|fetch)\s*\(\s*["'`]https?:""", text)
    assert b"sourceMappingURL" not in text


def test_the_bundle_is_within_its_size_in_bytes() -> None:
    raw = sum(path.stat().st_size for path in _code())

    assert raw <= MAX_RAW_BYTES


def test_the_compressed_bundle_is_within_its_size_in_bytes() -> None:
    gzipped = sum(path.with_name(f"{path.name}.gz").stat().st_size for path in _code())

    assert gzipped <= MAX_GZIPPED_BYTES


@pytest.mark.parametrize("path", _code(), ids=lambda path: path.suffix)
def test_a_compressed_file_holds_the_file_beside_it(path: Path) -> None:
    compressed = path.with_name(f"{path.name}.gz").read_bytes()

    assert gzip.decompress(compressed) == path.read_bytes()


def test_a_compressed_file_does_not_tell_when_it_was_made() -> None:
    compressed = [path.read_bytes() for path in STATIC.glob("*.gz")]

    assert compressed
    # RFC 1952, section 2.3: bytes 4 to 7 are MTIME, 0 for none.
    assert all(file[4:8] == bytes(4) for file in compressed)


def test_every_dependency_is_pinned_to_one_version() -> None:
    package = json.loads((SOURCE / "package.json").read_bytes())

    versions = [*package["dependencies"].values(), *package["devDependencies"].values()]

    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions)


def test_the_lock_names_no_registry_and_the_hash_of_every_package() -> None:
    lock = json.loads((SOURCE / "package-lock.json").read_bytes())

    packages = [package for path, package in lock["packages"].items() if path]

    assert not any("resolved" in package for package in packages)
    assert all(package["integrity"].startswith("sha512-") for package in packages)


def test_the_licences_of_what_is_bundled_come_with_it() -> None:
    licences = (STATIC / "LICENSES.txt").read_text()
    package = json.loads((SOURCE / "package.json").read_bytes())

    for name, version in package["dependencies"].items():
        assert f"\n{name} {version} (" in licences


def _run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    # The commands are ours; npm itself is found on the path, as it is by a developer.
    return subprocess.run(  # noqa: S603
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_source_builds_the_same_bytes_again(tmp_path: Path) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("node and npm are needed to build the bundle, and only for that")
    copy = tmp_path / "source"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("node_modules"))
    installed = _run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=copy)
    if installed.returncode and "CI" not in os.environ:
        pytest.skip(f"npm ci did not succeed: {installed.stderr[-300:]}")
    assert installed.returncode == 0, installed.stderr

    built = _run(node, "build.mjs", "--out", str(tmp_path / "static"), folder=copy)

    assert built.returncode == 0, built.stderr
    assert _hashes(_files(tmp_path / "static")) == _hashes(_files(STATIC))
