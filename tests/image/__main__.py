"""`python -m tests.image`: builds the image, runs it in a strict sandbox, and lists its contents.

Needs no Docker engine but root, buildah, mmdebstrap and runc from Debian, and syft from the extra `release`.
What is made is kept under `build/image/`: the stand-in for the base image, and the bill of materials.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.image import checks, contents
from tests.image.building import BASE, IMAGE, ROOT, Store, build, make_base
from tests.image.container import Image
from tests.image.programs import NEEDED, MissingProgramError, find


@contextmanager
def mounted(store: Store) -> Iterator[Image]:
    container = store.buildah("from", "--pull-never", IMAGE).strip()
    try:
        files = Path(store.buildah("mount", container).strip())
        yield Image(files, store.inspect(IMAGE)["Docker"]["config"])
    finally:
        store.buildah("rm", container)


@contextmanager
def timed(what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - started:.1f} s", flush=True)


def look(store: Store, folder: Path, bill: Path) -> dict[str, str]:
    """Run every check, and return their figures."""
    with mounted(store) as image:
        checks.check_description(image)
        checks.check_nothing_installs(image)
        checks.check_offline_operation(image, folder)
        figures = checks.check_serving(image, folder, workers=1)
        figures |= checks.check_serving(image, folder, workers=2)
    figures |= contents.sizes(store, folder / "layout")
    components = contents.write_bill(folder / "layout", bill)
    contents.check_bill(components)
    return figures | {"components": f"{len(components)} in {bill}"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.image", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "build" / "image", help="what is made is kept here"
    )
    kept: Path = parser.parse_args().folder.resolve()
    try:
        for name in NEEDED:
            find(name)
    except MissingProgramError as exc:
        print(exc, file=sys.stderr)
        return 2
    kept.mkdir(parents=True, exist_ok=True)
    store = Store(kept)
    if not store.has(BASE):
        with timed("stand-in for the base image made"):
            make_base(store)
    with timed("image built"):
        build(store)
    folder = Path(tempfile.mkdtemp(prefix="image-"))
    try:
        with timed("image run and looked through"):
            figures = look(store, folder, kept / "bill-of-materials.cdx.json")
    finally:
        shutil.rmtree(folder)
    print("\n".join(f"{name}: {figure}" for name, figure in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
